"""Statistics for comparisons on a noisy machine: in what order to measure, and what may be concluded. Pure.

A comparison has arms (what is compared) and rounds (one measurement of every arm, close together in time). What
drifts, drifts over both arms of a round, so only values of the same round are compared with each other, and rounds
are what is resampled. One arm is measured twice under two names, as a control: what the two differ by is noise.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")
Finding = Literal["more", "less", "unresolved"]

# Resampling is repeated exactly for the same measurements.
SEED = 20111
RESAMPLES = 2000
CONFIDENCE = 0.95
# Fewer rounds than this give an interval that is narrower than it claims.
FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, `low` <= `value` <= `high`, all in the unit of what was estimated."""

    value: float
    low: float
    high: float


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of `values` do not exceed, interpolated; raise ValueError for none.

    Definition 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996), as in R and NumPy.
    """
    if not values:
        raise ValueError("There is no quantile of nothing.")
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"A share is between 0 and 1, not {share}.")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    # Written so that equal neighbours give themselves, whatever the rounding.
    return min(max(low + (place - below) * (high - low), low), high)


def median(values: Sequence[float]) -> float:
    """Return the median; raise ValueError for no values."""
    return quantile(values, 0.5)


def interleaved(arms: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield (round, arm) in the order to measure: every second round backwards, so that a steady drift cancels."""
    for number in range(rounds):
        for arm in arms if number % 2 == 0 else reversed(arms):
            yield number, arm


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Return when requests are due, in seconds from now: a Poisson process of `rate` a second, the same for a seed.

    Open arrivals: they are fixed before anything is answered, so a stall delays none of them and hides nothing.
    """
    source = random.Random(seed)  # noqa: S311 - it guards no secret
    due: list[float] = []
    at = source.expovariate(rate)
    while at < seconds:
        due.append(at)
        at += source.expovariate(rate)
    return due


def bootstrap(
    rounds: Sequence[T],
    statistic: Callable[[Sequence[T]], float],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Return `statistic` of `rounds` with its percentile bootstrap interval; raise ValueError for no rounds.

    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife" (1979). With fewer than FEWEST_ROUNDS rounds
    the interval is too narrow to be believed.
    """
    value = statistic(rounds)
    source = random.Random(seed)  # noqa: S311
    again = [statistic(source.choices(rounds, k=len(rounds))) for _ in range(resamples)]
    tail = (1.0 - confidence) / 2.0
    low, high = quantile(again, tail), quantile(again, 1.0 - tail)
    return Estimate(value, min(low, value), max(high, value))


def ratio(pairs: Sequence[tuple[float, float]], resamples: int = RESAMPLES) -> Estimate:
    """Return how many times the first of each round's pair is the second: the median over rounds, with its interval.

    Medians of logarithms, so that exchanging the two gives exactly the inverse. Raise ValueError for a value that is
    not above zero, or for no pairs.
    """
    if any(not 0.0 < value < math.inf for pair in pairs for value in pair):
        raise ValueError("A ratio needs values above zero.")
    logarithms = [math.log(first) - math.log(second) for first, second in pairs]
    found = bootstrap(logarithms, median, resamples=resamples)
    return Estimate(math.exp(found.value), math.exp(found.low), math.exp(found.high))


def difference(pairs: Sequence[tuple[float, float]], resamples: int = RESAMPLES) -> Estimate:
    """Return by how much the first of each round's pair exceeds the second: the median over rounds, with interval."""
    return bootstrap([first - second for first, second in pairs], median, resamples=resamples)


def finding(measured: Estimate, control: Estimate) -> Finding:
    """Return whether a ratio is more or less than 1 beyond what the control's interval, or its inverse, explains."""
    noise = max(control.high, 1.0 / control.low)
    if measured.low > noise:
        return "more"
    if measured.high < 1.0 / noise:
        return "less"
    return "unresolved"
