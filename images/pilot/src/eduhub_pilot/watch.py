"""Judging the new slot beside the other one, both in the same window. Pure: numbers in, a verdict with words out.

Latencies come from the bridge's histograms, so a quantile is only known to lie between two bucket bounds, which are a
factor of 2 to 2.5 apart. A slot is called slower only where the *least* its p95 can be exceeds the *most* that the
other's can be, rank uncertainty included: slowdowns below about that factor are for the performance gate to find.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eduhub_pilot.facts import Counts
from eduhub_pilot.steps import Limits
from eduhub_pilot.verdict import Word

QUANTILE = 0.95
# One-sided 99% of the normal distribution. Requests on one host are not independent, so this is a margin, no promise.
Z = 2.33
# HAProxy's mean is over its last 1024 answers: of this window only once there were as many.
MEAN_ANSWERS = 1024


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts by upper bound in seconds, ascending, the last one infinite; as Prometheus has them."""

    buckets: tuple[tuple[float, float], ...] = ()

    @property
    def count(self) -> int:
        return int(self.buckets[-1][1]) if self.buckets else 0

    def since(self, before: Histogram) -> Histogram | None:
        """Return what was added since `before`; None where the counting began anew, or by other buckets, meanwhile."""
        was = dict(before.buckets)
        added = tuple((bound, count - was.get(bound, 0.0)) for bound, count in self.buckets)
        counts = [count for _, count in added]
        sound = counts == sorted(counts) and (not counts or counts[0] >= 0)
        return Histogram(added) if sound and (not was or was.keys() == dict(self.buckets).keys()) else None

    def quantile(self, quantile: float, z: float = Z) -> tuple[float, float]:
        """Return the least and the most that a quantile can be, in seconds; 0 and infinity where nothing is known.

        The rank of a quantile in n samples has standard deviation sqrt(n q (1-q)); bucket bounds do the rest.
        """
        middle = self.count * quantile
        margin = z * math.sqrt(self.count * quantile * (1 - quantile))
        low, high = 0.0, math.inf
        edge = 0.0
        for bound, cumulative in self.buckets:
            if cumulative < middle - margin:
                low = bound
            if high == math.inf and cumulative >= middle + margin:
                high = bound
            edge = bound
        return (low if low < edge else 0.0, high) if self.count else (0.0, math.inf)


@dataclass(frozen=True)
class Sample:
    """One slot's counters at one moment; a histogram is None where the slot offers none."""

    counts: Counts
    requests: Histogram | None = None
    plone: Histogram | None = None


@dataclass(frozen=True)
class Side:
    """One slot in one window. `row`: errors at its end with no good answer between."""

    answers: int = 0
    errors: int = 0
    faults: int = 0
    queued: int = 0
    row: int = 0
    mean_seconds: float | None = None
    requests: Histogram | None = None
    plone: Histogram | None = None

    def document(self) -> dict[str, Any]:
        """Return what the journal holds of it; seconds as [least, most] of the p95."""
        return {
            "answers": self.answers, "errors": self.errors, "connection_errors": self.faults, "queue": self.queued,
            "p95_seconds": _shown(self.requests), "plone_p95_seconds": _shown(self.plone),
        }  # fmt: skip


def _shown(histogram: Histogram | None) -> list[float | None] | None:
    if not histogram or not histogram.count:
        return None
    low, high = histogram.quantile(QUANTILE, z=0)
    return [low, None if high == math.inf else high]


def side(before: Sample, now: Sample, row: int = 0) -> Side:
    """Return a slot's window from its samples at both ends."""
    answers = now.counts.answers - before.counts.answers
    return Side(
        answers, now.counts.errors - before.counts.errors, now.counts.faults - before.counts.faults,
        now.counts.queued, row, now.counts.mean_seconds if answers >= MEAN_ANSWERS else None,
        _added(before.requests, now.requests), _added(before.plone, now.plone),
    )  # fmt: skip


def _added(before: Histogram | None, now: Histogram | None) -> Histogram | None:
    return now.since(before) if now and before else None


def row(so_far: int, before: Counts, now: Counts) -> int:
    """Return how many errors there were in a row, where there had been `so_far`; any good answer ends a row."""
    answers, errors = now.answers - before.answers, now.errors - before.errors
    return so_far + errors if answers == errors else 0


def misbehaves(new: Side, old: Side, limits: Limits) -> str | None:
    """Return why traffic must go back at once, or None; asked at every look."""
    if new.row >= limits.errors_in_a_row > old.row:
        return f"answered {new.row} requests in a row with errors (5xx)"
    if new.faults - old.faults >= limits.connection_errors:
        return f"failed {new.faults} connections, the other slot {old.faults}"
    if new.queued >= limits.queue and new.queued > 2 * old.queued:
        return f"lets {new.queued} requests wait, the other slot {old.queued}"
    if new.answers < limits.answers:
        return None
    allowed = limits.alone_errors_percent / 100
    if old.answers >= limits.answers:
        allowed = wilson(old.errors, old.answers)[1] + limits.errors_percent / 100
    if wilson(new.errors, new.answers)[0] > allowed:
        beside = f" and {old.errors} of {old.answers} of the other slot's" if old.answers else ""
        return f"answered {new.errors} of {new.answers} requests with errors (5xx){beside}"
    return None


def wilson(errors: int, answers: int, z: float = Z) -> tuple[float, float]:
    """Return the Wilson score interval of a share of errors (Wilson 1927); sound for few answers and for none wrong."""
    share, spread = errors / answers, z * z / answers
    centre = share + spread / 2
    margin = z * math.sqrt(share * (1 - share) / answers + spread / answers / 4)
    return max(0.0, (centre - margin) / (1 + spread)), min(1.0, (centre + margin) / (1 + spread))


def judge(new: Side, old: Side, limits: Limits, reference: bool = False) -> tuple[Word, str]:
    """Return the verdict on a whole window, and its reason; `reference`: `old` is from the window before.

    Too few samples is `inconclusive`, whose one consequence here is to go on: the gates have proven the slot.
    """
    if why := misbehaves(new, old, limits):
        return "fail", why
    judged = []
    for what, mine, other in (("its p95", new.requests, old.requests), ("Plone's p95 behind it", new.plone, old.plone)):
        word, why = _slower(what, mine, other, limits)
        if word == "fail":
            return word, why + (" before" if reference else "")
        judged += [why] if word == "pass" else []
    if not judged and new.mean_seconds is not None and old.mean_seconds is not None:
        if new.mean_seconds > max(old.mean_seconds * limits.slower, old.mean_seconds + limits.slower_seconds):
            return "fail", f"answers in {new.mean_seconds:g} s on average, the other slot in {old.mean_seconds:g} s"
        judged.append("it is not slower on average")
    if judged:
        return "pass", "; ".join(judged)
    return "inconclusive", (
        f"nothing amiss in {new.answers} answers beside {old.answers} of the other slot, too few of them timed to "
        f"compare latencies ({_count(new.requests)} and {_count(old.requests)}, {limits.latencies:g} each are needed)"
    )


def _count(histogram: Histogram | None) -> int:
    return histogram.count if histogram else 0


def _slower(what: str, new: Histogram | None, old: Histogram | None, limits: Limits) -> tuple[Word, str]:
    if not new or not old or min(new.count, old.count) < limits.latencies:
        return "inconclusive", ""
    (least, most), (_, bound) = new.quantile(QUANTILE), old.quantile(QUANTILE)
    if bound == math.inf:
        return "inconclusive", ""
    if least > max(bound * limits.slower, bound + limits.slower_seconds):
        return "fail", f"{what} is above {least:g} s, the other slot's below {bound:g} s"
    shown = f"below {most:g} s" if most < math.inf else f"above {least:g} s"
    return "pass", f"{what} is {shown}, the other slot's below {bound:g} s"


def parse_histogram(text: str, family: str, without: tuple[str, ...] = ()) -> Histogram | None:
    """Return the sum of a family's histograms in a Prometheus text, without series on routes that begin with `without`.

    None where the text has no such family: it may be a page of another application.
    """
    sums: dict[float, float] = {}
    for line in text.splitlines():
        if not line.startswith(f"{family}_bucket{{"):
            continue
        labels, _, value = line.removeprefix(f"{family}_bucket{{").rpartition("} ")
        said = _labels(labels)
        if said.get("route", "-").startswith(without or "\0"):
            continue
        try:
            bound = math.inf if said["le"] == "+Inf" else float(said["le"])
            sums[bound] = sums.get(bound, 0.0) + float(value)
        except (KeyError, ValueError):
            return None
    known = sums or f"# TYPE {family} histogram" in text
    return Histogram(tuple(sorted(sums.items()))) if known else None


def _labels(text: str) -> Mapping[str, str]:
    # `a="1",b="2"`: our labels hold no comma and no quote, and a foreign family's are only passed over.
    pairs = (pair.partition("=") for pair in text.split('",'))
    return {name: value.strip('"') for name, _, value in pairs}
