"""The rehearsal of the rollback: all traffic returns to the previous release, and moves to the candidate again.

It measures the rollback time that `status` promises. It begins after every canary step, so public requests meet only
slots that they met before; its own requests are additional.
"""

from __future__ import annotations

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import other
from eduhub_pilot.model.state import Rollout
from eduhub_pilot.rollout.drain import drained
from eduhub_pilot.rollout.public_check import path_of

IN_A_ROW = 20
# A switch is one command: an address that the previous slot does not answer by then will not be answered later.
SECONDS = 5.0
PAUSE_SECONDS = 0.01


def _path(host: Host, rollout: Rollout) -> str:
    """Return the page of the previous release to request: the candidate's may be one that it does not have."""
    return path_of(host.store.record(rollout.origin or rollout.release))


def ready(host: Host, rollout: Rollout) -> None:
    """Return once the previous slot answers at its private endpoint; FailedError where it does not."""
    old = other(rollout.slot)
    path = _path(host, rollout)
    began = host.clock.monotonic()
    while not host.ask(host.settings.private_endpoints[old], path, host.settings.probe_seconds).good:
        if host.clock.monotonic() - began > SECONDS:
            raise FailedError(
                "rehearsal_failed",
                f"Rollback rehearsal failed: the previous slot ({old}) did not answer {path} at its private endpoint "
                f"for {SECONDS:g} s. No traffic was moved to it.",
            )
        host.clock.sleep(PAUSE_SECONDS)


def back(host: Host, run: str, rollout: Rollout, began: float) -> float:
    """Return the seconds from `began`, when traffic was moved back, until the candidate was drained.

    FailedError where the previous slot does not answer the public address: then no rollback time can be promised.
    """
    old = other(rollout.slot)
    path = _path(host, rollout)
    row, asked, last = 0, 0, ""
    while row < IN_A_ROW:
        if host.clock.monotonic() - began > SECONDS:
            raise FailedError(
                "rehearsal_failed",
                f"Rollback rehearsal failed: {SECONDS:g} s after traffic was moved back, {path} at the public address "
                f"was answered by {last or 'no slot'}, not {IN_A_ROW} times in a row by the previous slot ({old}).",
            )
        answer = host.ask(host.settings.edge, path, host.settings.probe_seconds)
        asked, last = asked + 1, answer.slot or ""
        row = row + 1 if (answer.slot, answer.release) == (old, rollout.origin) else 0
        host.clock.sleep(0 if row else PAUSE_SECONDS)
    left = drained(host, rollout.slot, host.settings.drain_seconds, lambda: None)
    seconds = round(host.clock.monotonic() - began, 3)
    host.note(run, "rehearse", "rolled_back", slot=old, release=rollout.origin, seconds=seconds, left=left, asked=asked)
    return seconds
