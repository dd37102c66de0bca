"""Plone's REST API: the one client, its errors, who a credential belongs to, and which paths name content."""
