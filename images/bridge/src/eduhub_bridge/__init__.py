"""EduHub bridge: an asynchronous front for a Plone site, the same source on Python 3.9 and 3.11."""

__version__ = "0.1.0"
