"""`await`: look on while the shift's own container moves traffic, and say how that went. Changes nothing."""

from __future__ import annotations

import argparse
from contextlib import suppress

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import EngineDownError, FailedError, LostError
from eduhub_pilot.model.facts import SHIFT
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState
from eduhub_pilot.rollout.messages import moved, serving
from eduhub_pilot.rollout.undo import LOG_LINES

POLL_SECONDS = 0.1
# Asking the engine costs it more than reading a file costs us.
ENGINE_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return await_shift(host, options.run)


def await_shift(host: Host, run: str) -> Outcome:
    """Return how traffic moved once all of it has; FailedError when the shift ended otherwise, or its container did."""
    clock = host.clock
    until = clock.monotonic() + host.settings.longest_shift_seconds
    looked = clock.monotonic()
    while True:
        state = host.store.state()
        rollout = state.rollout
        if rollout is None or rollout.run != run:
            return _over(state, run)
        if rollout.step in {"shifted", "confirm"}:
            return moved(rollout)
        if clock.monotonic() >= until:
            raise FailedError(f"Run {run} is still at step {rollout.step}, long after its time.")
        if clock.monotonic() - looked >= ENGINE_SECONDS:
            looked = clock.monotonic()
            _alive(host, run)
        clock.sleep(POLL_SECONDS)


def _over(state: HostState, run: str) -> Outcome:
    if state.last is None or state.last.run != run:
        raise LostError(f"Run {run} ends here: another one took this host over. `./invoke status` says what serves.")
    if state.last.result == "reverted":
        raise FailedError(f"{(state.last.why or '').rstrip('.')}. Reverted: {serving(state)}")
    return Outcome(0, f"Confirmed: {serving(state)}")


def _alive(host: Host, run: str) -> None:
    """Raise FailedError when the shift's container has ended for good, though its run has not."""
    name = host.settings.container(SHIFT)
    with suppress(EngineDownError):
        container = host.engine.container(name)
        if container and container.state in {"running", "restarting", "created"}:
            return
        host.clock.sleep(ENGINE_SECONDS)
        rollout = host.store.state().rollout
        if rollout is None or rollout.run != run or rollout.step == "shifted":
            return
        log = host.engine.log(name, LOG_LINES)
        how = f"ended with code {container.exit_code}" if container else "is gone"
        raise FailedError(f"The shift's container {name} {how} at step {rollout.step}, with its work undone.", log=log)
