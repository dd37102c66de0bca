"""Each verb: what is checked before it, what is played, and what is shown of it."""
