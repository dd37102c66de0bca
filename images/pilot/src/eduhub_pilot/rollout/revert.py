"""Undo a run and report the live release. Also the end of a failed shift or confirmation."""

from __future__ import annotations

from contextlib import suppress

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.codes import CODES
from eduhub_pilot.model.errors import FailedError, PersonError, PilotError, RefusedError, SupersededError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState
from eduhub_pilot.rollout.messages import serving
from eduhub_pilot.rollout.undo import undo

REFUSED = 2


def revert(host: Host, run: str, why: str) -> Outcome:
    """Undo `run` and release its lock.

    Repeating it repeats the answer. A confirmed run is not undone, but its lock is released. RefusedError for a run
    that never held this host.
    """
    with host.store.guard():
        state = host.settled(host.store.state())
        lock = host.store.lock()
        # A run whose lock was removed may still undo its rollout.
        if lock.run != run if lock else not (state.rollout and state.rollout.run == run):
            return _nothing_held(host, run, state)
        if state.rollout is None:
            host.store.free()
            if state.reverted == run:
                return _nothing_held(host, run, state)
            if state.last and state.last.run == run:
                return _confirmed_before(host, run, state)
            message = f"Run {run} had changed nothing yet. {serving(state)}"
            return Outcome("nothing_to_revert", message, True, _data(host, state, []))
        rollout = state.rollout
        undone = undo(host, state, rollout, why)
        host.store.free()
    # The first reason, where the run was being undone already.
    why = (undone.state.last.why if undone.state.last else None) or "no reason given"
    message = f"Reverted run {run}: {why.rstrip('.')}. {serving(undone.state)}"
    return Outcome("reverted", message, True, _data(host, undone.state, undone.log))


def _confirmed_before(host: Host, run: str, state: HostState) -> Outcome:
    message = f"Run {run} was confirmed before, so it was not undone. {serving(state)}"
    return Outcome("revert_refused_confirmed", message, True, _data(host, state, []), [["./invoke", "rollback"]])


def _nothing_held(host: Host, run: str, state: HostState) -> Outcome:
    if state.reverted == run:
        message = f"Run {run} was reverted before. {serving(state)}"
        return Outcome("already_reverted", message, False, _data(host, state, []))
    if state.last and (state.last.run, state.last.result) == (run, "confirmed"):
        return _confirmed_before(host, run, state)
    raise RefusedError("run_unknown", f"Run {run} holds nothing on this host. Nothing was changed. {serving(state)}")


def failed(host: Host, run: str, error: PilotError) -> PilotError:
    """Undo `run` because of `error` and return the error to raise: its code and message, then the live release.

    An error whose code says that nothing was changed becomes `reverted`, with `cause`.
    """
    code, cause = error.code, {}
    if CODES[code].exit == REFUSED:
        code, cause = "reverted", {"cause": error.code}
    data = {**cause, **error.data}
    try:
        outcome = revert(host, run, error.message)
    except PersonError as worse:
        return PersonError(worse.code, f"{error.message} {worse.message}", *worse.next, **data)
    except (RefusedError, SupersededError) as lost:
        return FailedError(code, f"{error.message} {lost.message}", *error.next, **data)
    with suppress(KeyError):
        data.setdefault("log", outcome.data["log"])
    state = host.store.state()
    shown = f"Reverted. {serving(state)}"
    if outcome.code == "revert_refused_confirmed":
        shown = outcome.message
    elif state.last and state.last.run == run and state.last.why not in {None, error.message}:
        shown = f"The run was being undone before: {(state.last.why or '').rstrip('.')}. {shown}"
    return FailedError(code, f"{error.message} {shown}", *error.next, **{**outcome.data, **data})


def _data(host: Host, state: HostState, log: list[str]) -> dict[str, object]:
    return {"serving": host.serving(state), "log": log}
