"""`shift`: move public traffic to the proven slot, drain the other, watch. One command that needs nobody to look on.

The disk keeps saying the old slot until `confirm`, so whatever happens to HAProxy here, it comes back with the old one.
A HAProxy that is killed before or while it is told is waited for, and told again. One that was restarted *after*
traffic had moved serves the old slot again: the shift then ends as failed and is undone, instead of moving traffic a
second time. What restarted HAProxy may have been the new release, and nobody has looked at it yet.

Whatever goes wrong, and SIGTERM too, the shift undoes its run by itself, lock included; `revert` of the same run then
only repeats the result. When the run lost the host meanwhile (reverted by Ctrl-C, or taken over) it touches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from eduhub_pilot.drain import drained
from eduhub_pilot.errors import FailedError, LostError, PilotError, ProxyDownError
from eduhub_pilot.facts import Container, Counts, other, share_of, slot_of
from eduhub_pilot.haproxy import Moved
from eduhub_pilot.host import PATIENCE_SECONDS, Heart, Host, Outcome
from eduhub_pilot.prove import gone
from eduhub_pilot.revert import failed
from eduhub_pilot.state import Rollout

POLL_SECONDS = 0.2
# With fewer answers than this, a share of errors says nothing.
ANSWERS = 20
ERRORS_SHARE = 0.5


@dataclass(frozen=True)
class Before:
    """What was true when traffic moved: the new slot's container and counts, what HAProxy said, the time."""

    container: Container
    counts: Counts
    moved: Moved
    at: float


def shift(host: Host, run: str) -> Outcome:
    """Return how traffic moved: seconds until the left slot was drained, requests left there at the deadline."""
    with host.step(run, "shift") as (_, state):
        if state.rollout is None or state.rollout.step == "begin":
            raise FailedError(f"Run {run} has nothing proven to shift to: `prove` comes first.")
    try:
        return _shift(host, run, state.rollout)
    except LostError:
        raise
    except PilotError as error:
        raise failed(host, run, error) from None


def _shift(host: Host, run: str, rollout: Rollout) -> Outcome:
    before = _move(host, run, rollout)
    heart = host.heart(run)

    def between() -> None:
        heart.beat()
        _watch(host, rollout, before)

    left, seconds = 0, 0.0
    if rollout.origin:
        left = drained(host, other(rollout.slot), host.settings.drain_seconds, between)
        seconds = round(host.clock.monotonic() - before.at, 3)
        host.note(run, "shift", "drained", slot=other(rollout.slot), left=left, seconds=seconds)
    until = host.clock.monotonic() + host.settings.watch_seconds
    between()
    while host.clock.monotonic() < until:
        host.clock.sleep(POLL_SECONDS)
        between()
    _finish(host, run, heart, seconds if rollout.origin else None)
    still = f", {left} requests still there go on where they are" if left else ""
    leaving = f"; {other(rollout.slot)} was drained in {seconds:.1f} s{still}" if rollout.origin else ""
    say = f"Traffic is on {rollout.slot} ({rollout.release}), not yet confirmed{leaving}."
    return Outcome(0, say, True, {"slot": rollout.slot, "seconds": seconds, "left": left})


def _move(host: Host, run: str, rollout: Rollout) -> Before:
    """Move traffic, behind the guard: nobody can revert this run between the check and the command."""
    name = host.settings.container(rollout.slot)
    with host.step(run, "shift") as (_, state):
        if state.rollout != rollout:
            raise LostError(f"Run {run} ends here: its rollout changed meanwhile. `./invoke status` says what serves.")
        container = host.engine.container(name)
        if container is None or not container.runs:
            raise FailedError(f"{name} does not run any more, so nothing was moved to it.")
        host.store.save_state(state.at(state.rollout, "shift"))
        counts = host.proxy.counts(rollout.slot, PATIENCE_SECONDS)
        started = host.clock.monotonic()
        moved = host.proxy.move(share_of(rollout.slot), PATIENCE_SECONDS)
        host.note(
            run, "shift", "moved", slot=rollout.slot, release=rollout.release,
            share=moved.share, seconds=round(host.clock.monotonic() - started, 3),
        )  # fmt: skip
    return Before(container, counts, moved, started)


def _watch(host: Host, rollout: Rollout, before: Before) -> None:
    """Raise FailedError when traffic is no longer where it was moved, or the new slot does not bear it."""
    after = f"{host.clock.monotonic() - before.at:.1f} s after traffic had moved to {rollout.slot}"
    try:
        now = host.proxy.now(PATIENCE_SECONDS)
    except ProxyDownError as error:
        raise FailedError(f"HAProxy was gone {after}, and is not back: {error.say}") from None
    if now.process != before.moved.process:
        raise FailedError(f"HAProxy was restarted {after}; it came back with the committed slot, as it must.")
    if now.share != before.moved.share:
        raise FailedError(f"Traffic was moved to {slot_of(now.share)} by somebody else, {after}.")
    if why := gone(host.engine.container(before.container.name), replace(before.container)):
        raise FailedError(f"{why}, {after}.")
    counts = host.proxy.counts(rollout.slot, PATIENCE_SECONDS)
    answers, errors = counts.answers - before.counts.answers, counts.errors - before.counts.errors
    if answers >= ANSWERS and errors > answers * ERRORS_SHARE:
        raise FailedError(f"{errors} of {answers} public answers of {rollout.slot} were errors (5xx), {after}.")


def _finish(host: Host, run: str, heart: Heart, seconds: float | None) -> None:
    heart.beat()
    with host.step(run, "shifted") as (_, state):
        if state.rollout is None:
            raise LostError(f"Run {run} ends here: it was reverted meanwhile. `./invoke status` says what serves.")
        # What going back would take too: the same switch and the same drain.
        way_back = state.way_back_seconds if seconds is None else seconds
        host.store.save_state(replace(state.at(state.rollout, "shifted"), way_back_seconds=way_back))
        host.note(run, "shift", "shifted", slot=state.rollout.slot, release=state.rollout.release)
