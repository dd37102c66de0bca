"""The commands that say what a run would do, before it begins."""
