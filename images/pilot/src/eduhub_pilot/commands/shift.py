"""`shift`: move traffic to the proven candidate, and monitor it until the run is confirmed or undone.

It runs in a container of its own that the engine restarts whenever it ends, so it depends on no connection: the disk
holds the run's step, HAProxy holds the traffic weight. The disk names the live release until `confirm`, so a HAProxy
that restarts returns to it.

- A pilot that was killed continues at the current traffic weight, and monitors that step again from its beginning.
- A HAProxy killed before the first move is waited for, and the move is repeated. A HAProxy restarted after traffic had
  moved, by a reboot too, serves the live release again: the shift fails instead of moving traffic a second time,
  because the candidate may have caused the restart.
- On any failure, SIGTERM and an expired confirmation included, it undoes its run, lock included; `revert` of the same
  run then repeats the result. A superseded run changes nothing.
- A run that has failed is only ever undone. The disk keeps why, or where it is full, this process until it has room; a
  candidate that lost its traffic and is not known to be shifted further was given up by a pilot that was killed then.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.model.errors import FailedError, PilotError, ProxyDownError, RefusedError, SupersededError
from eduhub_pilot.model.facts import SHIFT, other, weight_of
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.shift_plan import Plan
from eduhub_pilot.model.state import HostState, Rollout
from eduhub_pilot.rollout.messages import being_undone, moved, serving
from eduhub_pilot.rollout.recorder import ended
from eduhub_pilot.rollout.revert import failed
from eduhub_pilot.rollout.traffic_shift import TrafficShift
from eduhub_pilot.rollout.undo import give_back

HOLD_POLL_SECONDS = 1.0
# The engine doubles its restart delay, up to a minute, unless the container had run for ten seconds.
FULL_DISK_SECONDS = 10.0
# A rollback target was confirmed on this host before, and a rollback is urgent.
ROLLBACK_WATCH_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--rehearse", action="store_true", help="an upgrade rehearses the rollback too")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return shift(host, options.run, options.rehearse)


def shift(host: Host, run: str, rehearse: bool = False) -> Outcome:
    """Return the shift's outcome; FailedError, and reverted, when the candidate failed or was not confirmed.

    With `rehearse` an upgrade also rehearses the rollback once, and fails when the rehearsal fails.
    """
    over: Outcome | None = None
    try:
        over = _live(host, run, _entered(host, run), rehearse)
    except FailedError as error:
        over = Outcome(error.code, error.message, True, error.data, error.next)
        _give_back_unread(host, run)
        raise
    except OSError:
        _wait_for_room(host, run)
        raise
    except PilotError:
        _give_back_unread(host, run)
        raise
    finally:
        _let_end(host, run, over)
    return over


def _wait_for_room(host: Host, run: str) -> None:
    """Return traffic to the live release where the disk cannot be written: monitor and undo both need it.

    Return once the disk knows of it. The engine restarts the pilot then, and it continues.
    """
    took = _give_back(host, run)
    while True:
        host.clock.sleep(FULL_DISK_SECONDS)
        with suppress(OSError):
            return _keep_returned(host, run) if took else None


def _give_back(host: Host, run: str) -> bool:
    """Return traffic to the live release; return whether the candidate had any."""
    with suppress(PilotError, OSError), host.store.guard():
        state = host.store.state()
        if state.live and state.rollout and state.rollout.run == run and state.rollout.moving:
            had = True
            with suppress(ProxyDownError):
                had = host.proxy.now(TIMEOUT_SECONDS).weight != weight_of(state.live.slot)
            give_back(host, state)
            return had
    return False


def _keep_returned(host: Host, run: str) -> None:
    """Write that the shift itself took its traffic back, so that the next pilot takes it for no undo."""
    with suppress(PilotError), host.store.guard():
        state = host.store.state()
        rollout = state.rollout
        if rollout and rollout.run == run and rollout.step == "shift" and rollout.traffic:
            traffic = replace(rollout.traffic, returned=True)
            host.store.save_state(replace(state, rollout=replace(rollout, traffic=traffic)))


def without_settings(host: Host, run: str) -> None:
    """Return traffic to the live release where the settings that `begin` kept of `run` cannot be read.

    The shift cannot be monitored without them. `host` has the default settings. The engine restarts the pilot until a
    person reverts the run.
    """
    if _give_back(host, run):
        with suppress(OSError):
            _keep_returned(host, run)


def _give_back_unread(host: Host, run: str) -> None:
    """Return traffic to the live release where a state file no longer says that this run moved it.

    release.json or lock.json cannot be read, or release.json was removed. A person has to fix that; until then the
    engine restarts the pilot, and this is all it does. Then it undoes the run, which went unmonitored.
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
                host.proxy.move(host.store.weight(), TIMEOUT_SECONDS)
            return
        rollout = state.rollout
        forgotten = ours and rollout is None and not (state.last and state.last.run == run)
        if forgotten or (not readable and rollout and rollout.run == run and rollout.moving):
            give_back(host, state)


def _entered(host: Host, run: str) -> Rollout:
    with host.store.guard():
        if _orphan(host, run):
            error = FailedError("lock_removed", f"The lock of run {run} was removed while its traffic was moving.")
            raise failed(host, run, error)
        _, state = host.held(run)
        rollout = state.rollout
        if rollout is None or (rollout.step == "begin" and rollout.verb != "rollback"):
            raise FailedError("not_proven", f"Run {run} has no proven candidate: `prove` has to come first.")
        if _unproven(rollout) or rollout.undoing:
            return rollout
        with host.step(run, "shifted" if rollout.step in {"shifted", "confirm"} else "shift"):
            return rollout


def _live(host: Host, run: str, rollout: Rollout, rehearse: bool) -> Outcome:
    try:
        if rollout.undoing:
            raise being_undone(rollout)
        if _unproven(rollout):
            prove(host, run)
        traffic_shift = TrafficShift(host, run, rollout, _plan(host, rollout))
        if rollout.step not in {"shifted", "confirm"}:
            _refuse_given_up(rollout, traffic_shift.monitor.percent)
            traffic_shift.go(rehearse and rollout.verb == "upgrade")
        elif traffic_shift.monitor.percent != 100:
            raise FailedError(
                "traffic_mismatch",
                f"The candidate ({rollout.slot}) had all traffic and has {traffic_shift.monitor.percent}% now: it was "
                "moved back while the disk was full, or by hand while no shift monitored it.",
            )
        _tell(host, run, traffic_shift)
        return _until_decided(host, run, traffic_shift)
    except SupersededError:
        state = host.store.state()
        if state.last and state.last.run == run:
            return _ended(state, run)
        if _orphan(host, run):
            error = FailedError("lock_removed", f"The lock of run {run} was removed before it was confirmed.")
            raise failed(host, run, error) from None
        raise
    except PilotError as error:
        raise _failed(host, run, error) from None


def _refuse_given_up(rollout: Rollout, percent: int) -> None:
    """Raise FailedError where the candidate had traffic and has none, which its shift did not take back for a while."""
    if rollout.traffic and not rollout.traffic.returned and percent == 0:
        raise FailedError(
            "traffic_mismatch",
            f"The candidate ({rollout.slot}) had traffic and has none now: the run was given up by a pilot that was "
            "killed before it could write why, or traffic was moved by hand while no shift monitored it.",
        )


def _failed(host: Host, run: str, error: PilotError) -> PilotError:
    """Undo `run` because of `error`, as soon as the disk can be written: until then only this process knows why."""
    while True:
        try:
            return failed(host, run, error)
        except OSError:
            host.clock.sleep(FULL_DISK_SECONDS)


def _tell(host: Host, run: str, traffic_shift: TrafficShift) -> None:
    """Report that all traffic has moved, with the answer that `await` gives."""
    rollout = host.store.state().rollout
    if rollout and rollout.run == run:
        traffic_shift.monitor.recorder.end(moved(rollout))


def _unproven(rollout: Rollout) -> bool:
    """Return whether the gates are still to run: in a rollback, where a separate pilot would cost a second."""
    return rollout.verb == "rollback" and rollout.step in {"begin", "prove"}


def _plan(host: Host, rollout: Rollout) -> Plan:
    """Return the plan: one step where no other slot serves, and in a rollback."""
    plan = host.settings.plan
    leaving = host.engine.container(host.settings.container(other(rollout.slot))) if rollout.origin else None
    if rollout.verb == "rollback":
        return plan.at_once(ROLLBACK_WATCH_SECONDS)
    return plan if leaving and leaving.runs else plan.at_once(plan.seconds)


def _until_decided(host: Host, run: str, traffic_shift: TrafficShift) -> Outcome:
    """Monitor until the run is confirmed or undone; FailedError at the deadline."""
    while True:
        state = host.store.state()
        rollout = state.rollout
        if rollout is None or rollout.run != run or rollout.traffic is None:
            return _ended(state, run)
        if rollout.undoing:
            raise being_undone(rollout)
        traffic_shift.check()
        by = rollout.traffic.confirm_by
        if by is None or host.clock.monotonic() >= by:
            raise FailedError(
                "confirmation_expired",
                f"{rollout.release} ({rollout.slot}) had all traffic for {rollout.confirm_seconds:g} s and was not "
                "confirmed.",
            )
        host.clock.sleep(HOLD_POLL_SECONDS)


def _ended(state: HostState, run: str) -> Outcome:
    if state.last is None or state.last.run != run:
        raise SupersededError(run, "another run took over")
    if state.last.result == "confirmed":
        return Outcome("confirmed", f"Confirmed. {serving(state)}", True)
    return Outcome("reverted", f"{(state.last.why or '').rstrip('.')}. Reverted. {serving(state)}", True)


def _orphan(host: Host, run: str) -> bool:
    """Return whether this run's rollout has no lock: it was removed by hand, or by an `end` out of order."""
    try:
        rollout = host.store.state().rollout
        return bool(rollout and rollout.run == run and rollout.moving and host.store.lock() is None)
    except RefusedError:
        return False


def _let_end(host: Host, run: str, over: Outcome | None) -> None:
    """Let the container stay ended once its run is over; otherwise the engine restarts it, to finish.

    Reports `over` as the end; without it, `await` finds the result on disk. A revert that was killed right before it
    released its lock is finished here.
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
