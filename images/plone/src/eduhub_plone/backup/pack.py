"""Packs the database of the running site, in the process that serves the files to the others."""

from __future__ import annotations

import time
from pathlib import Path

from ..processes import listens
from .errors import BackupError, RefusedError
from .files import need_space, shown
from .make import Site

DAY_SECONDS = 86400


def pack(site: Site, days: float, address: Path) -> tuple[int, int]:
    """Remove what is older than `days` and no longer the content; return the size before and after, in bytes.

    `address`: where the site's processes find the database. RefusedError where there is one process alone.
    """
    if not listens(address):
        raise RefusedError(
            "pack_unsupported",
            "Plone runs as one process here, which would answer nobody while it packs: set plone_processes to 2 or "
            "more, and deploy. Nothing was changed.",
        )
    before = site.database.stat().st_size
    need_space(site.database.parent, before, "The pack, which writes the database anew,")
    # Imported late: the other commands need no ZEO.
    from ZEO.ClientStorage import ClientStorage  # noqa: PLC0415

    client = None
    try:
        client = ClientStorage(str(address), wait_timeout=30)
        client.pack(time.time() - days * DAY_SECONDS, wait=True)
    except Exception as error:  # whatever the storage raised in its process
        why = f"{type(error).__name__}: {error}".rstrip(": ")
        raise BackupError("pack_failed", f"The database was not packed ({why}). Plone serves what it had.") from error
    finally:
        if client:
            client.close()
    return before, site.database.stat().st_size


def told(before: int, after: int, days: float, seconds: float) -> str:
    """Return in words what a pack did."""
    undone = f" What was changed in the last {days:g} days can still be undone." if days else ""
    return (
        f"Plone's database was packed in {seconds:.1f} s, from {shown(before)} to {shown(after)}; Plone served all the "
        f"while.{undone} The next backup copies the database as a whole."
    )
