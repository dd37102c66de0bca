"""Plans of upgrades: made, written, shown, and held to."""
