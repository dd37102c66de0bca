"""`await`: look on while the shift's own container moves traffic, and say how that went. Changes nothing."""

from __future__ import annotations

from contextlib import suppress

from eduhub_pilot.errors import EngineDownError, FailedError, LostError
from eduhub_pilot.facts import SHIFT
from eduhub_pilot.host import Host, Outcome
from eduhub_pilot.revert import serving
from eduhub_pilot.settings import Settings
from eduhub_pilot.state import HostState, Rollout
from eduhub_pilot.undo import LOG_LINES

POLL_SECONDS = 0.1
# Asking the engine costs it more than reading a file costs us.
ENGINE_SECONDS = 1.0
# After the last step; and, rehearsed, on the way back and after it.
DRAINS = 3
# Beyond what steps and drains take: starting a container, asking the public address, waiting for a HAProxy.
SLACK_SECONDS = 120.0


def follow(host: Host, run: str) -> Outcome:
    """Return how traffic moved once all of it has; FailedError when the shift ended otherwise, or its container did."""
    clock = host.clock
    until = clock.monotonic() + longest(host.settings)
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


def longest(settings: Settings) -> float:
    """Return how many seconds all traffic may take to move before something is wrong with that."""
    plan = settings.plan
    drains = DRAINS * settings.drain_seconds + settings.drain_stream_seconds
    return len(plan.steps) * plan.seconds + drains + SLACK_SECONDS


def _over(state: HostState, run: str) -> Outcome:
    if state.last is None or state.last.run != run:
        raise LostError(f"Run {run} ends here: another one took this host over. `./invoke status` says what serves.")
    if state.last.result == "reverted":
        raise FailedError(f"{(state.last.why or '').rstrip('.')}. Reverted: {serving(state)}")
    return Outcome(0, f"Confirmed: {serving(state)}")


def moved(rollout: Rollout) -> Outcome:
    """Return the words of a shift that has moved all traffic and waits for the confirmation."""
    traffic = rollout.traffic
    left = traffic.left if traffic else 0
    seconds = traffic.drained_seconds if traffic else None
    still = f", {left} connections still there go on until it is confirmed" if left else ""
    leaving = f"; the other slot was drained in {seconds:.1f} s{still}" if seconds is not None else ""
    hold = (
        f" Type `./invoke confirm` within {rollout.confirm_seconds:g} s; otherwise the host goes back by itself."
        if rollout.hold
        else ""
    )
    say = f"Traffic is on {rollout.slot} ({rollout.release}), not yet confirmed{leaving}.{hold}"
    return Outcome(0, say, True, {"slot": rollout.slot, "seconds": seconds, "left": left})


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
