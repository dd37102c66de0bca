"""The commands before and after the packages of a host are updated."""
