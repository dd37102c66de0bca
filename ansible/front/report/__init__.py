"""The last rollout of each host as a page with plots, and as JSON."""
