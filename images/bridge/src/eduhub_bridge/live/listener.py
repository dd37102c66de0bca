"""One who listens: a bounded queue, and an end for those who do not keep up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Callable, Optional

import orjson

from eduhub_bridge.live.changes import DELETED, MOVED
from eduhub_bridge.web.disconnect import at_most

QUEUE = 256
# For a listener that was told it is too slow to read that and leave, before its connection is cut.
CUT_SECONDS = 5.0


@dataclass(frozen=True)
class Message:
    """One object for all who get it. `id` is what a listener names when it comes back; 0 if there is no coming back."""

    kind: str
    data: bytes
    id: int = 0


class Listener:
    """Gets messages in order. `client` is the address that it counts for, if any.

    `ended` says why there will be no more: "slow", "stopping", "moved" or "unknown user".
    """

    def __init__(self, path: str, last: Optional[int], client: str = "") -> None:
        self.path, self.last, self.client = path.rstrip("/"), last, client
        self.ended = ""
        # Whether its audience has asked for the path itself, to know when that goes.
        self.placed = not self.path
        # Cuts the connection, whatever it is waiting for.
        self.cut: Callable[[], object] = lambda: None
        self._queue: asyncio.Queue[Optional[Message]] = asyncio.Queue(QUEUE)

    def wants(self, path: str) -> bool:
        """Return whether an item is at or below the path that is listened to."""
        return not self.path or path == self.path or path.startswith(f"{self.path}/")

    def wants_event(self, kind: str, path: str, old_path: str) -> bool:
        """Return whether a change is at or below that path, or was, or takes the path itself away with a folder."""
        if self.wants(path) or self.wants(old_path or path):
            return True
        left = {DELETED: path, MOVED: old_path}.get(kind)
        return bool(left) and self.path.startswith(f"{left}/")

    def put(self, message: Message) -> None:
        """Queue a message; a listener whose queue is full is told so, and is then cut."""
        if self.ended:
            return
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self.end("slow")
            asyncio.get_running_loop().call_later(CUT_SECONDS, self.cut)

    def end(self, why: str) -> None:
        """No more messages: those that wait are dropped."""
        if self.ended:
            return
        self.ended = why
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def get(self, seconds: float) -> Optional[Message]:
        """Return the next message; None at the end, or when there was none for `seconds` (then `ended` is empty)."""
        try:
            return await at_most(seconds, self._queue.get())
        except asyncio.TimeoutError:
            return None


def message(kind: str, **more: Any) -> Message:
    """Return a message with these members."""
    return Message(kind, orjson.dumps({"type": kind, **more}), more.get("id", 0))
