"""What an examined image reports."""

from __future__ import annotations

import json

from eduhub_pilot.model.facts import Look
from tests.unit.pilot.fakes import CLEAN

FOUND = {
    "kind": "removed", "path": "/app/a.py", "line": 3, "what": "uses imp", "owner": None, "ours": True,
    "supported": False, "name": "imp", "reach": "start",
}  # fmt: skip


def looks(**changes: object) -> Look:
    """Return a report of an image without findings, with `changes`."""
    return Look(0, json.dumps({**CLEAN, **changes}))
