"""Sentences on the state of a host that several commands say."""

from __future__ import annotations

from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState, Last, Rollout


def serving(state: HostState) -> str:
    """Return in one sentence what is committed to serve."""
    if not state.live:
        return "Nothing serves on this host."
    return f"{state.live.slot} serves {state.live.release}."


def ended(last: Last) -> str:
    """Return in one sentence how the last run ended."""
    why = f": {(last.why or '').splitlines()[0]}" if last.why else "."
    return f"The last run, {last.run} ({last.verb} to {last.release}), was {last.result} at {last.when}{why}"


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
