"""`begin`: whether this run may start, to which release and in which slot. Holds the guard, so only one run wins."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.hold import hold
from eduhub_pilot.gates.criteria import for_verb
from eduhub_pilot.model.errors import EngineDownError, FailedError, PilotError, ProxyDownError, RefusedError
from eduhub_pilot.model.facts import SHIFT, Image, Slot, other
from eduhub_pilot.model.outcome import Next, Outcome
from eduhub_pilot.model.release import Record, Spec, kept, make_record, parse_spec
from eduhub_pilot.model.shift_plan import confirm_seconds
from eduhub_pilot.model.state import HostState, Lock, Rollout
from eduhub_pilot.rollout import admission
from eduhub_pilot.rollout.admission import Admission, RunRequest
from eduhub_pilot.rollout.drain import drained
from eduhub_pilot.rollout.messages import serving
from eduhub_pilot.rollout.summary import summed
from eduhub_pilot.rollout.undo import give_back, reset, undo

BY_HAND = "traffic was not on the committed slot"

DRAINED = "The host stays drained: its balancer is told to go elsewhere until ./invoke undrain."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--owner", required=True, help="the operator, as user@host")
    parser.add_argument("--verb", required=True, choices=["deploy", "upgrade", "rollback"])
    parser.add_argument("--python", help="Python to move to, as 3.11; without it the live one stays")
    parser.add_argument("--to", metavar="ID", help="release to roll back to; without it the last known-good one")
    parser.add_argument("--take-over", action="store_true", help="take the lock and undo the run that held it")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--hold", action="store_true", help="wait for a person to confirm")
    parser.add_argument("--confirm-within", metavar="SECONDS", default="", help="revert an unconfirmed run after that")
    parser.add_argument("--planned", metavar="FINGERPRINT", help="refuse unless the run is what was planned")
    parser.add_argument("--accepted", metavar="ID", help="refuse unless the release starts from this image")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    request = RunRequest(
        options.run, options.owner, options.verb, options.python, options.to, options.take_over, options.resume,
        options.hold, options.confirm_within, options.planned, options.accepted,
    )  # fmt: skip
    given = None if options.verb == "rollback" else options.spec
    outcome = begin(host, request, parse_spec(given) if given else None)
    return outcome if outcome.data["action"] == "roll" else summed(host, request.run, outcome)


@dataclass(frozen=True)
class Opening:
    """How the run starts: an interrupted run before it is undone by now, or is resumed.

    `back`: undoing that run was all that the rollback requested.
    """

    state: HostState
    admission: Admission
    lock: Lock | None
    changed: bool
    back: bool


def begin(host: Host, request: RunRequest, spec: Spec | None) -> Outcome:
    """Take the lock and record the release, or report that there is nothing to change; RefusedError changes nothing."""
    confirm_seconds(request.confirm_within, host.settings.confirm_seconds)
    with host.store.guard():
        if waiting := _waiting(host, request):
            return waiting
        done: list[str] = []
        try:
            opening = _open(host, request, spec, done)
            try:
                return _decide(host, request, spec, opening, done)
            except RefusedError as error:
                if opening.lock and opening.admission.way != "resume":
                    host.store.free()
                if opening.changed:
                    raise
                message = f"{opening.admission.why} {error.message}".strip()
                raise RefusedError(error.code, message, *error.next) from None
        except (EngineDownError, RefusedError) as error:
            if not done:
                raise
            raise _begun_in_part(host, done, error.message, error.code, error.next) from None
        except OSError as error:
            if not done:
                raise
            message = f"The pilot could not read or write a file: {error.strerror or error}."
            raise _begun_in_part(host, done, message, "disk_error", [["df", "-h"]]) from None


def _begun_in_part(host: Host, done: Sequence[str], message: str, cause: str, following: Next) -> FailedError:
    """Return the end of a run that had changed something, `done`, before an error whose code says nothing of it."""
    serves = serving(host.store.state())
    message = message.replace(" Nothing was changed.", "")
    return FailedError("begin_failed", f"{' '.join(done)} {message} {serves}", *following, cause=cause)


def _waiting(host: Host, request: RunRequest) -> Outcome | None:
    """Return that the host awaits its confirmation, where its run is what a held run resumes; None otherwise.

    Whose run it is does not matter: nothing is changed, neither its deadline nor its lock.
    """
    state, lock = host.settled(host.store.state()), None
    with suppress(RefusedError):  # a lock that cannot be read
        lock = host.store.lock()
    rollout = state.rollout
    if not (request.resume and rollout and admission.awaits(request, rollout) and _watched(host, lock, rollout)):
        return None
    record = host.store.record(rollout.release)
    if not admission.is_target(request, record):
        return None
    resumed_record(host, request, rollout)
    with suppress(FailedError):  # its deadline comes just now
        answer = hold(host, rollout.run)
        return replace(answer, data={**_data(host, state, "none", rollout.slot, record.id, record), **answer.data})
    return None


def _open(host: Host, request: RunRequest, spec: Spec | None, done: list[str]) -> Opening:
    """Return how the run starts, with an interrupted one undone; `done` gets what was changed, before it is."""
    lock, state = _lock(host, request), host.settled(host.store.state())
    rollout = state.rollout
    found = admission.admit(request, lock, rollout, host.clock.now(), _watched(host, lock, rollout))
    if rollout:
        _refuse(host, request, spec, state, rollout if found.way == "resume" else None)
    changed = False
    if found.way == "undo" and rollout:
        done.append(f"The undo of run {rollout.run} began.")
        state = undo(host, state, rollout, f"run {request.run} of {request.owner} began").state
        done[:] = [found.why or f"Run {rollout.run} was undone."]
        changed = True
    elif found.way == "resume" and rollout and rollout.moving:
        done.append(f"Traffic of run {rollout.run} was moved back, for it starts again at the gates.")
        # Traffic may be on an unconfirmed slot only while a shift monitors it, and the next shift is some steps away.
        give_back(host, state)
        # The previous shift finds no traffic to continue with from here on, even if this pilot is killed.
        state = state.at(replace(rollout, traffic=None), "begin")
        host.store.save_state(state)
        why = "the resumed run starts again at the gates"
        host.note(request.run, "begin", "traffic_restored", slot=other(rollout.slot), why=why)
    ends = rollout and (admission.is_undo(request, rollout) or admission.has_no_target(request, state))
    back = bool(changed and ends)
    return Opening(state, found, lock, changed, back)


def _watched(host: Host, lock: Lock | None, rollout: Rollout | None) -> bool:
    """Return whether the run that holds the lock has moved traffic and its shift still monitors it."""
    if not (lock and rollout and rollout.moving and lock.run == rollout.run):
        return False
    with suppress(EngineDownError):
        container = host.engine.container(host.settings.container(SHIFT))
        return bool(container and container.runs)
    return False


def _refuse(host: Host, request: RunRequest, spec: Spec | None, state: HostState, resumed: Rollout | None) -> None:
    """Raise what refuses the run before the interrupted run is changed.

    A rollback without a named release ends an interrupted run in any case.
    """
    if resumed:
        resumed_record(host, request, resumed)
    elif request.verb != "rollback" or request.to:
        release_of(host, request, spec, state)


def resumed_record(host: Host, request: RunRequest, rollout: Rollout) -> Record:
    """Return the release of the resumed run; RefusedError when the request names another one."""
    record = host.store.record(rollout.release)
    if not record.intact:
        raise admission.changed(record)
    admission.same_target(request, rollout, record)
    for_verb(host.settings.gates, rollout.verb, record.spec)
    admission.demand_accepted(request, record)
    return record


def _lock(host: Host, request: RunRequest) -> Lock | None:
    try:
        return host.store.lock()
    except RefusedError:
        if not request.take_over:
            raise
        host.store.free()
        return None


def _decide(host: Host, request: RunRequest, spec: Spec | None, opening: Opening, done: list[str]) -> Outcome:
    state, why = opening.state, opening.admission.why
    if opening.admission.way == "resume" and state.rollout:
        record = resumed_record(host, request, state.rollout)
        return _claim(host, request, opening, record, state.rollout.slot, done)
    if opening.back and state.live:
        message = f"{why} {serving(state)}"
        return _nothing(host, opening, "interrupted_run_undone", message, state.live.slot, state.live.release)
    record = release_of(host, request, spec, state)
    slot = admission.slot_for(state, record, _runs(host, state))
    if slot is None:
        message = f"{why} Nothing to change: {record.named()} is live.".strip()
        if not state.rollout and reset(host, state):
            host.note(request.run, "begin", "traffic_restored", slot=other(admission.idle(state)), why=BY_HAND)
            message = f"{why} {record.named()} is live, and has all traffic again: {BY_HAND}.".strip()
            opening = replace(opening, changed=True)
        return _nothing(host, opening, "nothing_to_change", message, other(admission.idle(state)), record.id)
    return _claim(host, request, opening, record, slot, done)


def _nothing(host: Host, opening: Opening, code: str, message: str, slot: Slot, release: str) -> Outcome:
    """Return the outcome of a run that has nothing to do; it needs no lock."""
    if opening.lock:
        host.store.free()
    data = _data(host, opening.state, "none", slot, release, host.known(release))
    return Outcome(code, message, opening.changed, data)


def _runs(host: Host, state: HostState) -> bool:
    """Return whether the live slot's container runs, with the release that is live."""
    if not state.live:
        return False
    container = host.engine.container(host.settings.container(state.live.slot))
    return bool(container and container.runs and container.release == state.live.release)


def release_of(
    host: Host, request: RunRequest, spec: Spec | None, state: HostState, coming: Mapping[str, Image] | None = None
) -> Record:
    """Return the record to roll out, which may not be on disk yet; RefusedError when there is none.

    `coming`: images by their names that will be on the host before the run begins, in place of those there now.
    """
    records = host.store.records()
    if request.verb == "rollback":
        record = admission.rollback_target(request, state, records)
        if not record.intact:
            raise admission.changed(record)
        if host.engine.image(record.image_id) is None:
            raise admission.image_gone(record)
        return record
    if request.verb == "upgrade" and not state.live:
        raise admission.nothing_live(request)
    if spec is None:
        raise RefusedError(
            "specification_missing", f"{request.verb} needs the specification of the release on standard input."
        )
    live = records.get(state.live.release) if state.live else None
    spec = spec.resolved(admission.python_of(request, live, spec))
    for_verb(host.settings.gates, request.verb, spec)
    image = (coming or {}).get(spec.image) or host.engine.image(spec.image)
    if image is None:
        repository = spec.image.rpartition(":")[0] or spec.image
        raise admission.no_image(spec, host.engine.tags(repository))
    if wrong := admission.wrong_python(spec, image.python):
        raise wrong
    record = admission.same(make_record(spec, image, request.run, host.clock.now()), records.values())
    if request.planned and request.planned != fingerprint_of(host, state, record, image):
        raise admission.plan_outdated(request)
    admission.demand_accepted(request, record)
    return record


def fingerprint_of(host: Host, state: HostState, record: Record, image: Image) -> str:
    """Return the fingerprint of a run from the live release to `record`, a release of `image`."""
    live = state.live.release if state.live else None
    return admission.fingerprint(live, host.settings.given, record.spec, image)


def _keep_good(host: Host, state: HostState) -> None:
    """Tag the images of the good releases again: a prune by hand takes the tags, and an image may have come back."""
    for release in state.good:
        with suppress(PilotError):  # a record that broke, or an image that is gone
            known = host.store.record(release)
            host.engine.tag(known.image_id, known.kept)


def _claim(
    host: Host, request: RunRequest, opening: Opening, record: Record, slot: Slot, done: list[str]
) -> Outcome:
    """Take the lock, then record the release and the rollout. A pilot may be killed after any line."""
    state, now = opening.state, host.clock.now()
    lock = Lock(request.owner, request.run, request.verb, "begin", now, now, host.settings.lock_seconds)
    if opening.lock:
        host.store.renew(replace(lock, since=opening.lock.since) if opening.lock.run == request.run else lock)
    else:
        host.store.take(lock)
    done.append(f"Run {request.run} holds the lock.")
    origin = state.live.release if state.live else None
    resumed = opening.admission.way == "resume"
    verb = state.rollout.verb if resumed and state.rollout else request.verb
    # Public traffic must be on the slot that is not replaced.
    if not resumed and reset(host, state):
        if drained(host, slot, host.settings.drain_seconds, lambda: None):
            with suppress(ProxyDownError):
                host.note_connections(request.run, "begin", "cut", slot, host.proxy.left(slot, timeout=2))
        host.note(request.run, "begin", "traffic_restored", slot=other(slot), why=BY_HAND)
    if record.id not in host.store.releases():
        host.store.save_record(record)
    host.store.save_settings(request.run, host.settings.given)
    host.engine.tag(record.image_id, record.kept)
    _keep_good(host, state)
    seconds = confirm_seconds(request.confirm_within, host.settings.confirm_seconds)
    state = state.begun(Rollout(request.run, slot, record.id, origin, "begin", verb, request.hold, seconds))
    host.store.save_state(state)
    # The shift of the previous run, whose lock is lost by now: the new shift takes its container name.
    host.engine.remove(host.settings.container(SHIFT), stop_seconds=1)
    host.note(
        request.run, "begin", "resumed" if resumed else "begun", verb=verb, slot=slot, release=record.id,
        origin=origin, owner=request.owner, found=opening.admission.why or None,
    )  # fmt: skip
    state = _forget(host, state)
    live = f"{state.live.release} ({state.live.slot})" if state.live else "none yet"
    message = f"{opening.admission.why} Candidate: {record.named()} ({slot}). Live release: {live}.".strip()
    data = _data(host, state, "roll", slot, record.id, record)
    # A rollback starts no pilot more: its shift starts and proves the slot itself.
    data |= {"shift_proves": verb == "rollback"}
    # The file in which a shift reports its progress, and after how many seconds it has ended by itself.
    data |= {"view": host.store.shown_now(request.run), "within": host.settings.longest_shift_seconds + seconds}
    return Outcome("resumed" if resumed else "begun", message, True, data)


def _data(
    host: Host, state: HostState, action: str, slot: Slot, release: str, record: Record | None
) -> dict[str, Any]:
    return {
        "action": action,
        "slot": slot,
        "release": release,
        "record": record.document() if record else None,
        "kept": record.kept if record else None,
        "serving": host.serving(state),
        **({"notes": [DRAINED]} if host.store.draining() else {}),
    }


def _forget(host: Host, state: HostState) -> HostState:
    """Remove releases beyond those that are kept: their image's extra tag, then their record."""
    forgotten = set()
    for release in sorted(admission.superfluous(state, host.store.releases())):
        with suppress(EngineDownError):  # a foreign container may use the image: the next run tries again
            host.engine.untag(kept(release))
            host.store.drop_record(release)
            forgotten.add(release)
    if forgotten:
        state = state.without(forgotten)
        host.store.save_state(state)
    return state
