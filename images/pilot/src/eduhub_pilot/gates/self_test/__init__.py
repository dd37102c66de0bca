"""Known-bad candidates, each of which a gate must stop."""
