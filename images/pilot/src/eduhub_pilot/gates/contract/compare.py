"""Compares two answers, place by place. Pure: replies in, differences and sentences out.

An answer becomes a mapping of places to texts: `status`, `header vary`, `body.items[0].price`, `body line 7`. Numbers
stay as they were written, so 1 and 1.0 differ; the order of keys does not count.

Content may change while it is asked, or be another each time, so a difference is asked for again, until both releases
being the same would be less probable than `CHANCE` (what only one of them ever gave is spread over all answers as a
draw would spread it). A status, and whether a value is there, is compared as it is. Where the live release differs from
itself, a value is compared by its kind (null, boolean, number, text), and by its *form* (digits, letters, and what is
between them) if the live release keeps to one.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eduhub_pilot.adapters.http import REPLY_BYTES
from eduhub_pilot.gates.contract.requests import ContractCriteria, Request
from eduhub_pilot.model.facts import Reply

Places = Mapping[str, str]
LONGEST = 80
WORD = re.compile(r"[0-9A-Za-z]*[A-Za-z][0-9A-Za-z]*")
DIGITS = re.compile(r"[0-9]+")
ROW = re.compile(r"\[\d+\]")
NUMBER = re.compile(r"-?[0-9].*|NaN|-?Infinity")
LINE = "body line "
# Between cookies in one header; the comma within a date is followed by no name and `=`.
COOKIES = re.compile(r",\s*(?=[^;,=\s]+=)")
TIMES = re.compile(r"(?:expires|max-age)\b", re.IGNORECASE)
CODED = re.compile(r"[0-9A-Za-z]*[0-9][0-9A-Za-z]*")
# Headers whose value is a set of names (RFC 9110, sections 10.2.1 and 12.5.5; Fetch Standard, CORS).
SETS = (
    "allow", "vary", "access-control-allow-headers", "access-control-allow-methods", "access-control-expose-headers",
)  # fmt: skip
# So improbable must a difference be between two that are the same; a failure that only the candidate has tells sooner.
CHANCE, FAILURE_CHANCE = 1e-4, 1e-2
SILENT = {
    "no_listener": "no process listens", "closed": "the connection is cut", "timeout": "no answer before the timeout",
}  # fmt: skip


class Written(str):
    """A number as it was written."""

    __slots__ = ()


@dataclass(frozen=True)
class Difference:
    """What differs between live release and candidate in one place; None where it lacks that place.

    `sure`: it would be too improbable if both releases were the same; `answers` of the candidate have it.
    """

    where: str
    live: str | None
    candidate: str | None
    sure: bool = field(default=False, compare=False)
    answers: int = field(default=0, compare=False)


def places(request: Request, reply: Reply, wanted: ContractCriteria) -> Places:
    """Return the places of one reply, but for those that are ignored."""
    found = {"status": SILENT[reply.trouble] if reply.trouble in SILENT else str(reply.status)}
    if reply.trouble is None:
        given = [name for name in wanted.headers if name in reply.headers]
        found |= {f"header {name}": _header(name, reply.headers[name]) for name in given}
        found |= {f"header {name}": "there" for name in wanted.presence if name in reply.headers}
        if "set-cookie" in wanted.presence and "set-cookie" in reply.headers:
            found |= dict(_cookies(reply.headers["set-cookie"]))
        found |= dict(_length(request, reply))
        found |= dict(_body(reply))
    path = request.path.partition("?")[0]
    return {
        where: value
        for where, value in found.items()
        if not any(each.fits(path, where) for each in wanted.ignored)
    }


def _header(name: str, value: str) -> str:
    """Return a header's value; a set of names without their order, which each process may choose anew."""
    if name not in SETS:
        return value
    methods = name in ("allow", "access-control-allow-methods")
    return ", ".join(sorted({each.strip() if methods else each.strip().title() for each in value.split(",")} - {""}))


def _cookies(value: str) -> Iterator[tuple[str, str]]:
    """Yield each cookie's attributes without its value and its times; digits in a name may be another's each time."""
    for cookie in COOKIES.split(value):
        pair, *attributes = (each.strip() for each in cookie.split(";"))
        kept = {each.partition("=")[0].lower() if TIMES.match(each) else each.lower() for each in attributes}
        yield f"header set-cookie.{CODED.sub('*', pair.partition('=')[0])}", "; ".join(sorted(kept)) or "no attribute"


def _length(request: Request, reply: Reply) -> Iterator[tuple[str, str]]:
    """Yield the length that is announced, where the body that was read does not tell it."""
    announced = reply.headers.get("content-length", "")
    if request.method == "HEAD" and announced:
        yield "header content-length", announced
    elif announced.isdecimal() and int(announced) > len(reply.body) and request.method == "GET":
        whole = "cut off" if len(reply.body) < REPLY_BYTES else announced
        yield "body length", whole


def _body(reply: Reply) -> Iterator[tuple[str, str]]:
    if not reply.body:
        return
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            document = json.loads(reply.body, parse_int=Written, parse_float=Written, parse_constant=Written)
        except (ValueError, RecursionError):
            pass  # compared as text: an answer that is broken in the same way is no difference
        else:
            yield from _flat("body", document)
            return
    try:
        text = reply.body.decode()
    except UnicodeDecodeError:
        yield "body", f"{len(reply.body)} bytes with sha256 {hashlib.sha256(reply.body).hexdigest()}"
        return
    lines = text.splitlines()
    yield "body lines", str(len(lines))
    for number, line in enumerate(lines, 1):
        yield f"body line {number}", line.strip()


def _flat(where: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield each value of a JSON document with its place."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _flat(f"{where}.{name}", part)
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from _flat(f"{where}[{number}]", part)
    else:
        yield where, value if isinstance(value, Written) else json.dumps(value, ensure_ascii=False)


def form(value: str | None) -> str | None:
    """Return the form of a value: words as `a`, numbers as `0`, and what stands between them."""
    return None if value is None else DIGITS.sub("0", WORD.sub("a", value))


def kind(where: str, value: str) -> str:
    """Return the kind of a value: those of JSON, else a text."""
    if where.startswith(("header ", LINE)):
        return "text"
    if value in ("null", "[]", "{}"):
        return value
    if value in ("true", "false"):
        return "boolean"
    return "number" if NUMBER.fullmatch(value) else "text"


def failed(status: str) -> bool:
    """Return whether a status is one of a failure: 500 or above, or no answer."""
    return not status.isdecimal() or int(status) >= 500


def probability(ours: int, of_ours: int, theirs: int, of_theirs: int) -> float:
    """Return how probable it is that of all that is odd, so much or more falls to ours by chance (Fisher)."""
    odd, all_of = ours + theirs, of_ours + of_theirs
    ways = (math.comb(of_ours, each) * math.comb(of_theirs, odd - each) for each in range(ours, min(odd, of_ours) + 1))
    return sum(ways) / math.comb(all_of, odd)


def differing(live: Sequence[Places], candidate: Sequence[Places]) -> list[Difference]:
    """Return what differs, from several pairs of answers, each asked close together; in the order of the places.

    Answers of one status are compared with each other. What both gave at some time is no difference.
    """
    found = _statuses([each.get("status", "") for each in live], [each.get("status", "") for each in candidate])
    for status in dict.fromkeys(each.get("status") for each in live):
        theirs, ours = ([each for each in some if each.get("status") == status] for some in (live, candidate))
        if ours:
            found += _within(theirs, ours)
    return found


def _statuses(live: Sequence[str], candidate: Sequence[str]) -> list[Difference]:
    """Return the statuses that the live release never gives, and failures that it has much more seldom."""
    usual = next((each for each in reversed(live) if not failed(each)), live[-1])
    found = []
    for status in dict.fromkeys(each for each in candidate if each not in live):
        limit = FAILURE_CHANCE if failed(status) else CHANCE
        found.append(_difference("status", usual, status, candidate.count(status), len(candidate), len(live), limit))
    failures, before = ([each for each in some if failed(each)] for some in (candidate, live))
    if before and not found and not failed(usual):
        chance = probability(len(failures), len(candidate), len(before), len(live))
        if chance <= FAILURE_CHANCE:
            found.append(Difference("status", usual, failures[-1], True, len(failures)))
    return found


def _difference(
    where: str, live: str | None, candidate: str | None, odd: int, of_ours: int, of_theirs: int, limit: float = CHANCE
) -> Difference:
    return Difference(where, live, candidate, probability(odd, of_ours, 0, of_theirs) <= limit, odd)


def _within(live: Sequence[Places], candidate: Sequence[Places]) -> list[Difference]:
    """Return the differences of answers with one status."""
    wheres = dict.fromkeys(place for answer in [*live, *candidate] for place in answer)
    # Lines that are there or not move all that follow: then a text is compared as the set of its lines.
    moving = len({each.get("body lines") for each in live}) > 1
    found, rows = [], _Rows(live)
    for where in wheres:
        if moving and (where == "body lines" or where.startswith(LINE)):
            continue
        theirs, ours = [each.get(where) for each in live], [each.get(where) for each in candidate]
        if odd := [value for value in ours if value not in theirs and rows.odd(where, value, theirs)]:
            shown = theirs[-1]
            found.append(_difference(where, shown, odd[-1], len(odd), len(ours), len(theirs)))
    return found + (_lines(live, candidate) if moving else [])


class _Rows:
    """What the live release gives in a place and in the same one of other rows of its list."""

    def __init__(self, live: Sequence[Places]) -> None:
        self.values: dict[str, set[str]] = {}
        self.varying: set[str] = set()
        self.missing: set[str] = set()
        for where in dict.fromkeys(place for answer in live for place in answer):
            given, row = {each.get(where) for each in live}, ROW.sub("[*]", where)
            self.values.setdefault(row, set()).update(each for each in given if each is not None)
            if len(given) > 1:
                self.varying.add(row)
            if None in given:
                self.missing.add(row)

    def odd(self, where: str, value: str | None, theirs: Sequence[str | None]) -> bool:
        """Return whether a value that the live release never gives in this place differs in what can be compared."""
        row = ROW.sub("[*]", where)
        if row not in self.varying:
            return True
        if row in self.missing and value is None:
            return False
        if value is None or (row not in self.missing and None in theirs):
            return True
        if kind(where, value) not in {kind(where, each) for each in self.values[row]}:
            return True
        forms = {form(each) for each in self.values[row]}
        return len(forms) == 1 and form(value) not in forms


def _lines(live: Sequence[Places], candidate: Sequence[Places]) -> list[Difference]:
    """Return lines that only the candidate has, and those that each answer of the live release has and not its own."""
    theirs, ours = ([_by_form(each) for each in some] for some in (live, candidate))
    found = []
    for shape in dict.fromkeys(shape for answer in [*theirs, *ours] for shape in answer):
        ones, others = [each.get(shape) for each in theirs], [each.get(shape) for each in ours]
        lines = [each for each in (*ones, *others) if each is not None]
        where, line = lines[-1]
        if all(ones) and (odd := others.count(None)):
            found.append(_difference(where, line, None, odd, len(ours), len(theirs)))
        elif not any(ones):
            found.append(_difference(where, None, line, len(lines), len(ours), len(theirs)))
    return found


def _by_form(answer: Places) -> dict[str | None, tuple[str, str]]:
    return {form(value): (where, value) for where, value in answer.items() if where.startswith(LINE)}


def gathered(differences: Sequence[Difference], status: int | None) -> list[tuple[Difference, int]]:
    """Return the differences of one request that are worth a finding each, with how often.

    Another status makes everything else another too; rows of a list differ together; a text, and what an error says,
    differ as a whole.
    """
    by_place = {each.where: each for each in differences}
    if "status" in by_place:
        return [(by_place["status"], 1)]
    media = by_place.get("header content-type")
    found: dict[str, tuple[Difference, int]] = {}
    for each in differences:
        where = ROW.sub("[*]", each.where)
        if where.startswith("body") and media and _media(media.live) != _media(media.candidate):
            continue
        if where.startswith("body") and (where.startswith("body line") or (status or 0) >= 400):
            found.setdefault("body", (replace(each, where=where), 1))
        else:
            first, count = found.get(where, (replace(each, where=where), 0))
            found[where] = (first, count + 1)
    return list(found.values())


def _media(value: str | None) -> str:
    return (value or "").partition(";")[0]


@dataclass(frozen=True)
class Finding:
    """One difference, on all `requests` that have it."""

    difference: Difference
    requests: tuple[Request, ...]
    times: int = 1

    @property
    def sentence(self) -> str:
        """Request, place, and both values."""
        first, *more = self.requests
        also = f", and the same on {len(more)} more requests" if more else ""
        often = f" ({self.times} times)" if self.times > 1 else ""
        where, live, candidate = self.difference.where, _shown(self.difference.live), _shown(self.difference.candidate)
        return f"{first.named}: {where} is {live} on the live release and {candidate} on the candidate{often}{also}."


def _shown(value: str | None) -> str:
    if value is None:
        return "absent"
    shown = " ".join(value.split())
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


def findings(found: Iterable[tuple[Request, Difference, int]]) -> list[Finding]:
    """Return the findings: a header that differs in the same way on several requests is one."""
    grouped: dict[object, Finding] = {}
    for request, difference, times in found:
        key = difference if difference.where.startswith("header ") else (request, difference)
        before = grouped.get(key)
        grouped[key] = (
            replace(before, requests=(*before.requests, request)) if before else Finding(difference, (request,), times)
        )
    return list(grouped.values())
