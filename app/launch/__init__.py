"""How the app starts: options, its window, one instance per machine, addresses in the local network."""
