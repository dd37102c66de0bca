"""The input of a gate, and its result when it has nothing to judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.gates.criteria import Criteria
from eduhub_pilot.model.facts import other
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.state import Rollout


@dataclass(frozen=True)
class Candidate:
    """The slot that a gate judges: `record` is of the candidate, `live` of the live release, None where there is none.

    `live_runs`: whether the live release answers at its private endpoint, so that it is a baseline.

    A gate calls `between` every few seconds at most: it keeps the run's lock valid, and ends a superseded run.
    """

    host: Host
    rollout: Rollout
    record: Record
    live: Record | None
    criteria: Criteria
    between: Callable[[], None]
    live_runs: bool = True

    @property
    def container(self) -> str:
        """The name of the candidate's container."""
        return self.host.settings.container(self.rollout.slot)

    @property
    def endpoint(self) -> str:
        """The address of the candidate's private endpoint."""
        return self.host.settings.private_endpoints[self.rollout.slot]

    @property
    def live_container(self) -> str:
        return self.host.settings.container(other(self.rollout.slot))

    @property
    def live_endpoint(self) -> str:
        return self.host.settings.private_endpoints[other(self.rollout.slot)]


@dataclass(frozen=True)
class Skipped:
    """The gate has nothing to judge. Not a verdict: a `pass` would claim that something was checked."""

    gate: str
    reason: str
