"""Gates: checks on a slot that gets no public traffic yet, each with one verdict."""
