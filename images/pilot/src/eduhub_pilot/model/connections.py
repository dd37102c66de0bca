"""The drain ledger: the connections that a slot has left, as HAProxy 2.6 lists them. Pure.

`show sess all` names neither path nor age in seconds: the path comes from the stick table `inflight`, whose keys are
"address:port path" of the requests that are not over, and the age from the time at which the stream began.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from eduhub_pilot.model.facts import Slot

Kind = Literal["request", "stream", "websocket"]
# Server-sent events of our bridge: like a WebSocket they never end by themselves, and their clients connect again.
EVENTS = "/api/v1/events"
# The connections in one line of the journal; more go into further lines.
LISTED = 50
UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Connection:
    """One connection of the public at a slot. `path` is None where HAProxy does not list it; `seconds` is its age.

    `request`: its answer has not begun; `stream`: the answer is being sent; `websocket`: both sides send.
    """

    path: str | None
    seconds: int
    kind: Kind

    @property
    def lasting(self) -> bool:
        """Whether it only ends when somebody ends it."""
        return self.kind == "websocket" or (self.kind == "stream" and self.path == EVENTS)

    def named(self) -> str:
        return f"{self.path or 'an unknown path'} ({self.kind}, {self.seconds} s)"


def connections(sessions: str, table: str, slot: Slot) -> list[Connection]:
    """Return the connections at the public backend of `slot`, oldest first."""
    paths = _paths(table)
    found = []
    for text in _at(sessions, slot):
        source = re.search(r" source=(\S+)", text)
        found.append(Connection(paths.get(source[1] if source else ""), _age(text), _kind(text)))
    return sorted(found, key=lambda each: (-each.seconds, each.path or ""))


def unanswered(sessions: str, slot: Slot, seconds: float) -> int:
    """Return how many requests at `slot` have waited so long for their answer to begin.

    One whose body is still being sent does not wait for the slot: a slow upload is no silence.
    """
    texts = [text for text in _at(sessions, slot) if _kind(text) == "request" and " req.st=MSG_DATA " not in text]
    return sum(_age(text) >= seconds for text in texts)


def _at(sessions: str, slot: Slot) -> list[str]:
    texts = re.split(r"^(?=0x[0-9a-f]+: )", sessions, flags=re.MULTILINE)
    return [text for text in texts if re.search(rf"^  backend={slot} \(", text, re.MULTILINE)]


def _kind(text: str) -> Kind:
    status = re.search(r" status=(-?\d+) ", text)
    return {"-1": "request", "101": "websocket"}.get(status[1] if status else "-1", "stream")  # type: ignore[return-value]


def _age(text: str) -> int:
    age = re.search(r" age=(\S+?)\)", text)
    return _seconds(age[1] if age else "")


def ended(table: str) -> int:
    """Return how many requests the stick table remembers that are over."""
    return len(re.findall(r"^0x[0-9a-f]+: key=.* conn_cur=0$", table, re.MULTILINE))


def _paths(table: str) -> dict[str, str]:
    # "0x7f…: key=127.0.0.1:41440\ /plone/a use=1 exp=… conn_cur=1"
    # Requests at the same time over one connection of HTTP/2 cannot be told apart: none of them is called by a path
    # that never ends while another one may end.
    found: dict[str, str] = {}
    for source, path in re.findall(r"key=(\S+?)\\ (.*?) use=.* conn_cur=[1-9]", table):
        known = found.get(source)
        found[source] = path.replace("\\ ", " ") if known in {None, EVENTS} else known
    return found


def _seconds(age: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([dhms])", age))


def pages(found: Sequence[Connection]) -> list[list[dict[str, Any]]]:
    """Return the ledger for the journal, LISTED a line; one empty line for no connection."""
    return [[asdict(each) for each in found[at : at + LISTED]] for at in range(0, len(found), LISTED)] or [[]]


def words(found: Sequence[Connection], shown: int = 5) -> str:
    """Return the first of them in words."""
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return ", ".join(each.named() for each in found[:shown]) + more
