"""The rehearsal of the way back: all traffic returns to the slot that served before, and comes again.

It is the only honest source of the time that `status` promises. It begins once every step was watched, so the public
meets nothing that it has not met; its own questions come beside the public's requests.
"""

from __future__ import annotations

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import other
from eduhub_pilot.model.state import Rollout
from eduhub_pilot.rollout.drain import drained
from eduhub_pilot.rollout.public_check import path_of

IN_A_ROW = 20
# A switch is one command: an address that is not answered by the old slot by then will not be later either.
SECONDS = 5.0
PAUSE_SECONDS = 0.01


def ready(host: Host, rollout: Rollout) -> None:
    """Return once the old slot answers at its own door; FailedError where it does not: then nothing goes back to it."""
    old = other(rollout.slot)
    path = path_of(host.store.record(rollout.release))
    began = host.clock.monotonic()
    while not host.ask(host.settings.private_endpoints[old], path, host.settings.probe_seconds).good:
        if host.clock.monotonic() - began > SECONDS:
            raise FailedError(
                f"The way back could not be shown: {old} did not answer {path} at its own door for {SECONDS:g} s, so "
                "no traffic was given back to it."
            )
        host.clock.sleep(PAUSE_SECONDS)


def back(host: Host, run: str, rollout: Rollout, began: float) -> float:
    """Return how many seconds after `began`, when traffic was given back, the new slot had nothing to do any more.

    FailedError where the public address is not answered by the old slot again: then there is no way back to promise.
    """
    old = other(rollout.slot)
    path = path_of(host.store.record(rollout.release))
    row, asked, last = 0, 0, ""
    while row < IN_A_ROW:
        if host.clock.monotonic() - began > SECONDS:
            raise FailedError(
                f"The way back could not be shown: {SECONDS:g} s after traffic was given back, {path} at the public "
                f"address was answered by {last or 'nobody'}, not {IN_A_ROW} times in a row by {old}."
            )
        answer = host.ask(host.settings.edge, path, host.settings.probe_seconds)
        asked, last = asked + 1, answer.slot or ""
        row = row + 1 if (answer.slot, answer.release) == (old, rollout.origin) else 0
        host.clock.sleep(0 if row else PAUSE_SECONDS)
    left = drained(host, rollout.slot, host.settings.drain_seconds, lambda: None)
    seconds = round(host.clock.monotonic() - began, 3)
    host.note(run, "rehearse", "back", slot=old, release=rollout.origin, seconds=seconds, left=left, asked=asked)
    return seconds
