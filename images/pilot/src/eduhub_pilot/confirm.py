"""`confirm` and `end`: commit the release that traffic is on, disk before runtime; free the lock."""

from __future__ import annotations

from contextlib import suppress

from eduhub_pilot.errors import FailedError, LostError, PilotError, ProxyDownError
from eduhub_pilot.facts import share_of, slot_of
from eduhub_pilot.host import PATIENCE_SECONDS, Host, Outcome
from eduhub_pilot.revert import failed, serving
from eduhub_pilot.state import HostState


def confirm(host: Host, run: str) -> Outcome:
    """Make the new slot the committed one; FailedError, and reverted, when traffic is not on it any more."""
    with host.store.guard():
        lock, state = host.held(run)
        if state.rollout is None and lock.step == "confirm" and state.live:
            return Outcome(0, f"Confirmed already: {serving(state)}", False, {"serving": host.serving(state)})
        try:
            return _commit(host, run, state)
        except LostError:
            raise
        except PilotError as error:
            raise failed(host, run, error) from None


def _commit(host: Host, run: str, state: HostState) -> Outcome:
    rollout = state.rollout
    if rollout is None or rollout.step not in {"shifted", "confirm"}:
        at = f"it is at step {rollout.step}" if rollout else "it has none"
        raise FailedError(f"Run {run} has no finished shift to confirm ({at}).")
    share = share_of(rollout.slot)
    try:
        now = host.proxy.now(PATIENCE_SECONDS)
    except ProxyDownError as error:
        raise FailedError(f"What serves cannot be told, so {rollout.release} was not confirmed: {error.say}") from None
    if now.share != share:
        raise FailedError(
            f"HAProxy serves {slot_of(now.share)}, not {rollout.slot}: it was restarted after the shift and came "
            f"back with the committed slot, or somebody moved traffic. {rollout.release} was not confirmed."
        )
    container = host.engine.container(host.settings.container(rollout.slot))
    if container is None or not (container.runs or container.state == "restarting"):
        raise FailedError(f"The container of {rollout.slot} does not run, so {rollout.release} was not confirmed.")
    with host.step(run, "confirm"):
        host.store.save_state(state.at(rollout, "confirm"))
    host.store.save_share(share)  # from here on a HAProxy that is killed comes back with the new slot
    with suppress(ProxyDownError):
        host.proxy.move(share, PATIENCE_SECONDS)
    state = state.committed(rollout, host.clock.now())
    host.store.save_state(state)
    host.note(run, "confirm", "confirmed", slot=rollout.slot, release=rollout.release, origin=rollout.origin)
    back = f" `./invoke rollback` goes back to {state.last_good}." if state.last_good else ""
    return Outcome(0, f"Confirmed: {serving(state)}{back}", True, {"serving": host.serving(state)})


def end(host: Host, run: str) -> Outcome:
    """Free the lock if it is this run's. An unfinished rollout stays recorded, for the next run to undo or resume."""
    with host.store.guard():
        lock = host.store.lock()
        if lock is None or lock.run != run:
            return Outcome(0, f"Run {run} holds no lock here.")
        _, state = host.held(run)
        host.store.free()
        host.note(run, "end", "freed")
    left = f" Run {run} is unfinished: the next one undoes it, or --resume goes on with it." if state.rollout else ""
    return Outcome(0, f"The lock is free. {serving(state)}{left}", True, {"serving": host.serving(state)})
