"""One JSON object a line on stderr: start, stop, what went wrong, and the requests that no stored page answered."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from datetime import datetime, timezone
from typing import Any


def say(event: str, *, level: str = "info", **fields: Any) -> None:
    """Write one line: time (UTC, RFC 3339), level, event and `fields`."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": now, "level": level, "event": event, **fields}
    print(json.dumps(line, default=str), file=sys.stderr, flush=True)


class Seldom:
    """Says the same event at most once in `seconds`, and how many it left out: a storm must not fill a disk."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def say(self, event: str, *, level: str = "error", **fields: Any) -> None:
        """Write the line, or count it."""
        now = time.monotonic()
        if now - self._last.get(event, -self._seconds) < self._seconds:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        self._last[event] = now
        left_out = self._left_out.pop(event, 0)
        if left_out:
            fields["left_out"] = left_out
        say(event, level=level, **fields)


class _Lines(logging.Handler):
    """Turns records of libraries into our lines. Deliberate endings of an answer are no news: see `quiet`."""

    def __init__(self, quiet: tuple[type[BaseException], ...]) -> None:
        super().__init__(logging.ERROR)
        self._quiet = quiet
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and isinstance(record.exc_info[1], self._quiet):
            return
        fields = {"logger": record.name, "message": record.getMessage().strip()}
        if record.exc_info:
            fields["traceback"] = self._formatter.formatException(record.exc_info)
        say("log", level=record.levelname.lower(), **fields)


def take_over(*quiet: type[BaseException]) -> None:
    """Send errors that libraries log to our lines, without those caused by `quiet` or a cancelled task."""
    root = logging.getLogger()
    root.handlers[:] = [_Lines((asyncio.CancelledError, *quiet))]
    root.setLevel(logging.ERROR)
