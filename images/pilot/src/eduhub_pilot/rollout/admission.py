"""Deciding: may this run begin, to which release, in which slot; or why not, in words. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Slot, other
from eduhub_pilot.model.release import Record, Spec
from eduhub_pilot.model.state import HostState, Lock, Rollout, stamp

KEPT_RELEASES = 5


@dataclass(frozen=True)
class RunRequest:
    """What the operator typed."""

    run: str
    owner: str
    verb: str
    python: str | None = None
    to: str | None = None
    take_over: bool = False
    resume: bool = False
    hold: bool = False
    confirm_within: str = ""

    @property
    def typed(self) -> str:
        """The command as it would be typed again."""
        options = [f"--python {self.python}" if self.python else "", f"--to {self.to}" if self.to else ""]
        return " ".join(word for word in ["./invoke", self.verb, *options] if word)


@dataclass(frozen=True)
class Admission:
    """How a run may begin: `enter` a free host, `undo` first what another run left, or `resume` that run.

    `why` says, where there is something to say, what was found.
    """

    way: Literal["enter", "undo", "resume"]
    why: str = ""


def admit(
    request: RunRequest, lock: Lock | None, rollout: Rollout | None, now: datetime, watched: bool = False
) -> Admission:
    """Return how `request` may begin on a host with this lock and unfinished rollout; RefusedError when it may not.

    A fresh lock is respected unless its own run asks again (a begin that was killed), its owner resumes, or the
    operator takes it over. A stale one, or a rollout that nobody holds, is undone, or gone on with by --resume. Where
    the lock's shift keeps watch (`watched`) it is fresh, whatever the clock says: that was set.
    """
    if lock and lock.run == request.run:
        return Admission("resume" if rollout and rollout.run == request.run else "undo" if rollout else "enter")
    found = ""
    if lock:
        if lock.stale(now) and not watched:
            found = f"{lock.owner} left run {lock.run} at step {lock.step}, last heard of {stamp(lock.heartbeat)}"
        elif rollout and rollout.hold and goes_back(request, rollout) and rollout.step == "shifted":
            found = f"{lock.owner}'s run {lock.run} waited for its confirmation"
        elif request.take_over or (request.resume and rollout and lock.owner == request.owner):
            found = f"{lock.owner}'s run {lock.run} was at step {lock.step}"
        else:
            waits = bool(rollout and rollout.hold and rollout.step == "shifted")
            raise RefusedError(held(request, lock, now, waits))
    if not rollout:
        return Admission("enter", f"Took the lock over: {found}." if found else "")
    found = found or f"Run {rollout.run} was interrupted at step {rollout.step}"
    if not request.resume:
        return Admission("undo", f"{found}; undid what it left.")
    return Admission("resume", f"{found}; going on with it.")


def goes_back(request: RunRequest, rollout: Rollout) -> bool:
    """Return whether undoing `rollout` is all that a rollback asks for: what served before it is back, or still serves.

    Whoever wants to be rid of a run that stopped does not mean the release before the one that serves.
    """
    return request.verb == "rollback" and request.to is None and rollout.verb != "rollback"


def goes_nowhere(request: RunRequest, state: HostState) -> bool:
    """Return whether a rollback has nothing before the live release to go to: to end an interrupted one was all."""
    return request.verb == "rollback" and request.to is None and state.live is not None and state.last_good is None


def held(request: RunRequest, lock: Lock, now: datetime, waits: bool) -> str:
    """Return the words of a lock that is respected: who, since when, which step, and what to type.

    `waits`: its run has moved all traffic and waits for a person.
    """
    silent = max(0, round((now - lock.heartbeat).total_seconds()))
    resume = (
        f"`{request.typed} --resume` goes on with it; "
        if lock.owner == request.owner and request.verb == "upgrade"
        else ""
    )
    keep = "`./invoke confirm` keeps what it did, `./invoke rollback` does not; " if waits else ""
    return (
        f"{lock.owner} holds the lock of this host since {stamp(lock.since)}: run {lock.run}, verb {lock.verb}, "
        f"step {lock.step}, last heard of {silent} s ago. Nothing was touched. Wait for it; {keep}{resume}"
        f"`{request.typed} --take-over` undoes what it did and takes the lock."
    )


def python_of(request: RunRequest, live: Record | None, spec: Spec) -> str | None:
    """Return the Python to run: the one asked for, else the live one, else the inventory's; None where foreign."""
    if spec.python is None:
        if request.python:
            raise RefusedError(
                f"--python {request.python} means nothing for {spec.image}, an image of somebody else "
                "(bridge_python is null). Leave --python out, or set bridge_python."
            )
        return None
    return request.python or (live.python if live else None) or spec.python


def no_image(spec: Spec, near: Sequence[str]) -> RefusedError:
    """Return the refusal of a release whose image is not on the engine, with what is there instead."""
    there = f" There is {', '.join(near)}." if near else ""
    return RefusedError(
        f"The image {spec.image} is not on this host's engine.{there} `./invoke images.build` makes ours; "
        "one of somebody else is brought here by `docker load` or `docker pull`. Nothing was touched."
    )


def wrong_python(spec: Spec, says: str | None) -> RefusedError | None:
    """Return the refusal of an image whose label names another Python than the one chosen, or None."""
    if not spec.python or not says or says == spec.python or says.startswith(f"{spec.python}."):
        return None
    return RefusedError(
        f"The image {spec.image} holds Python {says}, not {spec.python}: let bridge_image name the image by "
        "{python}, or correct bridge_python. Nothing was touched."
    )


def same(record: Record, records: Iterable[Record]) -> Record:
    """Return the newest known release with the hash of `record`, else `record` itself: equal content, equal release."""
    known = sorted((each for each in records if each.hash == record.hash and each.intact), key=lambda each: each.id)
    return known[-1] if known else record


def way_back(request: RunRequest, state: HostState, records: Mapping[str, Record]) -> Record:
    """Return the release that a rollback goes to: the one named, else the last known-good; RefusedError for none."""
    listed = "; ".join(record.named() for record in sorted(records.values(), key=lambda each: each.id, reverse=True))
    there = f"Kept here: {listed}." if listed else "No release is kept here: `./invoke deploy` makes the first."
    if not state.live:
        raise RefusedError("Nothing is deployed on this host, so there is no way back. `./invoke deploy` begins.")
    wanted = request.to or state.last_good
    if wanted is None:
        raise RefusedError(
            f"There is no last known-good release to go back to from {state.live.release}. {there} "
            "Name one: `./invoke rollback --to ID`."
        )
    if wanted not in records:
        near = difflib.get_close_matches(wanted, records, n=1)
        guess = f"Did you mean {near[0]}? " if near else ""
        raise RefusedError(
            f"No release {wanted} is kept on this host. {guess}{there} `./invoke rollback --list` lists them."
        )
    return records[wanted]


def image_gone(record: Record) -> RefusedError:
    """Return the refusal of a rollback whose image somebody removed."""
    return RefusedError(
        f"The image of release {record.id} ({record.image_name}, {record.image_id[:19]}) is gone from this host's "
        "engine. `./invoke rollback --list` lists the releases; `--to ID` names another. Nothing was touched."
    )


def changed(record: Record) -> RefusedError:
    """Return the refusal of a release whose record somebody edited: what it starts is not what was proven."""
    return RefusedError(
        f"The record of release {record.id} was changed since it was written, and what it says now was never proven. "
        "`./invoke rollback --list` lists the others, and `./invoke upgrade` makes it anew. Nothing was touched."
    )


def nothing_live(request: RunRequest) -> RefusedError:
    """Return the refusal of an upgrade of nothing."""
    python = f" --python {request.python}" if request.python else ""
    return RefusedError(f"Nothing is deployed on this host to upgrade. Type `./invoke deploy{python}` first.")


def slot_for(state: HostState, record: Record, live_runs: bool) -> Slot | None:
    """Return the slot to start `record` in; None when it is live and running already.

    The slot is always the one that is not live, also when the live container is stopped or gone (a host that was
    destroyed and is deployed again): then too, traffic moves only to what was proven. On a fresh host it is blue.
    """
    if live_runs and state.live and state.live.release == record.id:
        return None
    return idle(state)


def idle(state: HostState) -> Slot:
    """Return the slot that is free for a new release."""
    return other(state.live.slot) if state.live else "blue"


def same_target(request: RunRequest, rollout: Rollout, record: Record) -> None:
    """Raise RefusedError when a run is resumed with a target that is not its own."""
    if (request.python and request.python != record.python) or (request.to and request.to != record.id):
        asked = f"--python {request.python}" if request.python else f"--to {request.to}"
        raise RefusedError(
            f"The interrupted run {rollout.run} goes to {record.named()}, which is not what {asked} asks for. Leave "
            "one out: --resume goes on with that run, without it the run is undone and yours begins."
        )


def superfluous(state: HostState, records: Iterable[str]) -> set[str]:
    """Return the releases to forget: all but the newest five and whatever is live, last known-good or in a slot."""
    newest = sorted(records, reverse=True)
    needed = {state.last_good, *state.slots.values(), *newest[:KEPT_RELEASES]}
    needed |= {state.live.release if state.live else None, state.rollout.release if state.rollout else None}
    needed |= {state.rollout.origin if state.rollout else None}
    return set(newest) - needed
