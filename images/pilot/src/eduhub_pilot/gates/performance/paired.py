"""Compares the candidate with the live release (the baseline) in measured rounds. Pure.

A round measures each slot twice, by turns and close together in time. The candidate's two values are compared with the
baseline's two (geometric means), and the baseline's second with its first: that is the A/A noise of the host in the
same rounds. The candidate is measured twice as well because a process with more requests finds its code in the
processor's caches: with one candidate between two baselines, the same release took 3.7% more CPU as the candidate. The
estimate is the median over rounds, so bursts of other work in a few rounds do not move it; whole rounds are resampled
(statistics.ratio).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from eduhub_pilot.analysis import statistics
from eduhub_pilot.analysis.statistics import Estimate

Arm = Literal["live", "candidate", "live again", "candidate again"]
Judged = Literal["pass", "fail", "open", "absent"]
# Each follows the other slot, and what drifts steadily cancels over two rounds.
ORDERS: tuple[tuple[Arm, ...], ...] = (
    ("live", "candidate", "live again", "candidate again"), ("candidate again", "live again", "candidate", "live"),
)  # fmt: skip
_SIDES: Mapping[str, tuple[Arm, Arm]] = {"live": ("live", "live again"), "candidate": ("candidate", "candidate again")}
CRITERIA = ("p50", "p95", "cpu", "read", "plone")
QUANTILES = {"p50": 0.5, "p95": 0.95}
# In words, of the candidate.
WORDS = {
    "p50": "time at p50", "p95": "time at p95", "cpu": "CPU a request", "read": "time for a slow read",
    "plone": "Plone's time for a read",
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
    """One criterion: the ratio of candidate to baseline, and the A/A `noise`: the baseline against itself."""

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
                _ratio([(math.sqrt(new * anew), math.sqrt(live * again)) for live, again, new, anew in fours]),
                _ratio([(again, live) for live, again, *_ in fours]),
                len(fours),
            )
    return found


def _ratio(pairs: Sequence[tuple[float, float]]) -> Estimate:
    return statistics.ratio(pairs, RESAMPLES)


def _usual(rounds: Sequence[Round]) -> dict[str, float]:
    """Return the median time of each path on the live release, in multiples of which quick and slow ones are compared.

    With the candidate's in it, a page that takes many times longer would look no worse than one that takes twice.
    """
    times: dict[str, list[float]] = {}
    for each in rounds:
        for arm in _SIDES["live"]:
            for path, seconds in each[arm].asked:
                times.setdefault(path, []).append(seconds)
    return {path: statistics.median(values) for path, values in times.items()}


def _values(name: str, each: Round, usual: Mapping[str, float]) -> tuple[float, float, float, float] | None:
    values = [_value(name, each[arm], usual) for arm in (*_SIDES["live"], *_SIDES["candidate"])]
    if any(value is None or value <= 0 for value in values):
        return None
    live, again, new, anew = (value for value in values if value is not None)
    return live, again, new, anew


def _value(name: str, chunk: Chunk, usual: Mapping[str, float]) -> float | None:
    if name in QUANTILES:
        return statistics.quantile([seconds / usual[path] for path, seconds in chunk.asked], QUANTILES[name])
    return _single(name, chunk)


def _single(name: str, chunk: Chunk) -> float | None:
    return {"cpu": chunk.cpu, "read": chunk.read, "plone": chunk.plone}[name]


def judge(found: Mapping[str, Measured], budget: Mapping[str, float]) -> dict[str, Judged]:
    """Return the judgement so far on each criterion that has a budget.

    `fail` needs the whole interval above the budget, and above what the noise explains; `pass` needs all of it below
    the budget. In between is `open`: noise neither hides a slowdown nor makes one.
    """
    return {name: _judge(found[name], limit) if name in found else "absent" for name, limit in budget.items()}


def _judge(found: Measured, limit: float) -> Judged:
    if found.ratio.low > max(limit, found.beyond):
        return "fail"
    return "pass" if found.ratio.high < limit else "open"


def sides(rounds: Sequence[Round]) -> dict[str, dict[str, float]]:
    """Return what each release took, in milliseconds: the median over rounds of each criterion's value."""
    return {
        side: {name: round(MILLISECONDS * value, 4) for name in CRITERIA
               if (value := _middle(name, [each[arm] for each in rounds for arm in arms])) is not None}
        for side, arms in _SIDES.items()
    }  # fmt: skip


def _middle(name: str, chunks: Sequence[Chunk]) -> float | None:
    values = []
    for chunk in chunks:
        if name in QUANTILES:
            values.append(statistics.quantile([seconds for _, seconds in chunk.asked], QUANTILES[name]))
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
        f"{WORDS[name]} of the candidate is {span(found.ratio)} of the baseline; budget {limit:g}x, A/A noise "
        f"{span(noise)}."
    )


def unresolved(name: str, found: Measured | None, limit: float) -> str:
    """Return the words for a criterion that is open."""
    if found is None:
        return f"{WORDS[name]} could not be measured"
    return f"{WORDS[name]} of the candidate is {span(found.ratio)} of the baseline, budget {limit:g}x"


def good(found: Mapping[str, Measured]) -> str:
    """Return the sentence for a candidate within every budget, with the confidence intervals."""
    times = {name: one for name, one in found.items() if name != "cpu"}
    said = [f"takes {span(found['cpu'].ratio)} of the baseline's CPU a request"] if "cpu" in found else []
    if times:
        noise = max(one.beyond for name, one in found.items() if name in ("p50", "cpu")) - 1
        shown = ", ".join(f"{_NAMES[name]} {one.ratio.value:.2f}x" for name, one in times.items())
        said.append(f"is not slower ({shown} baseline; A/A noise ±{100 * noise:.0f}%)")
    return f"the candidate {' and '.join(said)}"


_NAMES = {"p50": "p50", "p95": "p95", "read": "slow reads", "plone": "Plone's time"}


def span(one: Estimate) -> str:
    """Return an estimate in words."""
    return f"{one.value:.2f}x (95% CI {one.low:.2f} to {one.high:.2f})"
