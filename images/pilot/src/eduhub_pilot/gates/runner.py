"""Runs the gates in their order and turns verdicts into their consequences for the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from eduhub_pilot.gates import smoke
from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.contract import gate as contract
from eduhub_pilot.gates.criteria import Mode
from eduhub_pilot.gates.performance import gate as performance
from eduhub_pilot.gates.runtime import gate as runtime
from eduhub_pilot.model.verdict import Verdict

# In the journal.
EVENTS = {"pass": "passed", "fail": "failed", "inconclusive": "inconclusive", "error": "error"}


@dataclass(frozen=True)
class Gate:
    """A gate; `on_rollback`: it runs in a rollback too, which only a slot that does not answer may stop."""

    name: str
    run: Callable[[Candidate], Verdict | Skipped]
    on_rollback: bool = False


GATES = (
    Gate(smoke.GATE, smoke.run, on_rollback=True),
    Gate(runtime.GATE, runtime.run),
    Gate(contract.GATE, contract.run),
    Gate(performance.GATE, performance.run),
)


@dataclass(frozen=True)
class Asked:
    """A gate's result, and the mode in which it ran."""

    found: Verdict | Skipped
    mode: Mode

    @property
    def stops(self) -> bool:
        """Whether the gate stops the run."""
        return self.mode == "enforce" and isinstance(self.found, Verdict) and self.found.consequence != "go on"

    @property
    def document(self) -> dict[str, Any]:
        """The verdict as the journal holds it, and the mode; for a skipped gate, the reason."""
        if isinstance(self.found, Skipped):
            return {"gate": self.found.gate, "skipped": self.found.reason, "mode": self.mode}
        return {**self.found.document(), "mode": self.mode}

    @property
    def message(self) -> str:
        """One line for the operator."""
        if isinstance(self.found, Skipped):
            return f"Gate {self.found.gate} skipped: {self.found.reason}"
        observed = " (observed)" if self.mode == "observe" else ""
        return f"Gate {self.found.gate} {EVENTS[self.found.verdict]}{observed}: {self.found.reason}"

    @property
    def details(self) -> list[str]:
        """The findings of a verdict other than pass, one a line."""
        if isinstance(self.found, Skipped) or self.found.verdict == "pass":
            return []
        return [str(each) for each in self.found.measured.get("findings", [])]


def ask(candidate: Candidate, gates: tuple[Gate, ...] = GATES) -> Iterator[Asked]:
    """Yield the result of each gate, in order; the first one that stops the run is the last."""
    for gate in gates:
        if candidate.rollout.verb == "rollback" and not gate.on_rollback:
            continue
        mode = candidate.criteria.modes[gate.name]
        if mode == "off":
            continue
        found = gate.run(candidate)
        if isinstance(found, Verdict) and found.consequence == "retry, then revert":
            found = gate.run(candidate)
        asked = Asked(found, mode)
        yield asked
        if asked.stops:
            return
