"""Asks the gates in their order and turns verdicts into what they mean for the run."""

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
    """A gate; `on_rollback`: asked on the way back too, which nothing but a slot that does not answer may close."""

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
    """What a gate said, and in which mode it was asked."""

    found: Verdict | Skipped
    mode: Mode

    @property
    def stops(self) -> bool:
        """Whether the run may not go on."""
        return self.mode == "enforce" and isinstance(self.found, Verdict) and self.found.consequence != "go on"

    @property
    def document(self) -> dict[str, Any]:
        """The verdict as the journal holds it, and the mode; of a gate with nothing to judge, why."""
        if isinstance(self.found, Skipped):
            return {"gate": self.found.gate, "skipped": self.found.reason, "mode": self.mode}
        return {**self.found.document(), "mode": self.mode}

    @property
    def say(self) -> str:
        """One line for the operator."""
        if isinstance(self.found, Skipped):
            return f"{self.found.gate} skipped: {self.found.reason}"
        watched = ", only observed" if self.mode == "observe" else ""
        return f"{self.found.gate} {EVENTS[self.found.verdict]}{watched}: {self.found.reason}"

    @property
    def details(self) -> list[str]:
        """The findings of a verdict that is no pass, one a line."""
        if isinstance(self.found, Skipped) or self.found.verdict == "pass":
            return []
        return [str(each) for each in self.found.measured.get("findings", [])]


def ask(candidate: Candidate, gates: tuple[Gate, ...] = GATES) -> Iterator[Asked]:
    """Yield what each gate says, in order, the last one being one that stops the run, if any does."""
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
