"""One run of a playbook: how it is played and ended, and what it came to."""
