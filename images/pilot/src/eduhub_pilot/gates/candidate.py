"""What a gate is given, and what it gives back when there is nothing that it could judge."""

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
    """A slot on which a gate looks: `record` is of the release in it, `blue` of the live one, None where none is.

    `live_runs`: whether the live release answers through its own door, so that it can be compared with.

    A gate calls `between` every few seconds at most: it keeps the run's lock fresh, and ends a run that lost the host.
    """

    host: Host
    rollout: Rollout
    record: Record
    blue: Record | None
    criteria: Criteria
    between: Callable[[], None]
    live_runs: bool = True

    @property
    def container(self) -> str:
        """The name of the container that is judged."""
        return self.host.settings.container(self.rollout.slot)

    @property
    def endpoint(self) -> str:
        """The address of the slot that is judged."""
        return self.host.settings.private_endpoints[self.rollout.slot]

    @property
    def live_container(self) -> str:
        return self.host.settings.container(other(self.rollout.slot))

    @property
    def live_endpoint(self) -> str:
        return self.host.settings.private_endpoints[other(self.rollout.slot)]


@dataclass(frozen=True)
class Skipped:
    """The gate has nothing to judge here. No verdict: a `pass` would say that something was looked at."""

    gate: str
    reason: str
