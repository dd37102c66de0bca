"""What was typed: options, the request they make, and how it is refused. Knows no inventory and no host."""
