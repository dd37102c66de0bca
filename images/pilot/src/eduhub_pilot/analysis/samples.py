"""The samples of a shift: about a line a second, with both slots' counters since the line before. Pure.

A line holds what was *added* since the one before it: lines can be summed over any time, and a line that is lost,
truncated, or from a restarted HAProxy affects no other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from eduhub_pilot.analysis.canary import Side
from eduhub_pilot.analysis.histogram import Histogram
from eduhub_pilot.model.facts import SLOTS, Slot

SCHEMA = 1
# This many lines are a second apart, the next as many two, then four: a day is some thousand lines.
DENSE = 600
MOST = 8 * DENSE


@dataclass(frozen=True)
class Part:
    """One slot in the time of one sample. Latencies are counts by the upper bound of their bucket, in seconds."""

    answers: int = 0
    errors: int = 0
    faults: int = 0
    queued: int = 0
    requests: Mapping[float, int] = field(default_factory=dict)
    plone: Mapping[float, int] = field(default_factory=dict)

    def plus(self, other: Part) -> Part:
        """Return both times as one; `queued` is that of the later one, `other`."""
        return Part(
            self.answers + other.answers, self.errors + other.errors, self.faults + other.faults, other.queued,
            _sum(self.requests, other.requests), _sum(self.plone, other.plone),
        )  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """What happened in the `seconds` before `time` (UTC, RFC 3339); `weight` is green's at its end, in percent."""

    time: str
    seconds: float
    weight: int
    slots: Mapping[Slot, Part]


def header(run: str) -> str:
    """Return the first line of a file of samples."""
    return json.dumps({"schema": SCHEMA, "run": run}, separators=(",", ":")) + "\n"


def interval(lines: int) -> float:
    """Return how many seconds after the last of so many lines the next one comes; infinite once there are enough."""
    return math.inf if lines >= MOST else 2.0 ** (lines // DENSE)


def part(side: Side) -> Part:
    """Return a slot's window as a part of a sample."""
    return Part(
        max(0, side.answers), max(0, side.errors), max(0, side.faults), side.queued,
        _counts(side.requests), _counts(side.plone),
    )  # fmt: skip


def line(moment: Moment) -> str:
    """Return one line, newline included; what is zero is left out."""
    fields: dict[str, Any] = {"time": moment.time, "seconds": round(moment.seconds, 3), "weight": moment.weight}
    for slot, each in moment.slots.items():
        fields[slot] = {
            name: {f"{bound:g}": count for bound, count in value.items()} if isinstance(value, Mapping) else value
            for name, value in vars(each).items()
            if value
        }
    return json.dumps(fields, separators=(",", ":")) + "\n"


def parse(lines: Iterable[str]) -> tuple[list[Moment], int]:
    """Return the moments in a file's lines, and how many lines (not its headers) are none, or a newer pilot's."""
    found, broken, known = [], 0, True
    for text in lines:
        try:
            fields = json.loads(text)
            if "schema" in fields:
                known = fields["schema"] == SCHEMA
                continue
            slots = {slot: _parsed(fields[slot]) for slot in SLOTS}
            seconds, weight = float(fields["seconds"]), int(fields["weight"])
            timed = datetime.fromisoformat(fields["time"]).tzinfo
            sound = known and 0 <= seconds < 1e6 and 0 <= weight <= 100 and timed
            found += [Moment(fields["time"], seconds, weight, slots)] if sound else []
            broken += not sound
        except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            broken += 1
    return found, broken


def total(moments: Iterable[Moment], slot: Slot) -> Part:
    """Return a slot's part of some moments, as one."""
    found = Part()
    for each in moments:
        found = found.plus(each.slots[slot])
    return found


def histogram(counts: Mapping[float, int]) -> Histogram:
    """Return the histogram of counts by bucket."""
    so_far, buckets = 0, []
    for bound in sorted({*counts, math.inf}):
        so_far += counts.get(bound, 0)
        buckets.append((bound, float(so_far)))
    return Histogram(tuple(buckets)) if so_far else Histogram()


def _counts(found: Histogram | None) -> dict[float, int]:
    """Return what fell into each bucket, without those that stay empty; the one below says where a bucket begins."""
    counts: dict[float, int] = {}
    before, below = 0.0, None
    for bound, cumulative in found.buckets if found else ():
        if cumulative > before:
            if below is not None:
                counts.setdefault(below, 0)
            counts[bound] = int(cumulative - before)
        before, below = cumulative, bound
    return counts


def _sum(one: Mapping[float, int], two: Mapping[float, int]) -> dict[float, int]:
    return {bound: one.get(bound, 0) + two.get(bound, 0) for bound in sorted({*one, *two})}


def _parsed(fields: Mapping[str, Any]) -> Part:
    answers, errors, faults, queued = (int(fields.get(name, 0)) for name in ("answers", "errors", "faults", "queued"))
    if not 0 <= min(answers, errors, faults, queued) <= max(answers, errors, faults, queued) < 1e15:
        raise ValueError(fields)
    requests, plone = (_buckets(fields.get(name, {})) for name in ("requests", "plone"))
    return Part(answers, errors, faults, queued, requests, plone)


def _buckets(fields: Mapping[str, Any]) -> dict[float, int]:
    found = {float(bound): int(count) for bound, count in fields.items()}
    if not all(bound >= 0 and 0 <= count < 1e15 for bound, count in found.items()):
        raise ValueError(fields)
    return found
