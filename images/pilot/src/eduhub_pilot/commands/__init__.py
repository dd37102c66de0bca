"""One module a command: what it takes from the command line, what it does, and its answer."""
