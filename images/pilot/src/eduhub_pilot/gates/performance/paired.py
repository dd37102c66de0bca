"""What measured rounds say of green beside blue. Pure.

A round measures each slot twice, by turns and close together in time. Green's two values are compared with blue's two
(geometric means), and blue's second with its first: that is the noise of the host in these very rounds. Green is
measured twice as well because a process that is asked more often finds its code in the processor's caches: with one
green between two blues, the same release took 3.7% more CPU on green. The estimate is the median over rounds, so
that a burst of other work in a few of them moves nothing, and whole rounds are what is resampled (statistics.ratio).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from eduhub_pilot.analysis import statistics
from eduhub_pilot.analysis.statistics import Estimate

Arm = Literal["blue", "green", "blue again", "green again"]
Judged = Literal["pass", "fail", "open", "absent"]
# Each follows the other slot, and what drifts steadily cancels over two rounds.
ORDERS: tuple[tuple[Arm, ...], ...] = (
    ("blue", "green", "blue again", "green again"), ("green again", "blue again", "green", "blue"),
)  # fmt: skip
_SIDES: Mapping[str, tuple[Arm, Arm]] = {"blue": ("blue", "blue again"), "green": ("green", "green again")}
CRITERIA = ("p50", "p95", "cpu", "read", "plone")
SHARES = {"p50": 0.5, "p95": 0.95}
# In words, of green.
WORDS = {
    "p50": "time at p50", "p95": "time at p95", "cpu": "CPU a request", "read": "time for a slow read",
    "plone": "share of Plone's time for a read",
}  # fmt: skip
MILLISECONDS = 1000.0
RESAMPLES = statistics.RESAMPLES


@dataclass(frozen=True)
class Chunk:
    """One arm in one round: `asked` are paths with the seconds of their answers, in the order of asking.

    `cpu` are CPU seconds of the slot for each request, `read` the seconds of a slow answer, `plone` those of Plone in
    it; None where that was not measured.
    """

    asked: tuple[tuple[str, float], ...]
    cpu: float | None = None
    read: float | None = None
    plone: float | None = None


Round = Mapping[Arm, Chunk]


@dataclass(frozen=True)
class Measured:
    """One criterion: how many times blue's green takes, and `noise`, how many times its own blue takes."""

    ratio: Estimate
    noise: Estimate
    rounds: int

    @property
    def beyond(self) -> float:
        """The largest ratio that the noise alone may explain."""
        return max(self.noise.high, 1.0 / self.noise.low)


def measured(rounds: Sequence[Round]) -> dict[str, Measured]:
    """Return each criterion that enough rounds have values for."""
    usual = _usual(rounds)
    found = {}
    for name in CRITERIA:
        fours = [values for each in rounds if (values := _values(name, each, usual))]
        if len(fours) >= statistics.FEWEST_ROUNDS:
            found[name] = Measured(
                _ratio([(math.sqrt(green * anew), math.sqrt(blue * again)) for blue, again, green, anew in fours]),
                _ratio([(again, blue) for blue, again, *_ in fours]),
                len(fours),
            )
    return found


def _ratio(pairs: Sequence[tuple[float, float]]) -> Estimate:
    return statistics.ratio(pairs, RESAMPLES)


def _usual(rounds: Sequence[Round]) -> dict[str, float]:
    """Return the median time of each path over all arms, in multiples of which quick and slow ones are compared."""
    times: dict[str, list[float]] = {}
    for each in rounds:
        for chunk in each.values():
            for path, seconds in chunk.asked:
                times.setdefault(path, []).append(seconds)
    return {path: statistics.median(values) for path, values in times.items()}


def _values(name: str, each: Round, usual: Mapping[str, float]) -> tuple[float, float, float, float] | None:
    values = [_value(name, each[arm], usual) for arm in (*_SIDES["blue"], *_SIDES["green"])]
    if any(value is None or value <= 0 for value in values):
        return None
    blue, again, green, anew = (value for value in values if value is not None)
    return blue, again, green, anew


def _value(name: str, chunk: Chunk, usual: Mapping[str, float]) -> float | None:
    if name in SHARES:
        return statistics.quantile([seconds / usual[path] for path, seconds in chunk.asked], SHARES[name])
    return _single(name, chunk)


def _single(name: str, chunk: Chunk) -> float | None:
    return {"cpu": chunk.cpu, "read": chunk.read, "plone": chunk.plone}[name]


def judge(found: Mapping[str, Measured], budget: Mapping[str, float]) -> dict[str, Judged]:
    """Return what is to be said of each criterion that has a budget, as yet.

    `fail` needs the whole interval above the budget, and above what the noise explains; `pass` needs all of it below
    the budget. A slowdown is neither excused by noise nor made of it: in between is `open`.
    """
    return {name: _judge(found[name], limit) if name in found else "absent" for name, limit in budget.items()}


def _judge(found: Measured, limit: float) -> Judged:
    if found.ratio.low > max(limit, found.beyond):
        return "fail"
    return "pass" if found.ratio.high < limit else "open"


def sides(rounds: Sequence[Round]) -> dict[str, dict[str, float]]:
    """Return what blue and green each took, in milliseconds: the median over rounds of each criterion's value."""
    return {
        side: {name: round(MILLISECONDS * value, 4) for name in CRITERIA
               if (value := _middle(name, [each[arm] for each in rounds for arm in arms])) is not None}
        for side, arms in _SIDES.items()
    }  # fmt: skip


def _middle(name: str, chunks: Sequence[Chunk]) -> float | None:
    values = []
    for chunk in chunks:
        if name in SHARES:
            values.append(statistics.quantile([seconds for _, seconds in chunk.asked], SHARES[name]))
        elif (value := _single(name, chunk)) is not None:
            values.append(value)
    return statistics.median(values) if values else None


def document(found: Mapping[str, Measured]) -> dict[str, Any]:
    """Return ratios and noise for the journal."""
    return {
        what: {name: {key: round(number, 4) for key, number in asdict(getattr(one, what)).items()}
               for name, one in found.items()}
        for what in ("ratio", "noise")
    }  # fmt: skip


def too_much(name: str, found: Measured, limit: float) -> str:
    """Return the sentence for a criterion that fails."""
    noise = found.noise
    return (
        f"green takes {span(found.ratio)} times blue's {WORDS[name]}, and {limit:g} is allowed; blue beside itself "
        f"took {span(noise)} times."
    )


def unresolved(name: str, found: Measured | None, limit: float) -> str:
    """Return the words for a criterion that is still open."""
    if found is None:
        return f"blue's and green's {WORDS[name]} could not be measured"
    return f"green's {WORDS[name]} is {span(found.ratio)} times blue's, with {limit:g} allowed"


def good(found: Mapping[str, Measured]) -> str:
    """Return the sentence for a green that is within every budget: what it gains, and how sure that is."""
    times = {name: one for name, one in found.items() if name != "cpu"}
    said = [f"takes {span(found['cpu'].ratio)} times blue's CPU a request"] if "cpu" in found else []
    if times:
        noise = max(one.beyond for name, one in found.items() if name in ("p50", "cpu")) - 1
        shown = ", ".join(f"{_NAMES[name]} {one.ratio.value:.2f}" for name, one in times.items())
        said.append(f"is not slower ({shown} times blue's; noise of this host ±{100 * noise:.0f}%)")
    return f"green {' and '.join(said)}"


_NAMES = {"p50": "p50", "p95": "p95", "read": "slow reads", "plone": "Plone's time"}


def span(one: Estimate) -> str:
    """Return an estimate in words."""
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
