"""The facts that adapters return and analysis judges. Plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Slot = Literal["blue", "green"]
# How the edge reaches the bridge in a slot: by the socket in their shared directory, or by a published port.
Transport = Literal["socket", "tcp"]
Trouble = Literal["refused", "no_listener", "closed", "timeout"]
# The name of the part that the shift's container plays.
SHIFT = "shift"
# Our Plone, the container that is to take over from it, and the one that it took over from.
PLONE, STANDBY_PLONE, PREVIOUS_PLONE = "plone", "plone-standby", "plone-previous"
# What waits for the confirmation of another version of Plone.
PLONE_AWAIT = "plone-await"
SLOTS: tuple[Slot, Slot] = ("blue", "green")


def other(slot: Slot) -> Slot:
    """Return the slot that is not `slot`."""
    return "green" if slot == "blue" else "blue"


def weight_of(slot: Slot) -> int:
    """Return green's traffic weight, in percent, when `slot` gets all public requests."""
    return 100 if slot == "green" else 0


def slot_of(weight: int) -> Slot:
    """Return the slot that gets at least half of the public requests."""
    return "green" if weight >= 50 else "blue"


@dataclass(frozen=True)
class Image:
    """An image on the engine; `python` is the full version of its label, as "3.11.2", or None.

    `identity` is the same on every engine, which the id is not; empty where it is not known.
    """

    id: str
    python: str | None = None
    identity: str = ""


@dataclass(frozen=True)
class Container:
    """A container; `state` is the engine's word: created, running, restarting, paused, exited, dead, removing.

    `command` is its entry point and command in one, `mounts` are the paths on which something is mounted. `in_files`:
    whether Plone's database is files in its volume, by the container's environment.
    """

    name: str
    state: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    restarts: int = 0
    exit_code: int = 0
    health: str | None = None
    command: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    id: str = ""
    in_files: bool = True

    @property
    def runs(self) -> bool:
        return self.state == "running"

    @property
    def release(self) -> str | None:
        return self.labels.get("org.eduhub.release")


@dataclass(frozen=True)
class Found:
    """Lines of a log, oldest first; `whole`: whether all of the log was read for them."""

    lines: Sequence[str]
    whole: bool = True


@dataclass(frozen=True)
class Reply:
    """A whole reply: as `Answer`, with all headers, their names in lower case, and the body as it came."""

    status: int | None
    seconds: float
    trouble: Trouble | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Look:
    """What a program printed that was run in a container's image, and its exit code.

    `trouble`: the image has no such program (`absent`), or it took more than the `seconds` or `memory` it was given.
    """

    code: int
    output: str
    trouble: Literal["absent", "seconds", "memory"] | None = None


@dataclass(frozen=True)
class Process:
    """One life of HAProxy's worker: its process id and its start in seconds since the epoch."""

    pid: int
    started: int


@dataclass(frozen=True)
class Counts:
    """What HAProxy counted for one slot's public backend.

    `sessions` and `queued` are those of now: requests at the slot, and requests that wait for it, in HAProxy's queue or
    its waiting room. The rest is since HAProxy started: `requests`, `answers` of any status, `errors` (5xx) among them,
    `faults` (connections that failed, answers that broke off, retries), and `aborts`: requests whose client gave up
    before an answer began, which are no answers. `mean_seconds` is over the last 1024 answers.
    """

    sessions: int = 0
    answers: int = 0
    errors: int = 0
    queued: int = 0
    faults: int = 0
    mean_seconds: float = 0.0
    requests: int = 0
    aborts: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return what both counted; the mean weighs their answers."""
        answers = self.answers + other.answers
        spent = self.mean_seconds * self.answers + other.mean_seconds * other.answers
        return Counts(
            self.sessions + other.sessions, answers, self.errors + other.errors, self.queued + other.queued,
            self.faults + other.faults, spent / answers if answers else 0.0, self.requests + other.requests,
            self.aborts + other.aborts,
        )  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One answer, or why there was none. Times in seconds.

    `trouble` is None for an HTTP answer, else `refused` (the edge refused the connection), `no_listener` (no process
    listens in the slot), `closed` (connection closed without an answer) or `timeout`. `slot` and `release` are the
    edge's headers, absent where HAProxy answered by itself.
    """

    status: int | None
    seconds: float
    trouble: Trouble | None = None
    slot: str | None = None
    release: str | None = None
    location: str | None = None
    body: str = ""

    @property
    def good(self) -> bool:
        return self.trouble is None and self.status is not None and 200 <= self.status < 300


SILENT: Mapping[Trouble, str] = {
    "refused": "refused the connection", "no_listener": "has no process listening", "closed": "closed the connection",
    "timeout": "did not answer before the timeout",
}  # fmt: skip


def answered(answer: Answer | Reply) -> str:
    """Return in words what came back: a predicate without its subject."""
    return SILENT[answer.trouble] if answer.trouble else f"answered {answer.status}"
