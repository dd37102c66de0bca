"""How sure the gate `performance` is: real upgrades to the same release, and to one that answers a fifth later."""
