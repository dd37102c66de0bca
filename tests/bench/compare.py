"""From measured rounds to what may be said of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eduhub_pilot.analysis import statistics

# The arms of every comparison of two Pythons: the older, the newer, and the older once more as the control.
BASE, OTHER, CONTROL = "base", "other", "control"
ARMS = (BASE, OTHER, CONTROL)
# A finding that is none.
TOO_FEW = "too few rounds"


def gain(rounds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return how many times less the newer Python takes than the older one, with interval, control and finding.

    `rounds` has a list for each arm, a value for each round, in any unit of which less is better.
    """
    measured = statistics.ratio(list(zip(rounds[BASE], rounds[OTHER], strict=True)))
    control = statistics.ratio(list(zip(rounds[BASE], rounds[CONTROL], strict=True)))
    words = {"more": "faster", "less": "slower", "unresolved": "unresolved"}
    enough = len(rounds[BASE]) >= statistics.FEWEST_ROUNDS
    return {
        "ratio": asdict(measured),
        "control": asdict(control),
        "finding": words[statistics.finding(measured, control)] if enough else TOO_FEW,
    }


def times(one: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Return how many times `one` is `other`, round by round, with its interval."""
    return asdict(statistics.ratio(list(zip(one, other, strict=True))))


def added(one: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Return by how much `one` exceeds `other`, round by round, with its interval."""
    return asdict(statistics.difference(list(zip(one, other, strict=True))))


def medians(rounds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median over the rounds of each arm."""
    return {arm: statistics.median(values) for arm, values in rounds.items()}
