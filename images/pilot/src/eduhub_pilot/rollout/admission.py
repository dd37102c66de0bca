"""Whether a run may begin, to which release and in which slot. Pure."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Image, Slot, other
from eduhub_pilot.model.release import Record, Spec
from eduhub_pilot.model.state import PATCH, HostState, Lock, Rollout, stamp

KEPT_RELEASES = 5
LIST = ["./invoke", "rollback", "--list"]
STATUS, PATCH_ON = ["./invoke", "status"], ["./invoke", "host.patch", "--take-over"]


@dataclass(frozen=True)
class RunRequest:
    """What the operator requested.

    `planned` is the fingerprint of the plan that the run carries out, `accepted` the id of the image that it may start.
    """

    run: str
    owner: str
    verb: str
    python: str | None = None
    to: str | None = None
    take_over: bool = False
    resume: bool = False
    hold: bool = False
    confirm_within: str = ""
    planned: str | None = None
    accepted: str | None = None

    @property
    def command(self) -> list[str]:
        """The argument list that repeats the request, less its --resume or --take-over."""
        python, to = ["--python", self.python] if self.python else [], ["--to", self.to] if self.to else []
        return ["./invoke", self.verb, *python, *to]

    @property
    def taking_over(self) -> list[str]:
        """The same with --take-over. What names no Python but that of the interrupted run resumes it."""
        resume = ["--resume"] if self.resume and not self.python else []
        return [*self.command, *resume, "--take-over"]


@dataclass(frozen=True)
class Admission:
    """How a run may begin: `enter` a free host, `undo` an interrupted run first, or `resume` it.

    `why` is what was found, for the operator; empty on a free host.
    """

    way: Literal["enter", "undo", "resume"]
    why: str = ""


def admit(
    request: RunRequest, lock: Lock | None, rollout: Rollout | None, now: datetime, watched: bool = False
) -> Admission:
    """Return how `request` may begin on a host with this lock and unfinished rollout; RefusedError when it may not.

    A valid lock is respected unless its own run asks again (a begin that was killed), its owner resumes, or the
    operator takes it over. A run with an expired lock, or without one, is undone, or resumed with --resume. While the
    lock's shift monitors traffic (`watched`) the lock is valid, whatever the clock says: the clock was set. A run that
    is being undone is never resumed.
    """
    undoing = rollout is not None and rollout.undoing
    if lock and lock.run == request.run:
        resumed = rollout and rollout.run == request.run and not undoing
        return Admission("resume" if resumed else "undo" if rollout else "enter")
    found = ""
    if lock:
        if lock.expired(now) and not watched:
            found = (
                f"The lock of {lock.owner} expired: run {lock.run} at step {lock.step}, last heartbeat "
                f"{stamp(lock.heartbeat)}"
            )
        elif rollout and rollout.hold and is_undo(request, rollout) and rollout.step == "shifted":
            found = f"Run {lock.run} of {lock.owner} awaited its confirmation"
        elif request.take_over or (request.resume and rollout and lock.owner == request.owner):
            found = f"Run {lock.run} of {lock.owner} was at step {lock.step}"
        else:
            raise held(request, lock, now, rollout)
    if not rollout:
        return Admission("enter", f"{found}. The lock was taken over." if found else "")
    if undoing:
        why = f": {rollout.why.rstrip('.')}" if rollout.why else ""
        if request.resume:
            raise RefusedError(
                "resume_refused_undoing",
                f"Run {rollout.run} cannot be resumed: it is being undone{why}. Nothing was changed.",
                request.command,
            )
        return Admission("undo", f"Run {rollout.run} was being undone{why}. That is completed.")
    found = found or f"Run {rollout.run} was interrupted at step {rollout.step}"
    if not request.resume:
        return Admission("undo", f"{found}. It was undone.")
    return Admission("resume", f"{found}. It is resumed.")


def is_undo(request: RunRequest, rollout: Rollout) -> bool:
    """Return whether undoing `rollout` is all that a rollback requests: the live release before it is live again.

    An operator who rolls back an interrupted run does not mean the release before the live one.
    """
    return request.verb == "rollback" and request.to is None and rollout.verb != "rollback"


def awaits(request: RunRequest, rollout: Rollout) -> bool:
    """Return whether `rollout` has come to where a held run of the same verb ends: a person is to confirm it."""
    return request.hold and rollout.hold and rollout.step == "shifted" and rollout.verb == request.verb


def has_no_target(request: RunRequest, state: HostState) -> bool:
    """Return whether a rollback has no target before the live release: ending an interrupted rollback was all."""
    return request.verb == "rollback" and request.to is None and state.live is not None and state.last_good is None


def held(request: RunRequest, lock: Lock, now: datetime, rollout: Rollout | None) -> RefusedError:
    """Return the refusal because of a valid lock: its holder, since when, its step, and what to type."""
    silent = max(0, round((now - lock.heartbeat).total_seconds()))
    if rollout:
        request = replace(request, resume=request.resume and not rollout.undoing)
        waits = rollout.hold and rollout.step == "shifted"
        following = [["./invoke", "confirm"], ["./invoke", "rollback"]] if waits else []
        if lock.owner == request.owner and request.verb == "upgrade" and not rollout.undoing:
            following.append([*request.command, "--resume"])
        following.append(request.taking_over)
        resumes = "--resume" in request.taking_over
        after = f"Taking the lock over {'resumes' if resumes else 'undoes'} that run."
    else:
        after, following = idle_lock(lock)
        # A rollback over it would not undo that run: it would leave a release that is in order.
        if request.verb != "rollback" and lock.verb != PATCH:
            following.append(request.taking_over)
    return RefusedError(
        "lock_held",
        f"{lock.owner} holds the lock of this host since {stamp(lock.since)}: run {lock.run}, verb {lock.verb}, "
        f"step {lock.step}, last heartbeat {silent} s ago. Nothing was changed. {after}",
        *following,
    )


def idle_lock(lock: Lock) -> tuple[str, list[list[str]]]:
    """Return what is true of a valid lock without a rollout, and what to type: nothing of its run is to be undone."""
    after = f"That run has no rollout to undo: repeat the command when it has ended.{died(lock)}"
    return after, [STATUS, *([PATCH_ON] if lock.verb == PATCH else [])]


def died(lock: Lock) -> str:
    """Return what ends a run that is no rollout, and that may have died, as a sentence after another."""
    if lock.verb == PATCH:
        return " Where that update died, --take-over of host.patch goes on from there, and undrains the host."
    return f" Where it died, its lock expires at {stamp(lock.expires)}."


def python_of(request: RunRequest, live: Record | None, spec: Spec) -> str | None:
    """Return the Python to run: the requested, else the live, else the inventory's; None for a foreign image."""
    if spec.python is None:
        if request.python:
            raise RefusedError(
                "python_not_selectable",
                f"--python {request.python} does not apply to {spec.image}, a foreign image (bridge_python is null). "
                "Leave --python out and type ./invoke deploy, or set bridge_python.",
            )
        return None
    return request.python or (live.python if live else None) or spec.python


def fingerprint(live: str | None, given: Mapping[str, Any], spec: Spec, image: Image) -> str:
    """Return what a plan and the run that carries it out have in common: live release, settings, image and spec.

    The image has another id on a host with containerd's image store than where it was planned.
    """
    text = json.dumps([live, given, spec.fields, image.identity or image.id], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_outdated(request: RunRequest) -> RefusedError:
    """Return the refusal of a run whose plan was made for another live release, other settings or another image."""
    python = ["--python", request.python] if request.python else []
    return RefusedError(
        "plan_outdated",
        "The live release of this host, its settings or its image changed since the plan was made. "
        "Nothing was changed.",
        ["./invoke", "plan", *python],
    )  # fmt: skip


def demand_accepted(request: RunRequest, record: Record) -> None:
    """Raise RefusedError where the run would start another image than the one whose signature was checked."""
    if request.accepted and request.accepted != record.image_id:
        raise RefusedError(
            "image_not_accepted",
            f"The image of release {record.id} ({record.image_name}, {record.image_id[:19]}) is not the one whose "
            f"signature was checked ({request.accepted[:19]}): its name was given to another image meanwhile. "
            "Nothing was changed.",
            [*request.command, *(["--resume"] if request.resume else [])],
        )


def no_image(spec: Spec, near: Sequence[str]) -> RefusedError:
    """Return the refusal of a release whose image is not on the host, with the images that are."""
    there = f" Present: {', '.join(near)}." if near else ""
    return RefusedError(
        "image_missing", f"The image {spec.image} is not on this host.{there} Nothing was changed.",
        ["./invoke", "images.build"], ["docker", "pull", spec.image],
    )  # fmt: skip


def wrong_python(spec: Spec, says: str | None) -> RefusedError | None:
    """Return the refusal of an image whose label names another Python than the chosen one, or None."""
    if not spec.python or not says or says == spec.python or says.startswith(f"{spec.python}."):
        return None
    return RefusedError(
        "image_python_mismatch",
        f"The image {spec.image} contains Python {says}, not {spec.python}. Write {{python}} into bridge_image, or "
        "correct bridge_python. Nothing was changed.",
    )


def same(record: Record, records: Iterable[Record]) -> Record:
    """Return the newest known release with the hash of `record`, else `record` itself: equal content, equal release."""
    known = sorted((each for each in records if each.hash == record.hash and each.intact), key=lambda each: each.id)
    return known[-1] if known else record


def rollback_target(request: RunRequest, state: HostState, records: Mapping[str, Record]) -> Record:
    """Return the rollback target: the named release, else the last known-good one; RefusedError for none."""
    listed = "; ".join(record.named() for record in sorted(records.values(), key=lambda each: each.id, reverse=True))
    there = f"Kept on this host: {listed}." if listed else "This host keeps no release."
    if not state.live:
        message = "Nothing is deployed on this host, so there is no rollback target."
        raise RefusedError("nothing_deployed", message, ["./invoke", "deploy"])
    wanted = request.to or state.last_good
    if wanted is None:
        raise RefusedError(
            "no_rollback_target",
            f"There is no last known-good release before {state.live.release}. {there} A release can be named with "
            "--to.",
            LIST,
        )
    if wanted not in records:
        near = difflib.get_close_matches(wanted, records, n=1)
        guess = f"Did you mean {near[0]}? " if near else ""
        raise RefusedError("release_unknown", f"This host does not keep release {wanted}. {guess}{there}", LIST)
    return records[wanted]


def image_gone(record: Record) -> RefusedError:
    """Return the refusal of a rollback whose image was removed."""
    return RefusedError(
        "image_gone",
        f"The image of release {record.id} ({record.image_name}, {record.image_id[:19]}) is no longer on this host. "
        "Another release can be named with --to, or one made anew from today's images. Nothing was changed.",
        LIST, anew(record),
    )


def changed(record: Record) -> RefusedError:
    """Return the refusal of a release whose record was edited: it would start something that was not proven."""
    return RefusedError(
        "record_changed",
        f"The record of release {record.id} was changed after it was written, so the release is not the proven one. "
        "Nothing was changed.",
        LIST, anew(record),
    )


def anew(record: Record) -> list[str]:
    """Return the command that makes a release like `record` again; a foreign one has no Python for an upgrade."""
    return ["./invoke", "upgrade", "--python", record.python] if record.python else ["./invoke", "deploy"]


def nothing_live(request: RunRequest) -> RefusedError:
    """Return the refusal of an upgrade on a host without a live release."""
    python = ["--python", request.python] if request.python else []
    message = "Nothing is deployed on this host, so there is nothing to upgrade."
    return RefusedError("nothing_deployed", message, ["./invoke", "deploy", *python])


def slot_for(state: HostState, record: Record, live_runs: bool) -> Slot | None:
    """Return the slot to start `record` in; None when it is live and running already.

    The slot is always the one that is not live, also when the live container is stopped or gone (a host that was
    destroyed and is deployed again): then too, traffic moves only to a proven candidate. On a fresh host it is blue.
    """
    if live_runs and state.live and state.live.release == record.id:
        return None
    return idle(state)


def idle(state: HostState) -> Slot:
    """Return the slot that is free for a new release."""
    return other(state.live.slot) if state.live else "blue"


def is_target(request: RunRequest, record: Record) -> bool:
    """Return whether a request that names a Python, or a release, names that of `record`."""
    return (not request.python or request.python == record.python) and (not request.to or request.to == record.id)


def same_target(request: RunRequest, rollout: Rollout, record: Record) -> None:
    """Raise RefusedError when a run is resumed with another target."""
    if not is_target(request, record):
        asked = f"--python {request.python}" if request.python else f"--to {request.to}"
        raise RefusedError(
            "resume_target_differs",
            f"The interrupted run {rollout.run} has the target {record.named()}, not {asked}. With --resume alone that "
            "run continues; without --resume it is undone first.",
            ["./invoke", "upgrade", "--resume"], request.command,
        )


def superfluous(state: HostState, records: Iterable[str]) -> set[str]:
    """Return the releases to forget: all but the newest five and whatever is live, last known-good or in a slot."""
    newest = sorted(records, reverse=True)
    needed = {state.last_good, *state.slots.values(), *newest[:KEPT_RELEASES]}
    needed |= {state.live.release if state.live else None, state.rollout.release if state.rollout else None}
    needed |= {state.rollout.origin if state.rollout else None}
    return set(newest) - needed
