"""The fault matrix: which fault, at which step of which verb, and what should come of it: data.

The outcomes are what the design leads to expect; `measured.json` says which of them were seen.

A cell says how the host has to end up, without a person: see OUTCOMES. `a/b` is either, where it depends on which of
two processes is the faster one. `-` is no cell: NONE says why.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

from tests.rotation import of_the_day

OUTCOMES = {
    "on": "continues: the new release is confirmed, as without the fault",
    "back": "is rolled back by the host: the old release is live, the new one's container and the lock are removed",
    "left": "stops: the old release is live; `upgrade --resume` or `rollback` ends it, at once or once the lock has "
            "expired",
    "kept": "the new release is confirmed; the lock is left until it expires, and the next command takes it",
}  # fmt: skip

FAULTS = {
    "controller": "the operator's machine dies: every process of `./invoke` is killed with -9",
    "ctrl-c": "Ctrl-C: SIGINT to everything in the terminal's foreground",
    "ssh": "the ssh connection is cut: sshd and its sessions are killed with -9, and no sshd listens for 8 s",
    "pilot": "the pilot is killed with -9, at the beginning of its work in that step",
    "dockerd": "the Docker daemon is killed with -9; systemd starts it again",
    "haproxy": "HAProxy is killed with -9, master and worker; the engine starts it again",
    "new": "the container of the new release is killed with -9 (green, if blue was live)",
    "old": "the container of the old release is killed with -9 (blue, if it was live)",
    "reboot": "the host is switched off and on: every process is killed at once, then systemd boots",
    "disk": "the file system that holds the state is full, for 30 s",
    "plone": "Plone is stopped, until the run has ended",
}

STEPS = {
    "begin": "the lock is taken and the release recorded",
    "start": "the new container starts",
    "prove": "the new release is ready, the gates are asked",
    "25%": "a quarter of the traffic has moved",
    "100%": "all traffic has moved, the old slot is drained",
    "rehearse": "all traffic has returned to the old release, to measure the rollback",
    "shifted": "all traffic has moved, unconfirmed; the host is verified",
    "confirm": "the release is confirmed",
    "end": "the lock is free",
}

UPGRADE = """
            begin     start     prove     25%       100%      rehearse  shifted   confirm   end
controller  left      left      left      back      back      back      back      kept/on   on
ctrl-c      back      back      back      back      back      back      back      on        on
ssh         left      left      left      back      back      back      back      kept/on   on
pilot       on/back   -         back      on        on        on        on        back/on   -
dockerd     left/back/on left/back/on left/back on/back   on/back   on/back   on/back   kept/on   on
haproxy     on        on        on/back   back      back      back      back      on        on
new         -         on        on/back   on/back   on/back   on/back   on/back   on        on
old         on        on        on/back   on        on        on        on        on        on
reboot      left      left      left      back      back      back      back      kept      on
disk        left/back left/back left/back on/back   on/back   on/back   on/back   kept/on   on
plone       back      back      on/back   on/back   on/back   on/back   on/back   on        on
"""

# A warm rollback starts nothing and rehearses nothing, and its shift proves the slot.
ROLLBACK = """
            begin     prove     100%      shifted   confirm   end
controller  left      back      back      back      kept/on   on
ctrl-c      back      back      back      back      on        on
ssh         left/on   back/on   back/on   back      kept/on   on
pilot       on/back   on        on        on        back/on   -
dockerd     left/back/on on/back on/back  on/back   kept/on   on
haproxy     on        on/back   back      back      on        on
new         on        on/back   on/back   on/back   on        on
old         on        on        on        on        on        on
reboot      left/on   left/back/on back   back      kept      on
disk        left/back on/back   on/back   on/back   kept/on   on
plone       on        on        on        on        on        on
"""

NONE = {
    ("upgrade", "start", "pilot"): "the pilot that starts the container is that of `prove`",
    ("upgrade", "end", "pilot"): "the pilot that confirms frees the lock",
    ("rollback", "end", "pilot"): "the pilot that confirms frees the lock",
    ("upgrade", "begin", "new"): "there is no new container yet",
}


@dataclass(frozen=True)
class Cell:
    """One fault at one step of one verb, and the outcomes that are right."""

    verb: str
    step: str
    fault: str
    outcomes: frozenset[str]

    @property
    def id(self) -> str:
        return f"{self.verb}-{self.step}-{self.fault}"


def _cells(verb: str, table: str) -> list[Cell]:
    steps, *rows = (line.split() for line in table.strip().splitlines())
    return [
        Cell(verb, step, fault, frozenset(outcomes.split("/")))
        for fault, *columns in rows
        for step, outcomes in zip(steps, columns, strict=True)
        if outcomes != "-"
    ]


CELLS = [*_cells("upgrade", UPGRADE), *_cells("rollback", ROLLBACK)]


def chosen(of: str, count: int) -> list[Cell]:
    """Return the cells for "all", or `count` for a day like "2026-01-31": the next ones every day, all of them in turn.

    Raises ValueError for anything else.
    """
    # Neighbours in the table are much alike; in this order, which never changes, they are far apart.
    mixed = sorted(CELLS, key=lambda cell: hashlib.sha256(cell.id.encode()).digest())
    if of == "all":
        return mixed
    return of_the_day(mixed, count, date.fromisoformat(of))
