"""What the module host_readiness knows and does. It runs on hosts: Python 3.9 and the standard library only."""
