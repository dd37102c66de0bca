"""Stories of a fleet: three bridge hosts behind a pair of front hosts, each a machine of its own, reached by ssh."""
