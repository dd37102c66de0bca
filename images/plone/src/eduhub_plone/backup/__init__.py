"""Backups of a site whose database is files: made beside the running site, proven by a restore, and restored.

Runs in a container of the site's own image, started by the pilot: only there are the ZODB and the site's classes.
"""
