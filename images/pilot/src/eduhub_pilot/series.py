"""The samples of a run as points of a plot: bounded in number, with what is missing said in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from eduhub_pilot import samples
from eduhub_pilot.facts import SLOTS
from eduhub_pilot.histogram import Histogram
from eduhub_pilot.samples import Moment

POINTS = 300
# Samples that are so much further apart than they are long have lost some between them.
SLACK_SECONDS = 3.0
# What takes longer than a day is a clock that was set.
MOST_SECONDS = 86400.0


def series(lines: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the points, oldest first and at most POINTS, and a sentence for each thing that is not as it should be."""
    moments, broken = samples.parse(lines)
    notes = [f"{count(broken, 'line')} of the samples cannot be read and {'is' if broken == 1 else 'are'} left out."
             ] if broken else []  # fmt: skip
    if any(later.time < earlier.time for earlier, later in pairwise(moments)):
        notes.append("The host's clock was set back meanwhile: samples stand where its clock put them.")
    moments.sort(key=when)
    gaps = [_gap(earlier, later) for earlier, later in pairwise(moments)]
    if missing := [seconds for seconds in gaps if seconds]:
        notes.append(f"The samples have {count(len(missing), 'gap')}, {sum(missing):.0f} s in all: nothing could be "
                     "written down then.")  # fmt: skip
    return [_point(*each) for each in merged(list(zip(moments, [0.0, *gaps], strict=False)))], notes


def merged(moments: Sequence[tuple[Moment, float]]) -> list[tuple[Moment, float]]:
    """Return the moments, each with the seconds missing before it, as at most POINTS; none spans a move or a gap."""
    size = max(1, math.ceil(len(moments) / POINTS))
    found = list(_merged(moments, size, True))
    while len(found) > POINTS:
        size += 1
        found = list(_merged(moments, size, size < len(moments)))
    return found


def _merged(moments: Sequence[tuple[Moment, float]], size: int, strictly: bool) -> Iterator[tuple[Moment, float]]:
    group: list[tuple[Moment, float]] = []
    for each in moments:
        if group and (len(group) >= size or (strictly and (each[1] or each[0].share != group[0][0].share))):
            yield _one(group)
            group = []
        group.append(each)
    if group:
        yield _one(group)


def _one(group: Sequence[tuple[Moment, float]]) -> tuple[Moment, float]:
    moments = [each for each, _ in group]
    slots = {slot: samples.total(moments, slot) for slot in SLOTS}
    return replace(moments[-1], seconds=sum(each.seconds for each in moments), slots=slots), group[0][1]


def _point(moment: Moment, gap: float) -> dict[str, Any]:
    found: dict[str, Any] = {"time": moment.time, "seconds": round(moment.seconds, 3), "share": moment.share}
    found |= {"gap_seconds": round(gap, 1)} if gap else {}
    for slot in SLOTS:
        part = moment.slots[slot]
        timed = samples.histogram(part.requests)
        found[slot] = {
            "answers": part.answers, "errors": part.errors + part.faults,
            "per_second": round(part.answers / moment.seconds, 2) if moment.seconds else None,
            "p50_seconds": estimated(timed, 0.5), "p95_seconds": estimated(timed, 0.95),
        }  # fmt: skip
    return found


def estimated(histogram: Histogram, quantile: float) -> float | None:
    """Return a quantile in seconds, taken to lie in its bucket as if that were evenly filled (histogram_quantile).

    None where nothing was timed; in the last bucket, which is open, where that begins.
    """
    rank, low, below = histogram.count * quantile, 0.0, 0.0
    for bound, cumulative in histogram.buckets:
        if cumulative >= rank and cumulative > below:
            share = (rank - below) / (cumulative - below)
            return round(low if bound == math.inf else low + (bound - low) * share, 6)
        low, below = bound, cumulative
    return None


def when(moment: Moment) -> datetime:
    """Return the end of a moment."""
    return datetime.fromisoformat(moment.time)


def count(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _gap(earlier: Moment, later: Moment) -> float:
    missing = (when(later) - when(earlier)).total_seconds() - later.seconds
    return missing if max(SLACK_SECONDS, later.seconds) < missing < MOST_SECONDS else 0.0
