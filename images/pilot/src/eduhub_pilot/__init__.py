"""The pilot: what decides, measures and moves traffic on a host. One command, one short life, one JSON answer."""
