"""The closing table: a line a host, and below it what its rollout proved and changed. Pure: returns lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from front.arguments.request import Request
from front.output.layout import wrapped
from front.run.exit_codes import result_of
from front.run.outcome import Host

NONE = "-"
VERSIONS = {"kernel": "kernel", "engine": "Docker Engine", "haproxy": "HAProxy"}
LABEL = 10  # columns of a label below a host's line, with its margin


def is_worth_showing(hosts: Mapping[str, Host | None]) -> bool:
    """Whether the hosts' lines say more than the phases' lines already did."""
    return len(hosts) > 1 or any(host is None or host.status is not None or host.patch for host in hosts.values())


def host_table(request: Request, hosts: Mapping[str, Host | None], width: int) -> list[str]:
    """Return a line a host, under headings; columns in which no host has anything are left out.

    Where that is wider than `width`, each host is a block of lines: its name, then a line for each of its columns.
    """
    # An update of packages asks a front host for its status while that is still drained.
    states = {name: None if host is None or host.patch else host.status for name, host in hosts.items()}
    rows = [{"host": name, **status_cells(status)} for name, status in states.items()]
    for row, host in zip(rows, hosts.values(), strict=True):
        # status changes nothing, so there the state is the result.
        row["result"] = NONE if request.verb == "status" and host and not host.failed else result_of(host)
    columns = [name for name in rows[0] if any(row[name] != NONE for row in rows)]
    limits = {name: name if len(hosts) > 1 else None for name in hosts}  # a host's rollback is not all of theirs
    details = [detail_cells(host, request, limits[name]) for name, host in hosts.items()]
    if any(details):  # they name the rollback with its command
        columns = [name for name in columns if name != "rollback"]
    return table(rows, columns, details, width)


def table(
    rows: Sequence[Mapping[str, str]], columns: Sequence[str], details: Sequence[Mapping[str, str]], width: int
) -> list[str]:
    """Return `columns` of `rows` under headings, each row with its `details` below; blocks where that is too wide."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    if sum(widths.values()) + 2 * (len(widths) - 1) > width:
        return [line for row, more in zip(rows, details, strict=True) for line in block(row, columns, more, width)]
    heads, *lines = [
        "  ".join(f"{line[name]:<{widths[name]}}" for name in columns).rstrip()
        for line in [{name: name.upper() for name in columns}, *rows]
    ]  # fmt: skip
    below = [list(labelled(each, width)) for each in details]
    return [heads, *(each for line, more in zip(lines, below, strict=True) for each in (line, *more))]


def block(row: Mapping[str, str], columns: Sequence[str], details: Mapping[str, str], width: int) -> Iterable[str]:
    """Yield one host's cells below each other."""
    yield row["host"]
    cells = {name: row[name] for name in columns if name != "host" and row[name] != NONE}
    yield from labelled({**cells, **details}, width)


def labelled(cells: Mapping[str, str], width: int) -> Iterable[str]:
    """Yield a line for each cell: its label and its text, wrapped; nothing for an empty cell."""
    for name, text in cells.items():
        for number, line in enumerate(wrapped(text, max(width - LABEL - 2, 20))):
            yield f"  {'' if number else name:<{LABEL}}{line}"


def status_cells(status: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the cells that a status object fills."""
    given = status or {}
    lock, rollback = given.get("lock") or {}, given.get("rollback") or {}
    confirmed = {True: "confirmed", False: "unconfirmed", None: NONE}[given.get("confirmed")]
    drained = ", drained" if given.get("draining") else ""
    return {
        "release": str(given.get("release") or NONE),
        "python": str(given.get("python") or NONE),
        "live": str(given.get("live") or NONE),
        "state": f"{confirmed}{drained}" if given.get("release") else front_cell(given.get("front")),
        "rollback": str(rollback.get("to")) if rollback.get("ready") else NONE,
        "lock": lock_cell(lock) if lock else NONE,
    }


def front_cell(front: Mapping[str, Any] | None) -> str:
    """Return what a front host serves: whether it has the site's addresses, and how many bridge hosts get requests."""
    if front is None:
        return NONE
    if not front["bridges"]:
        return "down"
    holds = {True: "active, ", False: "standby, ", None: ""}[front["active"]]
    up = sum(status == "UP" for status in front["bridges"].values())
    served = f"{holds}{up} of {len(front['bridges'])} bridge hosts"
    besides = {"drained": front["draining"], "without keepalived": front["keepalived"] is False}
    return ", ".join([served, *(word for word, is_so in besides.items() if is_so)])


def lock_cell(lock: Mapping[str, Any]) -> str:
    """Return who holds a lock, at which step, since when; and whether it has expired."""
    expired = ", expired" if lock.get("expired") else ""
    return f"{lock.get('owner')} at {lock.get('step')} since {lock.get('since')}{expired}"


def detail_cells(host: Host | None, request: Request, limit: str | None = None) -> dict[str, str]:
    """Return what a rollout's row has no room for: gates, changes, the deadline of a held release, the rollback.

    `limit`: names the host in the rollback's command, where that would take others too.
    """
    if host is not None and host.patch:
        return patch_cells(host.patch)
    if host is None or host.rolled is None:
        return {}
    by_verdict: dict[str, list[str]] = {}
    for gate, verdict in (host.rolled.get("gates") or {}).items():
        by_verdict.setdefault(verdict, []).append(gate)
    status = host.status or {}
    rollout = status.get("rollout") or {}
    deadline = rollout.get("deadline") if rollout.get("hold") else None
    cells = {
        "gates": "; ".join(f"{', '.join(gates)}: {verdict}" for verdict, gates in by_verdict.items()),
        "changed": "; ".join(host.rolled.get("changed") or ()),
        "hold": f"{request.invoke('confirm')} until {deadline}, else the host rolls back" if deadline else "",
        "rollback": rollback_cell(status.get("rollback") or {}, request, limit),
    }
    return {name: text for name, text in cells.items() if text}


def patch_cells(patch: Mapping[str, Any]) -> dict[str, str]:
    """Return what an update of the host's packages changed: how many, and the versions before and after."""
    if not patch.get("ended"):
        return {}
    before, after = patch["before"], patch["after"]
    changed = [
        f"{label} {before[name]}" + ("" if before[name] == after[name] else f" -> {after[name]}")
        for name, label in VERSIONS.items()
    ]
    rebooted = ["rebooted"] if patch["rebooted"] else []
    return {"updated": ", ".join([f"{patch['updated']} packages", *rebooted]), "versions": "; ".join(changed)}


def rollback_cell(rollback: Mapping[str, Any], request: Request, limit: str | None = None) -> str:
    """Return whether a rollback is ready or blocked: to which release by which command, or why not."""
    if rollback.get("ready"):
        seconds = rollback.get("seconds")
        measured = "" if seconds is None else f"; its switch took {seconds:.2g} s when last measured"
        return f"ready: {request.invoke('rollback', limit=limit)}, to {rollback.get('to')}{measured}"
    return f"blocked: {rollback.get('why')}" if rollback.get("why") else ""
