"""The journal's lines: their fields, and a truncated last line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any


def line(now: datetime, host: str, run: str | None, step: str, event: str, **more: Any) -> str:
    """Return one line, newline included: time (UTC, RFC 3339, milliseconds), run, host, step, event, then `more`."""
    time = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {"time": time, "run": run, "host": host, "step": step, "event": event, **more}
    return json.dumps(fields, separators=(",", ":")) + "\n"


def cut(tail: bytes) -> bytes:
    """Return the part of `tail` after its last newline: empty for a complete journal."""
    return tail[tail.rfind(b"\n") + 1 :]


def whole(fragment: bytes) -> bool:
    """Return whether a line without its newline is complete nevertheless."""
    try:
        return isinstance(json.loads(fragment), dict)
    except (ValueError, RecursionError):
        return False
