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


def free(database: Path) -> bool:
    """Return whether no process holds the lock that a storage in files takes (zc.lockfile: flock, exclusive)."""
    with Path(f"{database}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
