"""One request in the logs of all hosts: a line for each that tells of it, oldest first. Pure: returns lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from front.run.outcome import Host

NONE = "-"


def lines_of(hosts: Mapping[str, Host]) -> list[dict[str, Any]]:
    """Return what the hosts' logs say of the request, each line with its host.

    Those of one host stay together, in the host's own order: clocks of hosts differ.
    """
    found = {name: lines for name, host in hosts.items() if (lines := (host.trace or {}).get("lines"))}
    by_time = sorted(found, key=lambda name: found[name][0]["time"])
    return [{"host": name, **line} for name in by_time for line in found[name]]


def trace_table(hosts: Mapping[str, Host]) -> list[str]:
    """Return the table of a request's lines; empty without any. What was asked for stands last, as it may be long."""
    rows = [cells(line) for line in lines_of(hosts)]
    if not rows:
        return []
    rows = [{name: name.upper() for name in rows[0]}, *rows]
    widths = {name: max(len(row[name]) for row in rows) for name in rows[0]}
    return ["  ".join(f"{row[name]:<{width}}" for name, width in widths.items()).rstrip() for row in rows]


def cells(line: Mapping[str, Any]) -> dict[str, str]:
    """Return the cells of one line."""
    event = line.get("event", "request")
    asked = (line.get("method"), line.get("path") or line.get("route"))
    what = asked if event == "request" else (event, line.get("kind"))
    return {
        "time": line["time"],
        "host": line["host"],
        "component": line["component"],
        "status": str(line.get("status", NONE)),
        "ms": NONE if line.get("ms") is None else str(line["ms"]),
        "cache": str(line.get("cache", NONE)),
        "request": " ".join(str(word) for word in what if word),
    }
