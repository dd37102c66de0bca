"""The gate `performance`: green is not slower than blue, takes no more CPU and does not slow Plone.

`load` measures; what may be concluded from it is in `paired`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.contract.gate import nothing_to_compare
from eduhub_pilot.gates.performance import paired
from eduhub_pilot.gates.performance.load import EndedError, Load, Measurement
from eduhub_pilot.model.verdict import Verdict, Word

GATE = "performance"
# What a bridge may not offer. CPU time every host can tell, so one that does not is a fault to be corrected.
OPTIONAL = ("read", "plone")


def run(candidate: Candidate) -> Verdict | Skipped:
    """Return the verdict on green beside blue, or Skipped where there is no blue that does the same work."""
    started = candidate.host.clock.monotonic()
    if why := nothing_to_compare(candidate):
        return Skipped(GATE, why)
    measurement = Measurement()
    try:
        with ExitStack() as stack:
            Load(candidate, measurement, stack).run()
    except EndedError as ended:
        return _verdict(candidate, measurement, started, ended.word, ended.reason, [])
    word, reason, findings = decide(measurement, candidate.criteria.performance.budget)
    return _verdict(candidate, measurement, started, word, reason, findings)


def decide(measurement: Measurement, budget: Mapping[str, float]) -> tuple[Word, str, list[str]]:
    """Return the verdict's word, its sentence and a line for each criterion that fails."""
    judged, found = measurement.judged, measurement.found
    if stops := [paired.too_much(name, found[name], budget[name]) for name, said in judged.items() if said == "fail"]:
        several = f" That is the first of {len(stops)} findings." if len(stops) > 1 else ""
        return "fail", f"{stops[0]}{several}", stops
    if "p50" not in found:
        words = f"Only {len(measurement.rounds)} rounds could be measured. Raise pilot_performance_seconds."
        return "inconclusive", words, []
    missing = [name for name, said in judged.items() if said == "absent" and name not in OPTIONAL]
    left = missing + [name for name, said in judged.items() if said == "open"]
    if left:
        words = "; ".join(paired.unresolved(name, found.get(name), budget[name]) for name in left)
        paused = f", {measurement.pauses} pauses for the public's sake among them" if measurement.pauses else ""
        remedy = (
            f"Take {left[0]} out of pilot_performance_budget where that cannot be helped." if missing else
            "Ask again when less runs here, or raise pilot_performance_seconds."
        )  # fmt: skip
        return "inconclusive", f"After {len(measurement.rounds)} rounds{paused}, {words}. {remedy}", []
    absent = [name for name, said in judged.items() if said == "absent"]
    without = f"; not judged, since {_why(measurement, absent)}" if absent else ""
    return "pass", f"{paired.good({name: found[name] for name in judged if name in found})}{without}.", []


def _why(measurement: Measurement, absent: list[str]) -> str:
    if "read" in absent or not measurement.slow:
        return "no page is slow enough to be one of Plone's: read and plone"
    if not measurement.metrics:
        return "the bridge does not tell it: Plone's time"
    return "the public kept blue busy all the time: Plone's time"


def _verdict(
    candidate: Candidate, measurement: Measurement, started: float, word: Word, reason: str, findings: list[str]
) -> Verdict:
    wanted = candidate.criteria.performance
    measured: dict[str, Any] = {
        "rounds": len(measurement.rounds), "requests": measurement.requests,
        "paths": measurement.quick, "reads": measurement.slow,
        "unasked": measurement.unasked, "pauses": measurement.pauses, "broken": measurement.broken,
        "judged": measurement.judged,
        "findings": findings, **paired.document(measurement.found),
        "milliseconds": paired.sides(measurement.rounds),
    }  # fmt: skip
    budget = {**wanted.budget, "rate": wanted.rate, "read_rate": wanted.read_rate, "seconds": wanted.seconds}
    return Verdict(GATE, word, reason, measured, budget, round(candidate.host.clock.monotonic() - started, 3))
