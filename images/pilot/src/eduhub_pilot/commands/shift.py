"""`shift`: the one life that moves traffic to the proven slot and keeps watch until that is confirmed or undone.

It runs in a container of its own that the engine starts again whenever it ends, so it needs nobody: the disk says how
far its run is, HAProxy says where traffic is. The disk keeps saying the old slot until `confirm`, so whatever happens
to HAProxy here, it comes back with the old one.

- A pilot that was killed goes on with the step that traffic is at, and watches it once more from its beginning.
- A HAProxy that is killed before or while it is first told is waited for, and told again. One that was restarted after
  traffic had moved, by a reboot too, serves the old slot again: the shift ends as failed instead of moving traffic a
  second time. What restarted it may have been the new release, and nobody has looked at it yet.
- Whatever goes wrong, SIGTERM and a deadline without confirmation too, it undoes its run by itself, lock included;
  `revert` of the same run then only repeats the result. A run that lost the host meanwhile touches nothing.
"""

from __future__ import annotations

import argparse
from contextlib import suppress

from eduhub_pilot.adapters.host import PATIENCE_SECONDS, Host
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.model.errors import FailedError, LostError, PilotError, RefusedError
from eduhub_pilot.model.facts import SHIFT, other
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.shift_plan import Plan
from eduhub_pilot.model.state import HostState, Rollout
from eduhub_pilot.rollout.messages import moved, serving
from eduhub_pilot.rollout.recorder import ended
from eduhub_pilot.rollout.revert import failed
from eduhub_pilot.rollout.traffic_shift import TrafficShift
from eduhub_pilot.rollout.undo import give_back

HOLD_POLL_SECONDS = 1.0
# The engine doubles its pause before it starts again what ended, up to a minute, unless that had run for ten seconds.
FULL_DISK_SECONDS = 10.0
# The way back leads to a release that was confirmed here once, and whoever takes it is in a hurry.
ROLLBACK_WATCH_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--rehearse", action="store_true", help="an upgrade rehearses the rollback too")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return shift(host, options.run, options.rehearse)


def shift(host: Host, run: str, rehearse: bool = False) -> Outcome:
    """Return how the shift ended; FailedError, and reverted, when the new slot did not bear it or nobody confirmed.

    With `rehearse` an upgrade also goes back and forth once, and fails where the way back cannot be shown.
    """
    over: Outcome | None = None
    try:
        over = _live(host, run, _entered(host, run), rehearse)
    except FailedError as error:
        over = Outcome(1, error.say, True)
        _give_back_unread(host, run)
        raise
    except OSError:
        _give_back(host, run)
        host.clock.sleep(FULL_DISK_SECONDS)
        raise
    except PilotError:
        _give_back_unread(host, run)
        raise
    finally:
        _let_end(host, run, over)
    return over


def _give_back(host: Host, run: str) -> None:
    """Take traffic from the new slot where nothing can be written: neither watch nor undoing get on without a disk.

    The engine starts the pilot again and again meanwhile; once there is room it goes on from there.
    """
    with suppress(PilotError, OSError), host.store.guard():
        state = host.store.state()
        if state.rollout and state.rollout.run == run and state.rollout.moving:
            give_back(host, state)


def _give_back_unread(host: Host, run: str) -> None:
    """Take traffic from the new slot where a state file does not say any more that this run moved it.

    release.json or lock.json cannot be read, or somebody took release.json away. It is a person's to mend; until then
    the engine starts the pilot again and again, and this is all it does.
    """
    with suppress(PilotError, OSError), host.store.guard():
        lock, readable = None, False
        with suppress(RefusedError):
            lock, readable = host.store.lock(), True
        ours = lock is not None and lock.run == run
        try:
            state = host.store.state()
        except RefusedError:
            if ours or not readable:
                host.proxy.move(host.store.share(), PATIENCE_SECONDS)
            return
        rollout = state.rollout
        forgotten = ours and rollout is None and not (state.last and state.last.run == run)
        if forgotten or (not readable and rollout and rollout.run == run and rollout.moving):
            give_back(host, state)


def _entered(host: Host, run: str) -> Rollout:
    with host.store.guard():
        if _orphan(host, run):
            raise failed(host, run, FailedError(f"The lock of run {run} was removed while traffic was moving."))
        _, state = host.held(run)
        rollout = state.rollout
        if rollout is None or (rollout.step == "begin" and rollout.verb != "rollback"):
            raise FailedError(f"Run {run} has nothing proven to shift to: `prove` comes first.")
        if _unproven(rollout):
            return rollout
        with host.step(run, "shifted" if rollout.step in {"shifted", "confirm"} else "shift"):
            return rollout


def _live(host: Host, run: str, rollout: Rollout, rehearse: bool) -> Outcome:
    try:
        if _unproven(rollout):
            prove(host, run)
        traffic_shift = TrafficShift(host, run, rollout, _plan(host, rollout))
        if rollout.step not in {"shifted", "confirm"}:
            traffic_shift.go(rehearse and rollout.verb == "upgrade")
        elif traffic_shift.monitor.percent != 100:
            raise FailedError(
                f"{rollout.slot} had all traffic and has {traffic_shift.monitor.percent}% now: it was given back while "
                "nothing could be written, or moved by hand while no pilot kept watch."
            )
        _tell(host, run, traffic_shift)
        return _until_decided(host, run, traffic_shift)
    except LostError:
        state = host.store.state()
        if state.last and state.last.run == run:
            return _ended(state, run)
        if _orphan(host, run):
            error = FailedError(f"The lock of run {run} was removed before it was confirmed.")
            raise failed(host, run, error) from None
        raise
    except PilotError as error:
        raise failed(host, run, error) from None


def _tell(host: Host, run: str, traffic_shift: TrafficShift) -> None:
    """Tell whoever looks on that all traffic has moved, in the words of `await`."""
    rollout = host.store.state().rollout
    if rollout and rollout.run == run:
        traffic_shift.monitor.recorder.end(moved(rollout))


def _unproven(rollout: Rollout) -> bool:
    """Return whether the proof is still to come: on the way back, where one pilot more would take a second more."""
    return rollout.verb == "rollback" and rollout.step in {"begin", "prove"}


def _plan(host: Host, rollout: Rollout) -> Plan:
    """Return the plan: in one step where nobody else serves, and on the way back."""
    plan = host.settings.plan
    leaving = host.engine.container(host.settings.container(other(rollout.slot))) if rollout.origin else None
    if rollout.verb == "rollback":
        return plan.at_once(ROLLBACK_WATCH_SECONDS)
    return plan if leaving and leaving.runs else plan.at_once(plan.seconds)


def _until_decided(host: Host, run: str, traffic_shift: TrafficShift) -> Outcome:
    """Keep watch until the run is confirmed or undone; FailedError at the deadline."""
    while True:
        state = host.store.state()
        rollout = state.rollout
        if rollout is None or rollout.run != run or rollout.traffic is None:
            return _ended(state, run)
        traffic_shift.look()
        by = rollout.traffic.confirm_by
        if by is None or host.clock.monotonic() >= by:
            raise FailedError(
                f"{rollout.slot} ({rollout.release}) had all traffic for {rollout.confirm_seconds:g} s and nobody "
                "confirmed it."
            )
        host.clock.sleep(HOLD_POLL_SECONDS)


def _ended(state: HostState, run: str) -> Outcome:
    if state.last is None or state.last.run != run:
        raise LostError(f"Run {run} ends here: another one took this host over. `./invoke status` says what serves.")
    if state.last.result == "confirmed":
        return Outcome(0, f"Confirmed: {serving(state)}", True)
    return Outcome(1, f"{(state.last.why or '').rstrip('.')}. Reverted: {serving(state)}", True)


def _orphan(host: Host, run: str) -> bool:
    """Return whether this run's rollout is left without any lock: by hand, or by an `end` out of order."""
    try:
        rollout = host.store.state().rollout
        return bool(rollout and rollout.run == run and rollout.moving and host.store.lock() is None)
    except RefusedError:
        return False


def _let_end(host: Host, run: str, over: Outcome | None) -> None:
    """Let the container stay ended once its run is over; otherwise the engine starts it again, to finish.

    Whoever looks on is told `over`, or has to find out where there is none.
    A revert that was killed right before it freed its lock has that done here.
    """
    with suppress(PilotError):
        with host.store.guard():
            state, lock = host.store.state(), host.store.lock()
            if state.rollout and state.rollout.run == run and state.rollout.moving:
                return
            if lock and lock.run == run == state.reverted and state.rollout is None:
                host.store.free()
        ended(host, run, over)
        host.engine.let_end(host.settings.container(SHIFT))
