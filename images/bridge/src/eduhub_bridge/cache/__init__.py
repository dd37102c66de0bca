"""Stored pages for anonymous readers."""
