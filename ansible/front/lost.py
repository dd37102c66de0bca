"""What is true of hosts whose connection was lost in the middle of a run, and what to type. Pure: returns sentences."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from front.outcome import Host
from front.typed import anew, beside, status

# From here on the shift may have moved traffic, which needs nobody.
MOVING = frozenset({"shift", "verify", "hold"})
REACHED = "When it is in reach again:"


def lost(hosts: Mapping[str, Host], again: str, *, alone: bool) -> list[str]:
    """Return a sentence for each way in which `hosts` were lost; `alone`: nobody else was asked for.

    `again` is the command line that asks for the same once more.
    """
    said: dict[str, list[str]] = {}
    for name, host in hosts.items():
        limit = None if alone else name
        said.setdefault(_sentence(host, again, limit), []).append(name)
    return [f"The connection to {', '.join(names)} was lost {sentence}" for sentence, names in said.items()]


def _sentence(host: Host, again: str, limit: str | None) -> str:
    verb = shlex.split(again)[1]
    by = f", at {host.until} at the latest" if host.until else " in the end"
    look = beside(again, "status", limit=limit) if limit else status(again)
    if host.phase == "confirm":
        return (
            f"while its release was confirmed. Either it is confirmed, or the host goes back by itself{by}. {REACHED} "
            f"{look} says which."
        )
    if not host.begun:
        return f"at {host.phase}, before a rollout began there. {REACHED} {again}"
    if host.phase == "end":
        return (
            "when its release was confirmed already: it serves. At most the lock is left, which the next command takes "
            f"once it is stale; {look} says so."
        )
    if host.phase in MOVING or not MOVING.isdisjoint(host.phases):
        keep = beside(again, "confirm", limit=limit)
        back = beside(again, "rollback", "--take-over", limit=limit) if verb != "rollback" else ""
        at_once = f", {back} goes back at once" if back else ""
        return (
            "while traffic moved. The host needs nobody for that: it goes on, and unless somebody confirms the release "
            f"it goes back by itself{by}; a host that was restarted goes back at once. {REACHED} {look} says what "
            f"serves, {keep} keeps the release once it has all traffic{at_once}."
        )
    resume = f"{anew(again, '--resume')} goes on, " if verb == "upgrade" else ""
    return (
        f"before traffic moved: what served before serves, and stays. {REACHED} {resume}{anew(again, '--take-over')} "
        "begins anew."
    )
