"""Hosts on one machine, each a container with systemd, sshd and an engine of its own: to practise on, and for tests."""
