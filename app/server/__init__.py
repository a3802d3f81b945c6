"""The web application: the page, its routes, and what is let in."""
