"""Between `invoke` and `ansible-playbook`: checks the inventory, plays one playbook, says what came of it."""
