"""What all tests share: no verdict of a property test depends on how fast the machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("eduhub", deadline=None, print_blob=True)
settings.load_profile("eduhub")
