"""In which order a fleet is rolled, and when that has to stop: waves, budget, soak. Pure.

The driver (front/fleet/rollout.py) asks `next_step` after everything that happened. All of an answer follows from the
policy, the order of the hosts and what became of each, so that a run that goes on elsewhere decides the same.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

# The settings of a policy, by the field that each becomes.
SETTINGS = {
    "waves": "rollout_waves", "soak_seconds": "rollout_soak_seconds", "max_unavailable": "rollout_max_unavailable",
    "failure_budget": "rollout_failure_budget", "on_breach": "rollout_on_breach",
}  # fmt: skip


class State(Enum):
    """What became of a host in this run."""

    WAITING = "waiting"  # its turn has not come
    DONE = "done"  # it has the release, or had it before
    REVERTED = "reverted"  # it failed, and the release before is live
    REFUSED = "refused"  # it was not touched
    BROKEN = "broken"  # a person has to look
    LOST = "lost"  # it cannot be reached


FAILED = frozenset({State.REVERTED, State.REFUSED, State.BROKEN, State.LOST})
DOWN = frozenset({State.BROKEN, State.LOST})  # may answer no request


@dataclass(frozen=True)
class Policy:
    """The settings `rollout_*`.

    `waves`: sizes, each a count or a percentage of all hosts; the last one repeats. `max_unavailable`: how many hosts
    may be rolled or down at once, the same way. `failure_budget`: how many hosts may fail in the whole run.
    `on_breach`: `halt` or `revert-all`. `confirm_seconds`: `pilot_confirm_seconds`, the shortest of all hosts.
    """

    waves: Sequence[str] = ("1", "25%")
    soak_seconds: float = 60.0
    max_unavailable: str = "10%"
    failure_budget: int = 0
    on_breach: str = "halt"
    confirm_seconds: float = 600.0


@dataclass(frozen=True)
class Roll:
    """Roll `hosts` side by side; they belong to wave `wave` of `waves`, counted from 1."""

    wave: int
    waves: int
    hosts: Sequence[str]


@dataclass(frozen=True)
class Soak:
    """Let the hosts of wave `wave` serve for the soak time, then verify `hosts`, those of the wave that are done."""

    wave: int
    hosts: Sequence[str]


@dataclass(frozen=True)
class Stop:
    """Start no further host. `why` is a sentence; empty where every host had its turn.

    `revert`: the hosts to roll back, in this order.
    """

    why: str = ""
    revert: Sequence[str] = ()


def number_of(size: str, hosts: int, *, up: bool) -> int:
    """Return how many of `hosts` a count or percentage is, at least 1; a part of a host is one more where `up`."""
    if not size.endswith("%"):
        return max(1, int(size))
    part = int(size.removesuffix("%")) * hosts
    return max(1, math.ceil(part / 100) if up else part // 100)


def ordered(
    hosts: Sequence[str], unfinished: Container[str], lost: Container[str], drained: Container[str] = ()
) -> list[str]:  # fmt: skip
    """Return the hosts as they are rolled: those with an unfinished rollout first, else as the inventory has them.

    Those that are drained come after all that serve, for a canary that no client asks proves nothing, and those that
    cannot be reached last.
    """
    return sorted(hosts, key=lambda name: (name in lost, name in drained, name not in unfinished))  # stable


def waves_of(order: Sequence[str], policy: Policy, failed: Container[str] = ()) -> list[Sequence[str]]:
    """Return the hosts of each wave, in `order`; every host is in one.

    The first wave goes on to the first host that is not `failed`: without a canary there is no second wave.
    """
    canary = next((number for number, name in enumerate(order, start=1) if name not in failed), len(order))
    found: list[Sequence[str]] = []
    begin = 0
    while begin < len(order):
        size = policy.waves[min(len(found), len(policy.waves) - 1)]
        end = max(canary, begin + number_of(size, len(order), up=True))
        found.append(order[begin:end])
        begin = end
    return found


def next_step(
    order: Sequence[str], states: Mapping[str, State], policy: Policy, *,
    moved: Sequence[str] = (), soaked: Container[str] = (),
) -> Roll | Soak | Stop:  # fmt: skip
    """Return what to do next.

    `states`: of each host in `order`. `moved`: the hosts that this run moved to the release, in that order. `soaked`:
    those whose soak time is over, in this run or before it. A host that was unreachable at the start is LOST: it counts
    as failed and as down, and no wave waits for it.
    """
    why = breach(order, states, policy)
    if why:
        return Stop(why, tuple(reversed(moved)) if policy.on_breach == "revert-all" else ())
    waves = waves_of(order, policy, among(order, states, FAILED))
    for number, wave in enumerate(waves, start=1):
        waiting = [name for name in wave if states[name] is State.WAITING]
        fresh = [name for name in wave if name not in soaked and states[name] is State.DONE]
        later = any(states[name] is State.WAITING for after in waves[number:] for name in after)
        if waiting:
            room = limit(order, policy) - len(among(order, states, DOWN))
            return Roll(number, len(waves), tuple(waiting[:room]))
        if later and fresh and policy.soak_seconds:
            return Soak(number, tuple(fresh))
    return Stop()


def breach(order: Sequence[str], states: Mapping[str, State], policy: Policy) -> str:
    """Return why no further host may be started, as a sentence; empty while one may, and where none waits."""
    failed, down = among(order, states, FAILED), among(order, states, DOWN)
    if len(failed) > policy.failure_budget:
        return (
            f"{counted(failed)} failed or cannot be reached ({', '.join(failed)}), and rollout_failure_budget is "
            f"{policy.failure_budget}."
        )
    if State.WAITING in states.values() and len(down) >= limit(order, policy):
        return (
            f"{counted(down)} may be down ({', '.join(down)}), and rollout_max_unavailable is "
            f"{policy.max_unavailable} ({limit(order, policy)} of {len(order)})."
        )
    return ""


def limit(order: Sequence[str], policy: Policy) -> int:
    """Return how many hosts may be rolled or down at once."""
    return number_of(policy.max_unavailable, len(order), up=False)


def among(order: Sequence[str], states: Mapping[str, State], which: frozenset[State]) -> list[str]:
    """Return the hosts whose state is one of `which`."""
    return [name for name in order if states[name] in which]


def counted(hosts: Sequence[str]) -> str:
    """Return "1 host" or "3 hosts"."""
    return f"{len(hosts)} host{'s' * (len(hosts) != 1)}"
