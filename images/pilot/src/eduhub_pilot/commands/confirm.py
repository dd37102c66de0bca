"""`confirm`: commit the release that has the traffic, on disk before at runtime, and release the lock."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.model.connections import Connection, pages, words
from eduhub_pilot.model.errors import FailedError, PilotError, ProxyDownError, RefusedError, SupersededError
from eduhub_pilot.model.facts import Slot, other, slot_of, weight_of
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState
from eduhub_pilot.rollout.messages import being_undone, ended, serving
from eduhub_pilot.rollout.revert import failed
from eduhub_pilot.rollout.status import status
from eduhub_pilot.rollout.summary import summed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", help="id of the run; without it the run that awaits confirmation")
    parser.add_argument("--owner", help="the operator, as user@host, for the journal")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    if options.run:
        return summed(host, options.run, confirm_and_free(host, options.run, options.owner))
    try:
        outcome = pending(host, options.owner)
    except PilotError as error:
        with suppress(PilotError, OSError):  # beside hosts that were confirmed, it may be the other part of a fleet
            error.data.setdefault("status", status(host).data["status"])
        raise
    return summed(host, outcome.data["run"], outcome)


def pending(host: Host, owner: str | None = None) -> Outcome:
    """Confirm the run that awaits a confirmation and release its lock; RefusedError where none does.

    `owner` is the confirming operator, for the journal.
    """
    with host.store.guard():
        state = host.settled(host.store.state())
        rollout = state.rollout
        if rollout is None or rollout.step not in {"shifted", "confirm"}:
            at = f" Run {rollout.run} is at step {rollout.step}." if rollout else ""
            if rollout and rollout.undoing:
                at = f" Run {rollout.run} is being undone: {being_undone(rollout).message}"
            last = f" {ended(state.last)}" if state.last and not rollout else ""
            raise RefusedError(
                "not_awaiting_confirmation", f"No run awaits a confirmation. {serving(state)}{at}{last}"
            )
        return confirm_and_free(host, rollout.run, owner)


def confirm_and_free(host: Host, run: str, owner: str | None = None) -> Outcome:
    """Confirm `run`, then free its lock."""
    with host.store.guard():
        outcome = confirm(host, run, owner)
        free(host, run)
        return replace(outcome, data={**outcome.data, "run": run})


def free(host: Host, run: str) -> None:
    """Release the lock if this run holds it. An unfinished rollout stays recorded, to be undone or resumed."""
    with host.store.guard():
        lock = host.store.lock()
        if lock is not None and lock.run == run:
            host.store.free()
            host.note(run, "confirm", "lock_released")


def confirm(host: Host, run: str, owner: str | None = None) -> Outcome:
    """Commit the candidate; FailedError, and reverted, when it no longer has the traffic."""
    with host.store.guard():
        _, state = host.held(run)
        if _confirmed(state, run):
            message = f"Run {run} was confirmed before. {serving(state)}"
            return Outcome("already_confirmed", message, False, {"serving": host.serving(state)})
        try:
            return _commit(host, run, state, owner)
        except SupersededError:
            raise
        except PilotError as error:
            state = host.settled(host.store.state())
            if _confirmed(state, run):  # traffic.map was written before the pilot was stopped
                message = f"Confirmed. {serving(state)} {error.message}"
                return Outcome("confirmed", message, True, {"serving": host.serving(state)})
            raise failed(host, run, error) from None


def _confirmed(state: HostState, run: str) -> bool:
    last = state.last
    return state.rollout is None and last is not None and (last.run, last.result) == (run, "confirmed")


def _commit(host: Host, run: str, state: HostState, owner: str | None) -> Outcome:
    rollout = state.rollout
    if rollout and rollout.undoing:
        raise being_undone(rollout)
    if rollout is None or rollout.step not in {"shifted", "confirm"}:
        at = f"step {rollout.step}" if rollout else "no rollout"
        raise FailedError("no_finished_shift", f"Run {run} has no finished shift to confirm ({at}).")
    weight = weight_of(rollout.slot)
    try:
        now = host.proxy.now(TIMEOUT_SECONDS)
    except ProxyDownError as error:
        raise FailedError(
            "traffic_unknown", f"{rollout.release} was not confirmed: its traffic weight is unknown. {error.message}"
        ) from None
    if now.weight != weight:
        raise FailedError(
            "traffic_mismatch",
            f"{rollout.release} was not confirmed: HAProxy sends traffic to {slot_of(now.weight)}, not to "
            f"{rollout.slot}. HAProxy was restarted after the shift, or traffic was moved by hand.",
        )
    container = host.engine.container(host.settings.container(rollout.slot))
    if container is None or not (container.runs or container.state == "restarting"):
        message = f"{rollout.release} was not confirmed: the container of {rollout.slot} does not run."
        raise FailedError("candidate_not_running", message)
    with host.step(run, "confirm"):
        host.store.save_state(state.at(rollout, "confirm"))
    host.store.save_weight(weight)  # from here on a restarted HAProxy returns with the candidate
    with suppress(ProxyDownError):
        host.proxy.move(weight, TIMEOUT_SECONDS)
    by = {"owner": owner} if owner else {}
    # Before release.json: a pilot killed in between writes this line twice, never not at all.
    host.note(run, "confirm", "confirmed", slot=rollout.slot, release=rollout.release, origin=rollout.origin, **by)
    state = state.committed(rollout, host.clock.now())
    host.store.save_state(state)
    found = _cut(host, run, other(rollout.slot)) if rollout.origin else []
    cut = f" Cut {len(found)} connections to {other(rollout.slot)}: {words(found)}." if found else ""
    data = {"serving": host.serving(state), "cut": pages(found)[0]}
    return Outcome("confirmed", f"Confirmed. {serving(state)}{cut}", True, data)


def _cut(host: Host, run: str, slot: Slot) -> list[Connection]:
    """Cut the connections still at the previous slot after the drain, and journal them first.

    The container stays warm, but no client should use it for hours and be cut, unlisted, by the next rollout.
    """
    with suppress(ProxyDownError):
        if host.proxy.counts(slot, timeout=1).sessions == 0:
            return []
        host.note_connections(run, "confirm", "cutting", slot, host.proxy.left(slot, timeout=1))
        found = host.proxy.cut(slot, timeout=1)
        host.note_connections(run, "confirm", "cut", slot, found)
        return found
    return []
