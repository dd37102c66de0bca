"""The words around a run: its header, its table of hosts, what comes next. Pure: returns lines."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from front.lost import lost
from front.outcome import DONE, NEEDS_PERSON, REFUSED, REVERTED, Host, Outcome, host_code, word
from front.typed import beside, status

CHANGING = frozenset({"deploy", "upgrade", "rollback", "confirm", "destroy"})
NONE = "-"
WIDTH = 100


def header(verb: str, inventory: str, hosts: Sequence[str], run: str, *, check: bool = False) -> str:
    """Return the line that opens a run."""
    who = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
    return f"{verb}: {who} of inventory {inventory}, run {run}{', changing nothing' if check else ''}"


def document(verb: str, outcome: Outcome, code: int) -> dict[str, Any]:
    """Return what `--json` prints: for status each host's status object, for other verbs what came of each host."""
    if verb == "status":
        return {"hosts": {name: host.status for name, host in outcome.hosts.items() if host.status is not None}}
    hosts = {
        name: {
            "result": word(host), "code": host_code(host), "changed": host.changed, "failed": host.failed,
            "says": list(host.says), "status": host.status,
        }
        for name, host in outcome.hosts.items()
    }  # fmt: skip
    return {"hosts": hosts, "code": code}


def complaints(outcome: Outcome) -> list[str]:
    """Return why hosts failed, each with its name."""
    return [f"{name}: {sentence}" for name, host in outcome.hosts.items() for sentence in host.says]


def closing(
    verb: str, names: Sequence[str], outcome: Outcome, code: int, again: str, *, interrupted: bool = False
) -> list[str]:
    """Return what ends a run: table, announcements, and the next command where something went wrong.

    `names` are all hosts that were asked for, `again` is the command line that asks for the same once more.
    """
    hosts = {name: outcome.hosts.get(name) for name in names}
    if not outcome.hosts:
        return [f"{verb} is about the hosts of the group bridge, and none of these is in it: {', '.join(names)}."]
    lines = ["", *table(verb, hosts, again)] if worth_a_table(hosts) else []
    for block in announcements(outcome.hosts):
        lines += ["", block]
    if code == DONE and verb in CHANGING and not any(host.changed for host in outcome.hosts.values()):
        lines += ["", "Nothing to change: everything is as the inventory says."]
    if code == REVERTED and verb not in CHANGING:
        return [*lines, "", f"Nothing was touched, and nothing should be rolled out like this. To try again: {again}"]
    gone = {name: host for name, host in outcome.hosts.items() if host.lost}
    for sentence in lost(gone, again, alone=list(gone) == list(names)):
        lines += ["", *textwrap.wrap(sentence, WIDTH, break_on_hyphens=False, break_long_words=False)]
    if gone and all(host.lost for host in outcome.hosts.values() if host_code(host) == code):
        return lines  # which have said all that there is to say
    return lines + (["", after(code, again, interrupted=interrupted)] if code or interrupted else [])


def after(code: int, again: str, *, interrupted: bool = False) -> str:
    """Return what a run that did not succeed leaves, and what to type next."""
    then = f"To try again: {again}" if interrupted else f"Mend the cause, then: {again}"
    if code == REVERTED and shlex.split(again)[1:2] == ["confirm"]:  # nothing is left that could be confirmed
        then = f"Mend the cause, then roll the release out again; {status(again)} says what each host serves."
    return {
        DONE: "The release had been confirmed before the interruption: it serves.",
        REVERTED: f"Reverted: what served before serves now. {then}",
        REFUSED: f"{'Interrupted' if interrupted else 'Refused'}: nothing was touched. {then}",
        NEEDS_PERSON: f"A person is needed: {status(again)} says what each host serves.",
    }[code]


def last_words(stderr: str) -> list[str]:
    """Return the end of what Ansible printed as its own error: no traceback, no empty line, no label."""
    lines, inside = [], False
    for line in stderr.splitlines():
        inside = line.startswith("Traceback ") or (inside and line[:1] in {" ", ""})
        if line.strip() and not inside:
            lines.append(line.removeprefix("[ERROR]: "))
    return lines[-8:]


def worth_a_table(hosts: Mapping[str, Host | None]) -> bool:
    """Whether the hosts' lines say more than the phases' lines already did."""
    return len(hosts) > 1 or any(host is None or host.status is not None for host in hosts.values())


def table(verb: str, hosts: Mapping[str, Host | None], again: str) -> list[str]:
    """Return a line a host, under headings; columns in which no host has anything are left out."""
    rows = [{"host": name, **about(host.status if host else None)} for name, host in hosts.items()]
    for row, host in zip(rows, hosts.values(), strict=True):
        # status changes nothing, so there the state is the result.
        row["result"] = NONE if verb == "status" and host and not host.failed else word(host)
    columns = [name for name in rows[0] if any(row[name] != NONE for row in rows)]
    told = [list(rolled(host, again)) for host in hosts.values()]
    if any(told):  # the lines below say it with more words
        columns = [name for name in columns if name != "way back"]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    heads, *lines = [
        "  ".join(f"{line[name]:<{widths[name]}}" for name in columns).rstrip()
        for line in [{name: name.upper() for name in columns}, *rows]
    ]  # fmt: skip
    return [heads, *(each for line, below in zip(lines, told, strict=True) for each in (line, *below))]


def rolled(host: Host | None, again: str) -> Iterable[str]:
    """Yield what a rollout's row has no room for: gates, what changed, what it waits for, the way back and its time."""
    if host is None or host.rolled is None:
        return
    by_verdict: dict[str, list[str]] = {}
    for gate, verdict in (host.rolled.get("gates") or {}).items():
        by_verdict.setdefault(verdict, []).append(gate)
    back = (host.status or {}).get("rollback") or {}
    seconds = back.get("seconds")
    took = "" if seconds is None else f", {seconds:.2g} s when last measured"
    rollout = (host.status or {}).get("rollout") or {}
    until = rollout.get("goes_back") if rollout.get("hold") else None
    said = {
        "gates": "; ".join(f"{', '.join(gates)}: {verdict}" for verdict, gates in by_verdict.items()),
        "changed": "; ".join(host.rolled.get("changed") or ()),
        "waits": f"for {beside(again, 'confirm')} until {until}; then the host goes back by itself" if until else "",
        "way back": f"{beside(again, 'rollback')}, to {back.get('to')}{took}" if back.get("ready") else
                    f"none: {back.get('why')}" if back.get("why") else "",
    }  # fmt: skip
    for name, words in said.items():
        if words:
            first, *more = textwrap.wrap(words, WIDTH - 12, break_on_hyphens=False, break_long_words=False)
            yield f"  {name:<8}  {first}"
            yield from (f"{'':12}{line}" for line in more)


def about(status: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the cells that a status object fills."""
    given = status or {}
    lock, rollback = given.get("lock") or {}, given.get("rollback") or {}
    confirmed = {True: "confirmed", False: "unconfirmed", None: NONE}[given.get("confirmed")]
    seconds = rollback.get("seconds")
    back = f"{rollback.get('to')}{f' in {seconds:.1f} s' if seconds is not None else ''}"
    return {
        "release": str(given.get("release") or NONE),
        "python": str(given.get("python") or NONE),
        "live": str(given.get("live") or NONE),
        "state": confirmed if given.get("release") else NONE,
        "way back": back if rollback.get("ready") else NONE,
        "lock": f"{lock.get('owner')} at {lock.get('step')} since {lock.get('since')}" if lock else NONE,
    }


def announcements(hosts: Mapping[str, Host]) -> Iterable[str]:
    """Yield each announced block once, with the hosts that said it where there are several."""
    said: dict[str, list[str]] = {}
    for name, host in hosts.items():
        for block in host.announced:
            said.setdefault(block, []).append(name)
    for block, names in said.items():
        yield block if len(hosts) == 1 else f"{', '.join(names)}:\n{block}"
