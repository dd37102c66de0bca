"""Known-bad greens, each of which some gate must stop: a gate that lets one pass is no gate."""
