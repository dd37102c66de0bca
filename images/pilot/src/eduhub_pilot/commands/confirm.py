"""`confirm` and `end`: commit the release that traffic is on, disk before runtime; free the lock."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace

from eduhub_pilot.adapters.host import PATIENCE_SECONDS, Host
from eduhub_pilot.commands.end import end
from eduhub_pilot.model.connections import Connection, pages, words
from eduhub_pilot.model.errors import FailedError, LostError, PilotError, ProxyDownError, RefusedError
from eduhub_pilot.model.facts import Slot, other, slot_of, weight_of
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState
from eduhub_pilot.rollout.messages import ended, serving
from eduhub_pilot.rollout.revert import failed
from eduhub_pilot.rollout.summary import summed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", help="id of the run; without it the run that waits")
    parser.add_argument("--owner", help="the person who types, as user@host, for the journal")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    outcome = confirm_and_free(host, options.run, options.owner) if options.run else pending(host, options.owner)
    return summed(host, outcome.data["run"], outcome)


def pending(host: Host, owner: str | None = None) -> Outcome:
    """Confirm the run that waits for a person, whichever it is, and free its lock; RefusedError where none does.

    `owner` is that person, for the journal.
    """
    with host.store.guard():
        state = host.settled(host.store.state())
        rollout = state.rollout
        if rollout is None or rollout.step not in {"shifted", "confirm"}:
            at = f" Run {rollout.run} is at step {rollout.step}." if rollout else ""
            last = f" {ended(state.last)}" if state.last and not rollout else ""
            raise RefusedError(f"Nothing waits for a confirmation: {serving(state)}{at}{last}")
        return confirm_and_free(host, rollout.run, owner)


def confirm_and_free(host: Host, run: str, owner: str | None = None) -> Outcome:
    """Confirm `run`, then free its lock."""
    with host.store.guard():
        outcome = confirm(host, run, owner)
        end(host, run)
        return replace(outcome, data={**outcome.data, "run": run})


def confirm(host: Host, run: str, owner: str | None = None) -> Outcome:
    """Make the new slot the committed one; FailedError, and reverted, when traffic is not on it any more."""
    with host.store.guard():
        _, state = host.held(run)
        if _confirmed(state, run):
            return Outcome(0, f"Confirmed already: {serving(state)}", False, {"serving": host.serving(state)})
        try:
            return _commit(host, run, state, owner)
        except LostError:
            raise
        except PilotError as error:
            state = host.settled(host.store.state())
            if _confirmed(state, run):  # traffic.map was written before it was stopped
                return Outcome(0, f"Confirmed: {serving(state)} {error.say}", True, {"serving": host.serving(state)})
            raise failed(host, run, error) from None


def _confirmed(state: HostState, run: str) -> bool:
    last = state.last
    return state.rollout is None and last is not None and (last.run, last.result) == (run, "confirmed")


def _commit(host: Host, run: str, state: HostState, owner: str | None) -> Outcome:
    rollout = state.rollout
    if rollout is None or rollout.step not in {"shifted", "confirm"}:
        at = f"it is at step {rollout.step}" if rollout else "it has none"
        raise FailedError(f"Run {run} has no finished shift to confirm ({at}).")
    share = weight_of(rollout.slot)
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
    by = {"owner": owner} if owner else {}
    # Before release.json, which is what would have it written again: a pilot killed in between says it twice.
    host.note(run, "confirm", "confirmed", slot=rollout.slot, release=rollout.release, origin=rollout.origin, **by)
    state = state.committed(rollout, host.clock.now())
    host.store.save_state(state)
    back = f" `./invoke rollback` goes back to {state.last_good}." if state.last_good else ""
    found = _cut(host, run, other(rollout.slot)) if rollout.origin else []
    cut = f" {len(found)} connections that {other(rollout.slot)} still had were cut: {words(found)}." if found else ""
    data = {"serving": host.serving(state), "cut": pages(found)[0]}
    return Outcome(0, f"Confirmed: {serving(state)}{back}{cut}", True, data)


def _cut(host: Host, run: str, slot: Slot) -> list[Connection]:
    """Cut who is still at the left slot long after traffic moved, and write down who that was, before it is done.

    Its container stays warm, but nobody should be served by it for hours and be cut by the next rollout, unlisted.
    """
    with suppress(ProxyDownError):
        if host.proxy.counts(slot, patience=1).sessions == 0:
            return []
        host.note_connections(run, "confirm", "cutting", slot, host.proxy.left(slot, patience=1))
        found = host.proxy.cut(slot, patience=1)
        host.note_connections(run, "confirm", "cut", slot, found)
        return found
    return []
