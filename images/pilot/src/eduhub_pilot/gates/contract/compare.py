"""Compares two answers, place by place. Pure: replies in, differences and sentences out.

An answer becomes a mapping of places to texts: `status`, `header vary`, `body.items[0].price`, `body line 7`. Numbers
stay as they were written, so 1 and 1.0 differ; the order of keys does not count. Content may change while it is asked,
so a difference is requested again, and where the live release differs from itself, the candidate is compared by the
*form* of its values only: digits, letters, and what is between them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eduhub_pilot.gates.contract.requests import ContractCriteria, Request
from eduhub_pilot.model.facts import Reply

Places = Mapping[str, str]
LONGEST = 80
WORD = re.compile(r"[0-9A-Za-z]*[A-Za-z][0-9A-Za-z]*")
DIGITS = re.compile(r"[0-9]+")
ROW = re.compile(r"\[\d+\]")
SILENT = {"nobody": "no process listens", "closed": "the connection is cut", "timeout": "no answer before the timeout"}


class Written(str):
    """A number as it was written."""

    __slots__ = ()


@dataclass(frozen=True)
class Difference:
    """What differs between live release and candidate in one place; None where it lacks that place."""

    where: str
    live: str | None
    candidate: str | None


def places(request: Request, reply: Reply, wanted: ContractCriteria) -> Places:
    """Return the places of one reply, but for those that are ignored."""
    found = {"status": SILENT[reply.trouble] if reply.trouble in SILENT else str(reply.status)}
    if reply.trouble is None:
        found |= {f"header {name}": reply.headers[name] for name in wanted.headers if name in reply.headers}
        found |= {f"header {name}": "there" for name in wanted.presence if name in reply.headers}
        found |= dict(_body(reply))
    path = request.path.partition("?")[0]
    return {
        where: value
        for where, value in found.items()
        if not any(each.fits(path, where) for each in wanted.ignored)
    }


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


def differing(live: Sequence[Places], candidate: Sequence[Places]) -> list[Difference]:
    """Return what differs, from several pairs of answers, each asked close together; in the order of the places."""
    found = []
    for where in dict.fromkeys(place for answer in [*live, *candidate] for place in answer):
        theirs, ours = [each.get(where) for each in live], [each.get(where) for each in candidate]
        if _differ(theirs, ours) or _forms_differ(theirs, ours):
            found.append(Difference(where, theirs[-1], next(each for each in reversed(ours) if each != theirs[-1])))
    return found


def _differ(live: Sequence[str | None], candidate: Sequence[str | None]) -> bool:
    """Return whether the candidate differs from a steady live release; one of two workers may be right by turns."""
    return len(set(live)) == 1 and set(live) != set(candidate)


def _forms_differ(live: Sequence[str | None], candidate: Sequence[str | None]) -> bool:
    """Return whether both vary, each in a form of its own."""
    forms = {*map(form, live)}, {*map(form, candidate)}
    return len(set(live)) > 1 and len(forms[0]) == len(forms[1]) == 1 and forms[0] != forms[1]


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
