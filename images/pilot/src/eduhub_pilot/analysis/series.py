"""The samples of a run as points of a plot: bounded in number, with notes on gaps. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any

from eduhub_pilot.analysis import samples
from eduhub_pilot.analysis.histogram import Histogram
from eduhub_pilot.analysis.samples import Moment
from eduhub_pilot.model.facts import SLOTS

POINTS = 300
# A distance this much longer than a sample is a gap.
SLACK_SECONDS = 3.0
# A longer gap is a clock that was set.
MOST_SECONDS = 86400.0


@dataclass(frozen=True)
class Series:
    """`points`, oldest first; `steps`: one for each traffic weight; `notes`: what is incomplete."""

    points: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    notes: list[str]


def series(lines: Iterable[str]) -> Series:
    """Return the series of a samples file, in at most POINTS points and as many steps."""
    moments, broken = samples.parse(lines)
    notes = [f"{count(broken, 'line')} of the samples could not be read."
             ] if broken else []  # fmt: skip
    if any(later.time < earlier.time for earlier, later in pairwise(moments)):
        notes.append("The host's clock was set back: the samples keep the times of that clock.")
    moments.sort(key=when)
    gaps = [_gap(earlier, later) for earlier, later in pairwise(moments)]
    if missing := [seconds for seconds in gaps if seconds]:
        notes.append(f"The samples have {count(len(missing), 'gap')}, {sum(missing):.0f} s in all: nothing could be "
                     "recorded then.")  # fmt: skip
    apart = list(zip(moments, [0.0, *gaps], strict=False))
    steps = [_one(list(group)) for _, group in groupby(apart, key=lambda each: each[0].weight)]
    return Series([_point(*each) for each in merged(apart)], [_point(*each) for each in steps[-POINTS:]], notes)


def merged(moments: Sequence[tuple[Moment, float]]) -> list[tuple[Moment, float]]:
    """Return the moments, each with the seconds missing before it, as at most POINTS.

    None spans a move or a gap, unless there are hundreds of those.
    """
    size = max(1, math.ceil(len(moments) / POINTS))
    tries = (list(_merged(moments, size * factor, strictly=True)) for factor in (1, 2))
    found = next((found for found in tries if len(found) <= POINTS), None)
    return list(_merged(moments, size, strictly=False)) if found is None else found


def _merged(moments: Sequence[tuple[Moment, float]], size: int, *, strictly: bool) -> Iterator[tuple[Moment, float]]:
    group: list[tuple[Moment, float]] = []
    for each in moments:
        if group and (len(group) >= size or (strictly and (each[1] or each[0].weight != group[0][0].weight))):
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
    found: dict[str, Any] = {"time": moment.time, "seconds": round(moment.seconds, 3), "weight": moment.weight}
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
