"""EduHub bridge: an asynchronous front for a Plone site, the same source on every Python of images.yml."""

__version__ = "0.2.0.dev0"
