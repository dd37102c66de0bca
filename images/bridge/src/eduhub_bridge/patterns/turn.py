"""Turn: one at a time among all processes that are given the same directory, and no process twice while another waits.

    turn = Turn(Path("/var/lib/bridge"))
    await turn.take(seconds=30.0)
    try:
        ...
    finally:
        turn.give_back()

Two locks of the operating system (flock(2)), which it frees itself when a process dies, however it dies. Who holds
`next` is the one who gets `turn` when that comes free: without it, a process with a queue would take its own turn
again and again before another one had looked.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

# How often a lock is looked at that another process holds: little beside a write of Plone's, which takes 100 ms.
_LOOK_SECONDS = 0.005


class TurnTimeoutError(Exception):
    """The turn did not come in time."""


class Turn:
    """For one taker at a time in this process; raises OSError where the directory takes no files."""

    def __init__(self, folder: Path) -> None:
        self._next, self._turn = _open(folder / "writer.next"), _open(folder / "writer.turn")

    async def take(self, seconds: float) -> None:
        """Return when it is this process's turn; raise TurnTimeoutError after `seconds`."""
        deadline = asyncio.get_running_loop().time() + seconds
        await _lock(self._next, deadline)
        try:
            await _lock(self._turn, deadline)
        finally:
            fcntl.flock(self._next, fcntl.LOCK_UN)

    def give_back(self) -> None:
        """Let the next one; to give back what was not taken does nothing."""
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give back, and take no more."""
        os.close(self._next)
        os.close(self._turn)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


async def _lock(number: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() >= deadline:
                raise TurnTimeoutError from None
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return
