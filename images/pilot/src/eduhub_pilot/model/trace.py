"""What the logs of a stack say of one request: lines of edge, bridge and Plone as steps with the same fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from eduhub_pilot.model.facts import Container

# A request's way through the stack. Times are whole milliseconds, some of them rounded: who handed the request on was
# first, though it may seem to have begun so many milliseconds after the next one.
ROUNDED = {"edge": 4, "blue": 2, "green": 2, "plone": 0}
# What is told of a line; whatever else stands in it may hold a secret of a bridge that is not ours.
FIELDS = (
    "status", "method", "path", "route", "cache", "client", "frontend", "slot", "server", "ended", "retries", "bytes",
    "receive_ms", "queue_ms", "connect_ms", "answer_ms", "event", "level", "kind", "user",
)  # fmt: skip
# Plone's access log, docs/reference/logs.md
PLONE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<client>\S+) (?P<method>\S+) (?P<path>\S+) (?P<status>\d{3}) "
    r"(?P<ms>\d+) ms (?P<request>\S+)"
)
# HAProxy cuts a line at 1024 characters, in the middle of its last member, the path.
CUT = 1000
LONGEST_ESCAPE = 6


def component(container: Container) -> str | None:
    """Return who writes a container's log: edge, blue, green or plone; None for one that logs no requests."""
    role, slot = (container.labels.get(f"org.eduhub.{name}") for name in ("role", "slot"))
    name = slot if role == "bridge" else role
    return name if name in ROUNDED else None


def order(line: Mapping[str, Any]) -> datetime:
    """Return by what the lines about a request are sorted, the first one being who had it first."""
    return datetime.fromisoformat(line["time"]) - timedelta(milliseconds=ROUNDED[line["component"]])


def said_of(component: str, line: str, request: str) -> dict[str, Any] | None:
    """Return what a line says of a request; None for a line of another request, or of none.

    `time`: when the component began with it (UTC, RFC 3339); `ms`: how long it took, null where the line does not say.
    """
    said = _plone(line) if component == "plone" else _object(line)
    if said.get("request") != request:
        return None
    try:
        ended = datetime.fromisoformat(str(said.get("time")))
        spent = int(said["ms"]) if said.get("ms") is not None else None
        began = ended.astimezone(UTC) - timedelta(milliseconds=max(spent or 0, 0))
    except (ValueError, OverflowError):
        return None
    time = began.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known = {name: _plain(said[name]) for name in FIELDS if said.get(name) not in {None, ""}}
    return {"time": time, "component": component, "ms": spent, **known}


def _plain(value: Any) -> int | str:
    """Return a number as it is, and a text without what a terminal would take for a command."""
    if isinstance(value, int):
        return value
    return "".join(each if each.isprintable() else f"%{ord(each):02X}" for each in str(value))


def _plone(line: str) -> dict[str, Any]:
    found = PLONE.fullmatch(line.strip())
    if found is None:
        return {}
    said = found.groupdict()
    return {**said, "time": f"{said['time'].replace(',', '.')}+00:00", "status": int(said["status"])}


def _object(line: str) -> Mapping[str, Any]:
    """Return the JSON object in a line, also one that HAProxy cut; an empty one where there is none."""
    line = line.strip()
    for ending in ("", *(['"}'] if len(line) > CUT else [])):
        for left_out in range(LONGEST_ESCAPE if ending else 1):
            try:
                found = json.loads(line[: len(line) - left_out] + ending)
            except (ValueError, RecursionError):
                continue
            return found if isinstance(found, dict) else {}
    return {}
