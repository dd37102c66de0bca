"""What a run over several hosts leaves: which host serves what, and what to type next. Pure: returns lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from front.arguments.request import Request
from front.output.layout import next_lines, wrapped
from front.run.exit_codes import DONE, NEEDS_PERSON, REFUSED, REVERTED, host_exit
from front.run.outcome import PHASES_WITHOUT_UNDO, Host

MOST_NAMES = 8
COLON = re.compile(r":(?![^\[]*\])")  # between two patterns, not inside of [1:3]


def pythons(hosts: Mapping[str, Host]) -> dict[str, list[str]]:
    """Return the hosts that serve each Python, by what their status said last; those that did not say are left out."""
    found: dict[str, list[str]] = {}
    for name, host in hosts.items():
        if python := (host.status or {}).get("python"):
            found.setdefault(str(python), []).append(name)
    return found


def mixed(hosts: Mapping[str, Host]) -> str:
    """Return which hosts serve which Python; empty where all that said serve the same."""
    found = pythons(hosts)
    if len(found) < 2:
        return ""
    served = (f"Python {python} on {listed(names)}" for python, names in sorted(found.items(), key=_version))
    return f"Mixed fleet: {'; '.join(served)}."


def _version(item: tuple[str, Sequence[str]]) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in item[0].split(".")]


def mixed_lines(hosts: Mapping[str, Host], request: Request, width: int) -> list[str]:
    """Return what `status` says of a mixed fleet, and what ends that: the newest release for all, or a rollback."""
    text = mixed(hosts)
    return [*wrapped(text, width), *next_lines(_one_for_all(hosts, request))] if text else []


def mixed_document(hosts: Mapping[str, Host], request: Request) -> dict[str, Any]:
    """Return what `status --json` says of a mixed fleet: which hosts serve which Python, and what ends that."""
    if not mixed(hosts):
        return {}
    commands = [shlex.split(each) for each in _one_for_all(hosts, request)]
    return {"mixed": {"pythons": pythons(hosts), "next": commands}}


def _one_for_all(hosts: Mapping[str, Host], request: Request) -> list[str]:
    """Return what ends a mixed fleet: the release that was made last for all hosts, or for none."""
    found = pythons(hosts)
    newest = max(found, key=lambda python: max(_release(hosts[name]) for name in found[python]))
    return _ends_mixed(newest, found[newest], hosts, request)


def _ends_mixed(python: str, serve: Sequence[str], hosts: Mapping[str, Host], request: Request) -> list[str]:
    """Return what gives `python` to all hosts, and what takes it from those that `serve` it."""
    back = [request.invoke("rollback", limit=",".join(serve))] if all(_ready(hosts[name]) for name in serve) else []
    return [request.invoke("upgrade", "--python", minor(python), "--resume"), *back]


def _release(host: Host) -> str:
    """Return the id of the live release, which begins with the time at which it was recorded."""
    return str((host.status or {}).get("release") or "")


def minor(python: str) -> str:
    """Return "3.11" of "3.11.2"."""
    return ".".join(python.split(".")[:2])


def ending(
    request: Request, hosts: Mapping[str, Host], code: int, why: str, width: int, *, interrupted: bool = False
) -> list[str]:
    """Return what a run over several hosts that did not do everything leaves, and what to type next.

    `why`: what ended it early, as a sentence; empty where every host had its turn.
    """
    if code == DONE:
        return []
    why = why or ("The run was interrupted." if interrupted else "")
    fix = "" if interrupted else "Fix the cause, then try again."
    done = [name for name, host in hosts.items() if host.advanced and not host.waiting and host_exit(host) == DONE]
    unreachable = [name for name, host in hosts.items() if host.unreachable]
    lines = {
        REVERTED: ["Reverted: each host that was touched serves its previous release again.", why, mixed(hosts), fix],
        REFUSED: ["Refused: nothing was touched.", why, mixed(hosts), fix],
        NEEDS_PERSON: [f"Halted: {why}" if why else _unfinished(request, hosts, done), mixed(hosts)],
    }[code]  # fmt: skip
    if code == NEEDS_PERSON:
        commands = [*_commands(request, hosts, done), request.status]
    else:
        commands = [request.command]
        commands += [without(request, unreachable).command] if code == REFUSED and unreachable else []
    return [*wrapped(" ".join(filter(None, lines)), width), *next_lines(commands)]


def _commands(request: Request, hosts: Mapping[str, Host], done: Sequence[str]) -> list[str]:
    """Return what brings hosts that a run left apart together again; `done`: those that it took where it was to."""
    if request.verb == "confirm":  # a second one is refused: what the others lack is the release
        python = (hosts[done[0]].status or {}).get("python") if done and mixed(hosts) else None
        return _ends_mixed(str(python), done, hosts, request) if python else []
    if request.verb == "rollback":  # a second one would undo the first, and what is lost has a command of its own
        out = [name for name, host in hosts.items() if name in done or host.unreachable]
        return [without(request, out).command] if len(out) < len(hosts) else []
    moved = [name for name in done if hosts[name].moved]
    back = moved and all(_ready(hosts[name]) for name in moved)
    commands = [request.without_recovery("--resume") if request.verb == "upgrade" else request.command]
    return [*commands, *([request.invoke("rollback", limit=",".join(moved))] if back else [])]


def without(request: Request, hosts: Sequence[str]) -> Request:
    """Return the same request without these hosts."""
    limit = request.limit or "all"
    # Ansible splits at commas alone where there is one, and so never at the colons of an IPv6 address.
    separator = "," if "," in limit or any(":" in name for name in hosts) else ":"
    if separator == "," and "," not in limit and limit[0] != "~":
        limit = COLON.sub(",", limit)
    limit = separator.join([limit, *(f"!{name}" for name in hosts)])
    return request.limited(limit) if hosts else request


def _unfinished(request: Request, hosts: Mapping[str, Host], done: Sequence[str]) -> str:
    if request.verb == "confirm" and done:
        return f"This run confirmed the release on {listed(done)} alone."
    if request.verb == "deploy" and (waiting := [name for name, host in hosts.items() if host.waiting]):
        changed = [name for name in waiting if PHASES_WITHOUT_UNDO & set(hosts[name].changed_in)]
        new = f" (directories, Plone or edge were changed on {listed(changed)})" if changed else ""
        return f"The deployment did not come to the release of {listed(waiting)}{new}."
    if request.verb == "host.patch":
        return "Not every host was updated."
    if request.verb == "certificates":
        return "Not every host serves the certificates."
    return f"Not every host {'was rolled back' if request.verb == 'rollback' else 'has the release'}."


def _ready(host: Host) -> bool:
    return bool(((host.status or {}).get("rollback") or {}).get("ready"))


def listed(hosts: Sequence[str]) -> str:
    """Return the names, the first few of many."""
    more = len(hosts) - MOST_NAMES
    return ", ".join(hosts) if more <= 0 else f"{', '.join(hosts[:MOST_NAMES])} and {more} more"
