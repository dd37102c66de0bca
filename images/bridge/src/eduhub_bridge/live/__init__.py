"""Changes as they happen, and who is working where: told to those who may know."""
