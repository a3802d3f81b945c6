"""What all tabs share: strings, errors, events, assets, and what is stored for each open page."""
