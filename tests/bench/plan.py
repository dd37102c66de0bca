"""How much is measured: the full plan, and the quick one, whose numbers are only indicative. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from builder import Refusal

MOST_ROUNDS = 99
PARTS = ("in-process", "http", "latency", "plone")


@dataclass(frozen=True)
class Plan:
    """Rounds of every comparison, and the size of one measurement in it. Seconds are wall time, rates a second."""

    quick: bool
    rounds: int
    # in-process: pyperf's values of one process, and requests of one value in units of twenty
    values: int
    warmups: int
    loops: int
    # http: open arrivals, then as many requests as are sent one after the other by some connections
    rate: float
    window_seconds: float
    saturation_requests: int
    connections: int
    # latency
    latency_rate: float
    latency_seconds: float
    # plone: of `hot_requests` at most as many as take `hot_seconds` at the rate of the `first_requests`; browsers for
    # whole periods of their editor
    pages: int
    hot_seconds: float
    hot_requests: int
    browsers_seconds: float
    first_requests: int
    users: int
    think_seconds: float
    accounts: int
    mixed_seconds: float
    mixed_rounds: int


FULL = Plan(
    quick=False, rounds=11, values=5, warmups=1, loops=20, rate=200, window_seconds=2.0, saturation_requests=3000,
    connections=8, latency_rate=200, latency_seconds=5.0, pages=50, hot_seconds=8.0, hot_requests=20000,
    browsers_seconds=20.0, first_requests=200, users=200, think_seconds=5.0, accounts=20, mixed_seconds=60.0,
    mixed_rounds=2,
)  # fmt: skip
QUICK = Plan(
    quick=True, rounds=2, values=2, warmups=1, loops=3, rate=200, window_seconds=0.3, saturation_requests=300,
    connections=8, latency_rate=200, latency_seconds=1.0, pages=10, hot_seconds=1.5, hot_requests=2000,
    browsers_seconds=5.0, first_requests=20, users=200, think_seconds=5.0, accounts=4, mixed_seconds=6.0,
    mixed_rounds=1,
)  # fmt: skip


def chosen_plan(quick: bool, rounds: str) -> Plan:
    """Return the plan, with another number of rounds where one is given; raise Refusal where that is none."""
    plan = QUICK if quick else FULL
    if not rounds:
        return plan
    if not rounds.isdecimal() or not 1 <= int(rounds) <= MOST_ROUNDS:
        raise Refusal(f"--rounds is {rounds!r}: give a number from 1 to {MOST_ROUNDS}.")
    return replace(plan, rounds=int(rounds))


def parts(only: str) -> tuple[str, ...]:
    """Return the parts named in `only` (all, if empty), in their order; raise Refusal for a word that is none."""
    words = [word for word in only.replace(",", " ").split() if word]
    for word in words:
        if word not in PARTS:
            raise Refusal(f"There is no part {word!r} to measure; choose from {', '.join(PARTS)}.")
    return tuple(part for part in PARTS if part in words or not words)


def about_seconds(plan: Plan, chosen: Sequence[str]) -> float:
    """Return about how long it takes on two slow cores; a fast machine needs two thirds of it."""
    arms = 4
    each = {
        # A process starts and imports for about 1.5 s; its values are some hundred requests of a third of a ms each.
        "in-process": plan.rounds * 3 * (1.5 + (plan.values + plan.warmups) * plan.loops * (4 * 20 + 50) * 0.0003),
        "http": plan.rounds * arms * (4 * plan.window_seconds + 2 * plan.saturation_requests / 1500),
        "latency": plan.rounds * arms * plan.latency_seconds,
        "plone": 20 + plan.pages * 0.2 + 2 * plan.mixed_rounds * (plan.mixed_seconds + 2)
        + 3 * (plan.hot_seconds + plan.browsers_seconds),
    }
    return sum(each[part] for part in chosen)
