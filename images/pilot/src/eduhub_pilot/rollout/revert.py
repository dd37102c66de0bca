"""`revert`: undo a run and say what serves. Also the end of a shift or confirmation that failed."""

from __future__ import annotations

from contextlib import suppress

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import FailedError, LostError, PersonError, PilotError, RefusedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState
from eduhub_pilot.rollout.messages import serving
from eduhub_pilot.rollout.undo import undo


def revert(host: Host, run: str, why: str) -> Outcome:
    """Undo `run` and free its lock; the outcome's code is 1, since what the run tried is not done.

    Repeating it repeats the answer. A run that confirmed already is not undone: 0, its lock is freed. One that holds
    nothing, and never did: RefusedError.
    """
    with host.store.guard():
        state = host.settled(host.store.state())
        lock = host.store.lock()
        # A rollout whose lock somebody removed is still its run's to undo.
        if lock.run != run if lock else not (state.rollout and state.rollout.run == run):
            return _nothing_held(host, run, state)
        if state.rollout is None:
            host.store.free()
            if state.reverted == run:
                return _nothing_held(host, run, state)
            if state.last and state.last.run == run:
                return _confirmed_before(host, run, state)
            words = "The run had changed nothing yet."
            return Outcome(1, f"{serving(state)} {words}", True, _data(host, state, []))
        rollout = state.rollout
        undone = undo(host, state, rollout, why)
        host.store.free()
    words = f"{serving(undone.state)} {rollout.slot} ({rollout.release}) is gone"
    return Outcome(1, f"{words}: {why}", True, _data(host, undone.state, undone.log))


def _confirmed_before(host: Host, run: str, state: HostState) -> Outcome:
    words = f"Run {run} had confirmed already: {serving(state)} `./invoke rollback` goes back."
    return Outcome(0, words, True, _data(host, state, []))


def _nothing_held(host: Host, run: str, state: HostState) -> Outcome:
    if state.reverted == run:
        return Outcome(1, f"Run {run} was reverted already. {serving(state)}", False, _data(host, state, []))
    if state.last and (state.last.run, state.last.result) == (run, "confirmed"):
        return _confirmed_before(host, run, state)
    raise RefusedError(f"Run {run} holds nothing here: nothing was touched. {serving(state)}")


def failed(host: Host, run: str, error: PilotError) -> PilotError:
    """Undo `run` because of `error` and return the error to raise: the same words, then what serves."""
    try:
        outcome = revert(host, run, error.say)
    except PersonError as worse:
        return PersonError(f"{error.say} {worse.say}", **error.data)
    except (RefusedError, LostError) as lost:
        return FailedError(f"{error.say} {lost.say}", **error.data)
    with suppress(KeyError):
        error.data.setdefault("log", outcome.data["log"])
    shown = f"Reverted: {serving(host.store.state())}" if outcome.code else outcome.say
    return FailedError(f"{error.say} {shown}", **{**outcome.data, **error.data})


def _data(host: Host, state: HostState, log: list[str]) -> dict[str, object]:
    return {"serving": host.serving(state), "log": log}
