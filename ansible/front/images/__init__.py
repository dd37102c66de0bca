"""What is built on this machine for the hosts of an inventory."""
