"""The canary analysis: judges the candidate against the baseline in the same window. Pure.

The candidate is slower where the *lower* bound of its p95 exceeds the *upper* bound of the baseline's, bucket bounds
and rank uncertainty included, or its mean exceeds the baseline's beyond chance, both in the same mix of requests.
Slowdowns below about a factor of 2 are left to the performance gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eduhub_pilot.analysis.histogram import Histogram, Z, alike
from eduhub_pilot.model.facts import Counts
from eduhub_pilot.model.shift_plan import Limits
from eduhub_pilot.model.verdict import Word

QUANTILE = 0.95
PLONES = "Plone's "
# As our bridge calls, in the label `cache`, what a stored page answered.
HIT = "hit"
# HAProxy's mean is over its last 1024 answers: it belongs to this window only once there were as many.
MEAN_ANSWERS = 1024


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
        """Return the journal's fields; a quantile's seconds as [least, most] that it can be."""
        return {
            "answers": self.answers, "errors": self.errors, "connection_errors": self.faults, "queue": self.queued,
            "p50_seconds": bounds(self.requests, 0.5), "p95_seconds": bounds(self.requests, QUANTILE),
            "plone_p50_seconds": bounds(self.plone, 0.5), "plone_p95_seconds": bounds(self.plone, QUANTILE),
        }  # fmt: skip


def bounds(histogram: Histogram | None, quantile: float) -> list[float | None] | None:
    """Return [least, most] seconds that a quantile can be, by its bucket; None without answers, most None: no bound."""
    if not histogram or not histogram.count:
        return None
    low, high = histogram.quantile(quantile, z=0)
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
    """Return why traffic has to move back at once, or None; evaluated at every check."""
    # Where both fail, as when Plone does, one of them is the first to reach the limit: the other has to have answered
    # well at its end.
    if new.row >= limits.errors_in_a_row and not old.row:
        return f"answered {new.row} requests in a row with errors (5xx)"
    if new.faults - old.faults >= limits.connection_errors:
        return f"failed {new.faults} connections (baseline {old.faults})"
    if new.queued >= limits.queue and new.queued > 2 * old.queued:
        return f"has {new.queued} requests queued (baseline {old.queued})"
    if new.answers < limits.answers:
        return None
    allowed = limits.alone_errors_percent / 100
    if old.answers:
        bound = wilson(old.errors, old.answers)[1] + limits.errors_percent / 100
        # Few answers of the baseline never count against the candidate: where both fail, one has enough of them first.
        allowed = bound if old.answers >= limits.answers else max(allowed, bound)
    if wilson(new.errors, new.answers)[0] > allowed:
        beside = f" (baseline {old.errors} of {old.answers})" if old.answers else ""
        return f"answered {new.errors} of {new.answers} requests with errors (5xx){beside}"
    return None


def wilson(errors: int, answers: int, z: float = Z) -> tuple[float, float]:
    """Return the Wilson score interval of an error rate (Wilson 1927); valid for few answers and for no errors."""
    share, spread = errors / answers, z * z / answers
    centre = share + spread / 2
    margin = z * math.sqrt(share * (1 - share) / answers + spread / answers / 4)
    return max(0.0, (centre - margin) / (1 + spread)), min(1.0, (centre + margin) / (1 + spread))


def judge(new: Side, old: Side, limits: Limits, reference: bool = False) -> tuple[Word, str]:
    """Return the verdict on a whole window, and its reason; `reference`: `old` is from the window before.

    Too few samples are `inconclusive`, and the shift continues: the gates have proven the candidate.
    """
    if why := misbehaves(new, old, limits):
        return "fail", why
    judged, counts = [], []
    for what, mine, other in _compared(new, old):
        word, why = _slower(what, mine, other, limits)
        if word == "fail":
            return word, why + (" before the step" if reference else "")
        judged += [why] if word == "pass" else []
        counts.append((mine.count, other.count))
    if not counts and new.mean_seconds is not None and old.mean_seconds is not None:
        if new.mean_seconds > max(old.mean_seconds * limits.slower, old.mean_seconds + limits.slower_seconds):
            return "fail", f"mean latency is {new.mean_seconds:g} s (baseline {old.mean_seconds:g} s)"
        judged.append("mean latency is within its limit")
    if judged:
        return "pass", "; ".join(judged)
    most, beside = max(counts, key=min, default=(0, 0))
    return "inconclusive", (
        f"no errors beyond the limits in {new.answers} answers (baseline {old.answers}); too few were timed to compare "
        f"latencies ({most} and {beside} of one kind, {limits.latencies:g} each are needed)"
    )


def slowed(new: Side, old: Side, limits: Limits) -> str | None:
    """Return why the candidate has become slower than the baseline was before, or None.

    `old` is of another time, so only where Plone answers as fast as then: else the cause cannot be told apart. And by
    p95 alone: clients that download slowly, a few more of them than then, make a mean another one.
    """
    found = {whose: _by_quantile(whose, mine, other, limits) for whose, mine, other in _compared(new, old)}
    if found.pop(PLONES, ("inconclusive", ""))[0] != "pass":
        return None
    return next((why for word, why in found.values() if word == "fail"), None)


def _compared(new: Side, old: Side) -> list[tuple[str, Histogram, Histogram]]:
    """Return what is compared, by name: all requests, those that no stored page answered, and what Plone was asked.

    Each in the same mix on both sides: a new slot's store of pages is empty, and it asks Plone more often for a while.
    """
    found = []
    if new.requests and old.requests:
        found.append(("", *alike(new.requests, old.requests)))
        if any(("cache", HIT) in labels for labels in new.requests.parts):
            found.append(("without stored pages ", *alike(new.requests.only(_asked), old.requests.only(_asked))))
    if new.plone and old.plone:
        found.append((PLONES, *alike(new.plone, old.plone)))
    return found


def _asked(labels: Mapping[str, str]) -> bool:
    return labels.get("cache") != HIT


def _slower(whose: str, new: Histogram, old: Histogram, limits: Limits) -> tuple[Word, str]:
    if min(new.count, old.count) >= limits.latencies and (why := _mean(whose, new, old, limits)):
        return "fail", why
    return _by_quantile(whose, new, old, limits)


def _by_quantile(whose: str, new: Histogram, old: Histogram, limits: Limits) -> tuple[Word, str]:
    if min(new.count, old.count) < limits.latencies:
        return "inconclusive", ""
    what = f"{whose}p95"
    (least, most), (_, bound) = new.quantile(QUANTILE), old.quantile(QUANTILE)
    if bound == math.inf:
        return "inconclusive", ""
    if least > max(bound * limits.slower, bound + limits.slower_seconds):
        return "fail", f"{what} is above {least:g} s (baseline below {bound:g} s)"
    shown = f"below {most:g} s" if most < math.inf else f"above {least:g} s"
    return "pass", f"{what} is {shown} (baseline below {bound:g} s)"


def _mean(whose: str, new: Histogram, old: Histogram, limits: Limits) -> str | None:
    """Return why the mean is slower beyond chance (one-sided 99%), or None.

    A mean is known exactly, and shows a factor of two, which no bucket does; one very slow request makes it uncertain.
    """
    mine, other = new.mean(), old.mean()
    if mine is None or other is None:
        return None
    (mean, error), (beside, beside_error) = mine, other
    margin = Z * math.sqrt(error + limits.slower**2 * beside_error)
    if mean - limits.slower * beside <= margin or mean - beside <= limits.slower_seconds:
        return None
    return f"{whose}mean latency is {mean:.3g} s (baseline {beside:.3g} s)"
