"""Messages that several commands share."""

from __future__ import annotations

from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState, Last, Rollout


def serving(state: HostState) -> str:
    """Return the live release in one sentence."""
    if not state.live:
        return "This host has no live release."
    return f"Live release: {state.live.release} ({state.live.slot})."


def being_undone(rollout: Rollout) -> FailedError:
    """Return why `rollout` is being undone, as the error that ends whatever would continue it."""
    return FailedError("reverted", rollout.why or f"Run {rollout.run} was ended before it was confirmed.")


def ended(last: Last) -> str:
    """Return in one sentence how the last run ended."""
    why = f": {(last.why or '').splitlines()[0]}" if last.why else "."
    return f"The last run, {last.run} ({last.verb} to {last.release}), was {last.result} at {last.when}{why}"


def moved(rollout: Rollout) -> Outcome:
    """Return the outcome of a shift that has moved all traffic and awaits the confirmation."""
    traffic = rollout.traffic
    left = traffic.left if traffic else 0
    seconds = traffic.drained_seconds if traffic else None
    still = f"; {left} connections left there continue until the run is confirmed" if left else ""
    leaving = f" The previous slot was drained in {seconds:.1f} s{still}." if seconds is not None else ""
    hold = f" It is reverted unless it is confirmed within {rollout.confirm_seconds:g} s." if rollout.hold else ""
    message = f"All traffic is on {rollout.release} ({rollout.slot}), unconfirmed.{leaving}{hold}"
    following = [["./invoke", "confirm"], ["./invoke", "rollback"]] if rollout.hold else []
    return Outcome("shifted", message, True, {"slot": rollout.slot, "seconds": seconds, "left": left}, following)
