"""An inventory: found, read as Ansible reads it, and refused where it cannot work. Asks no host."""
