"""Containers that take turns on one database in files: the next one waits, prepared, until it is free."""

from __future__ import annotations

import fcntl
import logging
import socket
import time
from pathlib import Path
from typing import IO

PAUSE_SECONDS = 0.02
HELD: list[IO[str]] = []
log = logging.getLogger("plone")


def wait_for_turn(database: Path, folder: Path) -> None:
    """Return once no other process has the file `database` open.

    While this one waits there is a file in `folder` that says so: `waiting-` and the container's short id. Who opens
    the database next has to be quick: two that were let go at once are told apart by the lock itself.
    """
    marker = folder / f"waiting-{socket.gethostname()}"
    try:
        while not free(database):
            if not marker.exists():
                log.info("Plone is ready but for its database, which another process has open; it waits for that.")
                marker.touch()
            time.sleep(PAUSE_SECONDS)
    finally:
        marker.unlink(missing_ok=True)


def hold_turn(database: Path) -> None:
    """Take the lock of a database that this process does not open, until the process and those forked from it end.

    Raises BlockingIOError where another process was faster.
    """
    lock = Path(f"{database}.lock").open("a")  # noqa: SIM115 - the lock lasts as long as the file is open
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    HELD.append(lock)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from one that took its place; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def unlink_own(path: Path, own: tuple[int, int] | None) -> None:
    """Remove a file unless another one, which is not the `own`, has taken its place."""
    if identity(path) == own:
        path.unlink(missing_ok=True)


def end_pack(database: Path, *, keeps_old: bool) -> None:
    """Bring the file `database` back where a pack was interrupted when it had moved it away.

    `keeps_old`: whether a pack that ends leaves the old file; then one without the new file beside it is no trace of an
    interrupted one. Nothing has the database open.
    """
    old, new = (database.with_name(f"{database.name}.{end}") for end in ("old", "pack"))
    if not database.exists() and old.exists() and (new.exists() or not keeps_old):
        log.warning("A pack was interrupted when it had moved %s away: it is back.", database.name)
        old.rename(database)


def free(database: Path) -> bool:
    """Return whether no process holds the lock that a storage in files takes (zc.lockfile: flock, exclusive)."""
    with Path(f"{database}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
