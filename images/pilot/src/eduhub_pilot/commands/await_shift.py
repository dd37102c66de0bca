"""`await`: wait while the shift's own container moves traffic, and report its result. Changes nothing."""

from __future__ import annotations

import argparse
from contextlib import suppress

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import EngineDownError, FailedError, SupersededError
from eduhub_pilot.model.facts import SHIFT
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState
from eduhub_pilot.rollout.messages import moved, serving
from eduhub_pilot.rollout.undo import LOG_LINES

POLL_SECONDS = 0.1
# A request to the engine is more expensive than reading a file.
ENGINE_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return await_shift(host, options.run)


def await_shift(host: Host, run: str) -> Outcome:
    """Return the outcome of a finished shift; FailedError when the shift or its container ended otherwise."""
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
            raise FailedError(
                "shift_timeout",
                f"The shift of run {run} exceeded its deadline of {host.settings.longest_shift_seconds:g} s at step "
                f"{rollout.step}.",
                ["docker", "logs", host.settings.container(SHIFT)],
            )
        if clock.monotonic() - looked >= ENGINE_SECONDS:
            looked = clock.monotonic()
            _alive(host, run)
        clock.sleep(POLL_SECONDS)


def _over(state: HostState, run: str) -> Outcome:
    if state.last is None or state.last.run != run:
        raise SupersededError(run, "another run took over")
    if state.last.result == "reverted":
        raise FailedError("reverted", f"{(state.last.why or '').rstrip('.')}. Reverted. {serving(state)}")
    return Outcome("confirmed", f"Confirmed. {serving(state)}")


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
        how = f"exited with code {container.exit_code}" if container else "was removed"
        message = f"The shift's container {name} {how} at step {rollout.step}, before the shift was finished."
        raise FailedError("shift_container_lost", message, log=log)
