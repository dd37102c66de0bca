"""The gate `performance`: the candidate is not slower than the live release, in latency, CPU and Plone's time.

`load` measures, `paired` judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.contract.gate import nothing_to_compare
from eduhub_pilot.gates.performance import paired
from eduhub_pilot.gates.performance.load import OPEN_CHANCE, EndedError, Load, Measurement
from eduhub_pilot.model.verdict import Verdict, Word

GATE = "performance"
# A bridge may lack these. CPU time can be read on every host, so its absence is a fault.
OPTIONAL = ("read", "plone")


def run(candidate: Candidate) -> Verdict | Skipped:
    """Return the verdict on the candidate, or Skipped where no live release does the same work."""
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
    """Return the verdict, its reason, and a line for each criterion that fails."""
    judged, found = measurement.judged, measurement.found
    if stops := [paired.too_much(name, found[name], budget[name]) for name, said in judged.items() if said == "fail"]:
        several = f" That is the first of {len(stops)} findings." if len(stops) > 1 else ""
        return "fail", f"{stops[0]}{several}", stops
    if "p50" not in found:
        reason = f"Only {len(measurement.rounds)} rounds could be measured. Raise pilot_performance_seconds."
        return "inconclusive", reason, []
    if measurement.more_failures() <= OPEN_CHANCE:
        return "inconclusive", f"{measurement.failures()}: {measurement.broken[-1]}.", []
    optional = (*OPTIONAL, "cpu") if measurement.busy else OPTIONAL
    missing = [name for name, said in judged.items() if said == "absent" and name not in optional]
    left = missing + [name for name, said in judged.items() if said == "open"]
    if left:
        words = "; ".join(paired.unresolved(name, found.get(name), budget[name]) for name in left)
        paused = f", {measurement.pauses} of them paused for public traffic" if measurement.pauses else ""
        remedy = (
            f"Remove {left[0]} from pilot_performance_budget if it cannot be measured." if missing else
            "Repeat when the host is less busy, or raise pilot_performance_seconds."
        )  # fmt: skip
        return "inconclusive", f"After {len(measurement.rounds)} rounds{paused}, {words}. {remedy}", []
    absent = [name for name, said in judged.items() if said == "absent"]
    without = f"; not judged, because {_why(measurement, absent)}" if absent else ""
    if measurement.unasked:
        without += f"; not measured: {measurement.unasked[0]}"
        without += f" and {len(measurement.unasked) - 1} more" if measurement.unasked[1:] else ""
    if measurement.broken:
        without += f"; {measurement.failures()}"
    return "pass", f"{paired.good({name: found[name] for name in judged if name in found})}{without}.", []


def _why(measurement: Measurement, absent: list[str]) -> str:
    why = [_why_no_read(measurement, rest)] if (rest := [name for name in absent if name != "cpu"]) else []
    why += ["public traffic kept the live release busy: its CPU time"] if "cpu" in absent else []
    return ", ".join(why)


def _why_no_read(measurement: Measurement, absent: list[str]) -> str:
    if "read" in absent or not measurement.slow:
        return "no page is slow enough to need Plone: read and plone"
    if not measurement.metrics:
        return "the bridge does not report it: Plone's time"
    return "public traffic kept the live release busy: Plone's time"


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
