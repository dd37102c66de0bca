"""HAProxy's runtime API on its admin socket. Formats as HAProxy 2.6 speaks them (management guide, chapter 9.3).

A connection sends `command;command` and a newline; each answer ends with an empty line, then HAProxy closes. A killed
HAProxy restarts within a second or two, so every call is repeated for up to `timeout` seconds. All calls are
idempotent: they set values.
"""

from __future__ import annotations

import csv
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TypeVar

from eduhub_pilot.adapters.clock import Clock
from eduhub_pilot.model.connections import Connection, connections, ended, unanswered
from eduhub_pilot.model.errors import ProxyDownError
from eduhub_pilot.model.facts import SLOTS, Counts, Process, Slot, Transport

T = TypeVar("T")
PAUSE_SECONDS = 0.1
# An answer takes a millisecond; a host under load may need longer.
ANSWER_SECONDS = 2.0
# The servers of a slot's backend that are the slot itself, by socket or by published port; the third is its queue.
SERVERS = ("slot", "published")
WAITS = "wait"
# In the container of Plone's endpoint: whether writes are taken.
WRITES = "/run/eduhub/edge/writes.map"
READS = "reads"
SESSIONS = ("show sess all", "show table inflight")


@dataclass(frozen=True)
class Moved:
    """HAProxy's answer in the connection that moved traffic: green's traffic weight now, and the process."""

    weight: int
    process: Process


@dataclass(frozen=True)
class Certificate:
    """A certificate that HAProxy serves: its file there, SHA-1 fingerprint in hexadecimal, and the end of its life."""

    file: str
    fingerprint: str
    ends: datetime


@dataclass(frozen=True)
class Public:
    """The public's requests: those at a slot now, oldest first, and how many were within edge_drain_quiet_seconds."""

    recent: int
    open: Sequence[Connection]


@dataclass(frozen=True)
class Proxy:
    """HAProxy at the socket `admin`, reading its maps from the folder `maps` (a path as HAProxy sees it)."""

    admin: Path
    maps: str = "/var/lib/eduhub/edge"
    clock: Clock = field(default_factory=Clock)

    @property
    def _traffic(self) -> str:
        return f"{self.maps}/traffic.map"

    @property
    def _releases(self) -> str:
        return f"{self.maps}/releases.map"

    def move(self, weight: int, timeout: float) -> Moved:
        """Set green's traffic weight, in percent, and return the state of HAProxy after that."""
        set_it = f"set map {self._traffic} green {weight}"

        def once() -> Moved:
            said, shown, info = self._ask(set_it, f"show map {self._traffic}", "show info")
            self._silent(said, set_it)
            return Moved(self._weight(shown), _process(info))

        return self._insist(once, timeout)

    def now(self, timeout: float) -> Moved:
        """Return green's traffic weight now, and the process."""

        def once() -> Moved:
            shown, info = self._ask(f"show map {self._traffic}", "show info")
            return Moved(self._weight(shown), _process(info))

        return self._insist(once, timeout)

    def version(self, timeout: float) -> str:
        """Return HAProxy's version, with that of its package."""

        def once() -> str:
            return _fields(self._ask("show info")[0]).get("Version") or _nameless("version")

        return self._insist(once, timeout)

    def name(self, slot: Slot, release: str, timeout: float) -> None:
        """Let the answers of `slot` carry `release` in X-EduHub-Release."""
        command = f"set map {self._releases} {slot} {release}"
        self._insist(lambda: self._silent(self._ask(command)[0], command), timeout)

    def reach(self, slot: Slot, transport: Transport, timeout: float) -> None:
        """Let the bridge in `slot` be reached by its socket or its published port."""
        command = f"set map {self.maps}/transport.map {slot} {transport}"
        self._insist(lambda: self._silent(self._ask(command)[0], command), timeout)

    def set_writes(self, value: str, timeout: float) -> None:
        """Let the edge take or refuse writes, as `maintenance_value` says it."""
        command = f"set map {self.maps}/maintenance.map writes {value}"
        self._insist(lambda: self._silent(self._ask(command)[0], command), timeout)

    def set_draining(self, wanted: bool, timeout: float) -> None:
        """Let a balancer that asks for this host's health be told to go elsewhere, or to come."""
        command = f"set map {self.maps}/drain.map draining {int(wanted)}"
        self._insist(lambda: self._silent(self._ask(command)[0], command), timeout)

    def set_wait(self, wanted: bool, timeout: float) -> None:
        """Let requests at Plone's endpoint wait while Plone does not listen, or fail at once."""
        command = f"set map {self.maps}/waits.map plone {'yes' if wanted else 'no'}"
        self._insist(lambda: self._silent(self._ask(command)[0], command), timeout)

    def set_plone_writes(self, value: str, timeout: float) -> None:
        """Let Plone's endpoint take or refuse writes, as `maintenance_value` says it."""
        command = f"set map {WRITES} writes {value}"
        self._insist(lambda: self._silent(self._ask(command)[0], command), timeout)

    def knows_plone_writes(self, timeout: float) -> bool:
        """Return whether Plone's endpoint can refuse writes."""
        return self._insist(lambda: " writes " in self._ask(f"show map {WRITES}")[0], timeout)

    def certificates(self, timeout: float) -> list[Certificate]:
        """Return the certificates that HAProxy has loaded, in the order of their files."""

        def once() -> list[Certificate]:
            (listed,) = self._ask("show ssl cert")
            files = sorted(line for line in listed.splitlines() if line.startswith("/"))
            shown = self._ask(*(f"show ssl cert {file}" for file in files)) if files else []
            return [_certificate(file, text) for file, text in zip(files, shown, strict=True)]

        return self._insist(once, timeout)

    def replace_certificate(self, file: str, pem: str, timeout: float) -> None:
        """Let HAProxy serve the certificate, chain and key in `pem` as `file` from the next handshake on.

        No connection is cut. ProxyDownError where HAProxy refuses them; it then serves what it served before.
        """

        def once() -> None:
            # HAProxy has one transaction at a time; one that a pilot left behind is marked by a star.
            (listed,) = self._ask("show ssl cert")
            for line in listed.splitlines():
                if line.startswith("*"):
                    self._ask(f"abort ssl cert {line[1:]}")
            # A payload ends with an empty line.
            body = "\n".join(line for line in pem.splitlines() if line.strip())
            (said,) = self._ask(f"set ssl cert {file} <<\n{body}\n")
            if "Transaction" in said:
                (said,) = self._ask(f"commit ssl cert {file}")
            if "Success" not in said:
                self._ask(f"abort ssl cert {file}")
                raise ProxyDownError(f"HAProxy did not take {file}: {' '.join(said.split())[:200]}")

        self._insist(once, timeout)

    def counts(self, slot: Slot, timeout: float) -> Counts:
        """Return the counters of the public backend of `slot`."""
        return self._insist(lambda: _counts(self._ask(f"show stat {slot} 6 -1")[0], slot), timeout)

    def counts_of_plone(self, timeout: float) -> Counts:
        """Return the counters of Plone's backends at its endpoint: several processes have a second one for reads."""

        def once() -> Counts:
            # By its name HAProxy would find the frontend, which has the same.
            table = self._ask("show stat -1 6 -1")[0]
            found = _counts(table, "plone")
            return found + _counts(table, READS) if f"\n{READS},BACKEND," in table else found

        return self._insist(once, timeout)

    def busy_plone(self, timeout: float) -> bool:
        """Return whether Plone has a request; where it has several processes, one that does more than read."""

        def once() -> bool:
            found = _counts(self._ask("show stat -1 6 -1")[0], "plone")
            return bool(found.sessions or found.queued)

        return self._insist(once, timeout)

    def processes_of_plone(self, timeout: float) -> dict[str, bool]:
        """Return whether each process of Plone answers, by the names of its sockets; empty where one has no others."""

        def once() -> dict[str, bool]:
            rows = csv.DictReader(self._ask("show stat -1 4 -1")[0].removeprefix("# ").splitlines())
            ours = (row for row in rows if row["pxname"] == READS and row["svname"] != WAITS)
            return {row["svname"]: row["status"].startswith("UP") for row in ours}

        return self._insist(once, timeout)

    def public(self, timeout: float) -> Public:
        """Return the public's requests at both slots: those that are not over, and how many ended a moment ago."""

        def once() -> Public:
            sessions, table = self._ask(*SESSIONS)
            found = [each for slot in SLOTS for each in connections(sessions, table, slot)]
            return Public(ended(table), sorted(found, key=lambda each: -each.seconds))

        return self._insist(once, timeout)

    def left(self, slot: Slot, timeout: float) -> list[Connection]:
        """Return the public connections at `slot`, oldest first."""

        def once() -> list[Connection]:
            sessions, table = self._ask(*SESSIONS)
            return connections(sessions, table, slot)

        return self._insist(once, timeout)

    def unanswered(self, slot: Slot, seconds: float, timeout: float) -> int:
        """Return how many of the public's requests have waited for `seconds` until `slot` begins to answer."""
        return self._insist(lambda: unanswered(self._ask(SESSIONS[0])[0], slot, seconds), timeout)

    def cut(self, slot: Slot, timeout: float) -> list[Connection]:
        """Cut the public connections at `slot`, and return those that there were."""
        cuts = [f"shutdown sessions server {slot}/{server}" for server in SERVERS]

        def once() -> list[Connection]:
            sessions, table, *said = self._ask(*SESSIONS, *cuts)
            for words, command in zip(said, cuts, strict=True):
                self._silent(words, command)
            return connections(sessions, table, slot)

        return self._insist(once, timeout)

    def _weight(self, shown: str) -> int:
        # "0x55bff3c3e6c0 green 100": a reference, the key, the value
        for line in shown.splitlines():
            match line.split():
                case [_, "green", value] if value.isdigit():
                    return int(value)
        raise ProxyDownError(f"HAProxy shows {shown.strip()[:100]!r} for {self._traffic}, not a line 'green WEIGHT'.")

    def _silent(self, said: str, command: str) -> None:
        # Success is an empty answer; everything else is an error message.
        if said.strip():
            raise ProxyDownError(f"HAProxy answered '{command}' with {said.strip()[:100]!r}.")

    def _insist(self, once: Callable[[], T], timeout: float) -> T:
        deadline = self.clock.monotonic() + timeout
        while True:
            try:
                return once()
            except ProxyDownError:
                if self.clock.monotonic() >= deadline:
                    raise
                self.clock.sleep(PAUSE_SECONDS)

    def _ask(self, *commands: str) -> list[str]:
        """Return the answers to `commands`, sent on one connection; ProxyDownError unless all are complete."""
        deadline = time.monotonic() + ANSWER_SECONDS
        received = b""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ANSWER_SECONDS)
                connection.connect(str(self.admin))
                connection.sendall(";".join(commands).encode() + b"\n")
                while chunk := connection.recv(65536):
                    received += chunk
                    connection.settimeout(max(0.01, deadline - time.monotonic()))
        except OSError as error:
            raise ProxyDownError(f"HAProxy does not answer on its admin socket ({error.strerror or error}).") from None
        answers = _split(received.decode(errors="replace"))
        if len(answers) != len(commands):
            raise ProxyDownError("HAProxy closed its admin socket before the answer was complete.")
        return answers


def _split(text: str) -> list[str]:
    """Return the answers in `text`: each ends with an empty line, and one that says nothing is that line alone."""
    answers: list[str] = []
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        if line == "\n":
            answers.append("".join(lines))
            lines = []
        else:
            lines.append(line)
    return answers


def _certificate(file: str, shown: str) -> Certificate:
    fields = dict(line.split(": ", 1) for line in shown.splitlines() if ": " in line)
    try:
        ends = datetime.strptime(fields["notAfter"].strip(), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
        return Certificate(file, fields["SHA1 FingerPrint"].strip().lower(), ends)
    except (KeyError, ValueError):
        raise ProxyDownError(f"HAProxy shows no fingerprint and date of {file}.") from None


def _fields(info: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)


def _nameless(what: str) -> NoReturn:
    raise ProxyDownError(f"HAProxy's 'show info' names no {what}.")


def _process(info: str) -> Process:
    fields = _fields(info)
    try:
        return Process(int(fields["Pid"]), int(fields["Start_time_sec"]))
    except (KeyError, ValueError):
        _nameless("process")


def _counts(table: str, backend: str) -> Counts:
    # CSV with the header "# pxname,svname,..."
    lines = csv.DictReader(table.removeprefix("# ").splitlines())
    rows = {row["svname"]: row for row in lines if row["pxname"] == backend}
    if "BACKEND" not in rows:
        raise ProxyDownError(f"HAProxy has no backend {backend}.")
    row, waits = rows["BACKEND"], rows.get(WAITS, {})
    # Not `hrsp_other`: a client that gave up, which says nothing about the slot.
    classes = {name: int(row[f"hrsp_{name}"] or 0) for name in ("1xx", "2xx", "3xx", "4xx", "5xx")}
    return Counts(
        sessions=int(row["scur"] or 0),
        answers=sum(classes.values()),
        errors=classes["5xx"],
        queued=int(row["qcur"] or 0) + int(waits.get("scur") or 0),
        faults=sum(int(row[name] or 0) for name in ("econ", "eresp", "wretr")),
        mean_seconds=int(row["rtime"] or 0) / 1000,
        requests=int(row["stot"] or 0),
        aborts=int(row["hrsp_other"] or 0),
    )
