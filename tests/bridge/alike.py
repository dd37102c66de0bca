"""What two answers must have in common to be the same. Pure functions."""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from tests.bridge.door import Answer, Door, Request

# Header fields that are not compared, and why. All others are: names, values, order, repetitions.
NOT_COMPARED = {
    "connection": "it belongs to one connection, and there are two",
    "date": "the second at which the answer was made",
    "cache-status": "says whether the bridge had to ask Plone (RFC 9211)",
    "age": "how many seconds the bridge has stored the page",
    "content-length": "compared as right or wrong, since the site's address may be longer (after HEAD as it is)",
}
# What one and the same Plone tells differently for the same request, wherever it stands.
VOLATILE = {
    r" [~^]+\"": "a traceback's carets: Python 3.11 marks more or less of a line as its interpreter specialises",
    r" at 0x[0-9a-f]+": "where an object lies in memory",
}
# What is new each time that something is made: only in stories, which make things.
MADE = {
    "time": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)?",
    "date": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
    "token": r"eyJ[\w-]+\.[\w-]+\.[\w-]+",
    "ticket": r"(?<=__ac=)[\w%/.~-]+",
    "authenticator": r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])",
    "schema": r"Plone_5_\d+_2_\d+_0_talk",
    "uid": r"[0-9a-f]{32}",
    "lock": r"0\.\d+-0\.\d+-\w+:[\d.]+",
    "stamp": r"(?<!\d)\d{15,19}(?!\d)",
    "seconds": r"(?<=\"time\": )\d+\.\d+",
    "transaction": r"(?<=\"id\": \")[\w+/]{11}=(?=[ \"])",
}
_TEXT = re.compile(r"^(text/|application/(json|problem\+json|xml|rss\+xml|atom\+xml|javascript)|image/svg)")


@dataclass(frozen=True)
class Told:
    """An answer without the address it was asked at, and without what is new each time."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: str

    def difference(self, other: Told) -> str:
        """Return the lines in which `other` differs, or nothing."""
        here, there = (
            [str(told.status), *(f"{name}: {value}" for name, value in told.fields), "", *told.body.splitlines()]
            for told in (self, other)
        )
        return "\n".join(difflib.unified_diff(here, there, "Plone", "bridge", n=0, lineterm=""))


class Numbers:
    """Gives each thing that is new its number, so that the same thing is the same in all answers of a story."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def named(self, text: str) -> str:
        """Return `text` with a name for each made-up value."""
        for kind, pattern in MADE.items():
            text = re.sub(pattern, lambda found, kind=kind: self._name(kind, found[0]), text)
        return text

    def _name(self, kind: str, value: str) -> str:
        if kind in ("time", "date", "token", "ticket", "seconds", "authenticator", "schema"):
            return f"{{{kind}}}"  # two of them are alike or not by chance, as when they tell the second
        return self._known.setdefault(value, f"{{{kind} {len(self._known) + 1}}}")


def told(answer: Answer, request: Request, door: Door, numbers: Numbers | None = None) -> Told:
    """Return what of an answer is compared."""

    pages = not answer.field("content-type").startswith("application/json")

    def neutral(text: str) -> str:
        for spelling in (door.base, quote(door.base), quote(door.base, safe="")):
            text = text.replace(spelling, "{base}")
        text = text.replace(door.who, "{who}")
        if pages:  # whose links may have no host
            text = re.sub(rf"""(?<=["'(=>])/{re.escape(door.mount)}(?=["'/])""", "{mount}", text)
        text = text.replace(quote(door.root, safe=""), "") if "{root}" in request.path and door.root else text
        for pattern in (*VOLATILE, *request.volatile):
            text = re.sub(pattern, "{volatile}", text)
        return numbers.named(text) if numbers else text

    fields = [(name, neutral(value)) for name, value in answer.fields if name not in NOT_COMPARED]
    length = answer.field("content-length")
    if length and request.method != "HEAD":
        length = "right" if int(length) == len(answer.body) else "wrong"
    if _TEXT.match(answer.field("content-type")):
        body = neutral(answer.body.decode("utf-8", "backslashreplace"))
    else:
        body = f"{len(answer.body)} bytes, SHA-256 {hashlib.sha256(answer.body).hexdigest()}" if answer.body else ""
    return Told(answer.status, (*fields, ("content-length", length)), body)
