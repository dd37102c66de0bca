"""What an operator reads of a run, as lines: messages, traffic, the table of hosts, the next commands."""
