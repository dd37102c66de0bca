"""Requests to Plone: connections, addresses, header fields, and the limits that protect it."""
