"""`begin`: may this run start, to which release, in which slot. All under the guard, so two runs cannot both win."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from eduhub_pilot import plan
from eduhub_pilot.drain import drained
from eduhub_pilot.errors import EngineDownError, ProxyDownError, RefusedError
from eduhub_pilot.facts import SHIFT, Slot, other
from eduhub_pilot.follow import longest
from eduhub_pilot.gates.criteria import for_verb
from eduhub_pilot.host import Host, Outcome
from eduhub_pilot.plan import Admission, Wish
from eduhub_pilot.record import Record, Spec, kept, make_record
from eduhub_pilot.revert import serving
from eduhub_pilot.state import HostState, Lock, Rollout
from eduhub_pilot.steps import confirm_seconds
from eduhub_pilot.undo import give_back, reset, undo


@dataclass(frozen=True)
class Opening:
    """How the run enters: what the dead run before it left is undone by now, or is gone on with.

    `back`: undoing that run was already what the rollback asks for.
    """

    state: HostState
    admission: Admission
    lock: Lock | None
    changed: bool
    back: bool


def begin(host: Host, wish: Wish, spec: Spec | None) -> Outcome:
    """Take the lock and record the release, or say that there is nothing to change; RefusedError touches nothing."""
    confirm_seconds(wish.confirm_within, host.settings.confirm_seconds)
    with host.store.guard():
        opening = _open(host, wish, spec)
        try:
            return _decide(host, wish, spec, opening)
        except RefusedError as error:
            if opening.lock and opening.admission.way != "resume":
                host.store.free()
            raise RefusedError(f"{opening.admission.why} {error.say}".strip()) from None


def _open(host: Host, wish: Wish, spec: Spec | None) -> Opening:
    lock, state = _lock(host, wish), host.settled(host.store.state())
    rollout = state.rollout
    admission = plan.admit(wish, lock, rollout, host.clock.now(), _watched(host, lock, rollout))
    if rollout:
        _refuse(host, wish, spec, state, rollout if admission.way == "resume" else None)
    changed = False
    if admission.way == "undo" and rollout:
        state = undo(host, state, rollout, f"run {wish.run} of {wish.owner} began").state
        changed = True
    elif admission.way == "resume" and rollout and rollout.moving:
        # Traffic is on an unconfirmed slot only while a shift keeps watch, and the next one is some steps away.
        give_back(host, state)
        # From here on the shift of the run before has nothing to go on with, whoever is killed before the next one is.
        state = state.at(replace(rollout, traffic=None), "begin")
        host.store.save_state(state)
        host.note(wish.run, "begin", "given back", slot=other(rollout.slot), why="the run begins anew from its proof")
    back = bool(rollout and changed and (plan.goes_back(wish, rollout) or plan.goes_nowhere(wish, state)))
    return Opening(state, admission, lock, changed, back)


def _watched(host: Host, lock: Lock | None, rollout: Rollout | None) -> bool:
    """Return whether the run that holds the lock has moved traffic, and its shift is there to keep watch."""
    if not (lock and rollout and rollout.moving and lock.run == rollout.run):
        return False
    with suppress(EngineDownError):
        container = host.engine.container(host.settings.container(SHIFT))
        return bool(container and container.runs)
    return False


def _refuse(host: Host, wish: Wish, spec: Spec | None, state: HostState, resumed: Rollout | None) -> None:
    """Raise what refuses the run, while what the one before it left is still as it was.

    A rollback to wherever the host goes by itself ends an interrupted run in any case.
    """
    if resumed:
        _resumed(host, wish, resumed)
    elif wish.verb != "rollback" or wish.to:
        _release(host, wish, spec, state)


def _resumed(host: Host, wish: Wish, rollout: Rollout) -> Record:
    """Return the release to go on to; RefusedError when that is not what was asked for."""
    record = host.store.record(rollout.release)
    if not record.intact:
        raise plan.changed(record)
    plan.same_target(wish, rollout, record)
    for_verb(host.settings.gates, rollout.verb, record.spec)
    return record


def _lock(host: Host, wish: Wish) -> Lock | None:
    try:
        return host.store.lock()
    except RefusedError:
        if not wish.take_over:
            raise
        host.store.free()
        return None


def _decide(host: Host, wish: Wish, spec: Spec | None, opening: Opening) -> Outcome:
    state, why = opening.state, opening.admission.why
    if opening.admission.way == "resume" and state.rollout:
        record = _resumed(host, wish, state.rollout)
        return _claim(host, wish, opening, record, state.rollout.slot)
    if opening.back and state.live:
        return _nothing(host, opening, f"{why} {serving(state)}", state.live.slot, state.live.release)
    record = _release(host, wish, spec, state)
    slot = plan.slot_for(state, record, _runs(host, state))
    if slot is None:
        say = f"{why} Nothing to change: {record.named()} serves.".strip()
        return _nothing(host, opening, say, other(plan.idle(state)), record.id)
    return _claim(host, wish, opening, record, slot)


def _nothing(host: Host, opening: Opening, say: str, slot: Slot, release: str) -> Outcome:
    """Return the outcome of a run that has nothing to do any more; it needs no lock."""
    if opening.lock:
        host.store.free()
    return Outcome(0, say, opening.changed, _data(host, opening.state, "none", slot, release, host.known(release)))


def _runs(host: Host, state: HostState) -> bool:
    """Return whether the live slot's container runs, with the release that is live."""
    if not state.live:
        return False
    container = host.engine.container(host.settings.container(state.live.slot))
    return bool(container and container.runs and container.release == state.live.release)


def _release(host: Host, wish: Wish, spec: Spec | None, state: HostState) -> Record:
    """Return the record to go to, which may be new and not yet on disk; RefusedError says why there is none."""
    records = host.store.records()
    if wish.verb == "rollback":
        record = plan.way_back(wish, state, records)
        if not record.intact:
            raise plan.changed(record)
        if host.engine.image(record.image_id) is None:
            raise plan.image_gone(record)
        return record
    if wish.verb == "upgrade" and not state.live:
        raise plan.nothing_live(wish)
    if spec is None:
        raise RefusedError(f"{wish.verb} needs the specification of the release on standard input.")
    live = records.get(state.live.release) if state.live else None
    spec = spec.resolved(plan.python_of(wish, live, spec))
    for_verb(host.settings.gates, wish.verb, spec)
    image = host.engine.image(spec.image)
    if image is None:
        repository = spec.image.rpartition(":")[0] or spec.image
        raise plan.no_image(spec, host.engine.tags(repository))
    if wrong := plan.wrong_python(spec, image.python):
        raise wrong
    return plan.same(make_record(spec, image, wish.run, host.clock.now()), records.values())


def _claim(host: Host, wish: Wish, opening: Opening, record: Record, slot: Slot) -> Outcome:
    """Take the lock, then record the release and the rollout; each line may be the last one that a killed pilot ran."""
    state, now = opening.state, host.clock.now()
    lock = Lock(wish.owner, wish.run, wish.verb, "begin", now, now, host.settings.lock_seconds)
    if opening.lock:
        host.store.renew(replace(lock, since=opening.lock.since) if opening.lock.run == wish.run else lock)
    else:
        host.store.take(lock)
    origin = state.live.release if state.live else None
    resumed = opening.admission.way == "resume"
    verb = state.rollout.verb if resumed and state.rollout else wish.verb
    # The slot that public traffic leaves must be the one that is not replaced.
    if not resumed and reset(host, state):
        if drained(host, slot, host.settings.drain_seconds, lambda: None):
            with suppress(ProxyDownError):
                host.note_connections(wish.run, "begin", "cut", slot, host.proxy.left(slot, patience=2))
        host.note(wish.run, "begin", "given back", slot=other(slot), why="traffic was not on the committed slot")
    if record.id not in host.store.releases():
        host.store.save_record(record)
    host.engine.tag(record.image_id, record.kept)
    seconds = confirm_seconds(wish.confirm_within, host.settings.confirm_seconds)
    state = state.begun(Rollout(wish.run, slot, record.id, origin, "begin", verb, wish.hold, seconds))
    host.store.save_state(state)
    # The watch of the run before this one, whose place the next one takes; it has lost its hold by now.
    host.engine.remove(host.settings.container(SHIFT), stop_seconds=1)
    host.note(
        wish.run, "begin", "resumed" if resumed else "begun", verb=verb, slot=slot, release=record.id,
        origin=origin, owner=wish.owner, found=opening.admission.why or None,
    )  # fmt: skip
    state = _forget(host, state)
    words = f"{slot} will run {record.named()}; " + (
        f"{state.live.slot} serves {state.live.release} meanwhile." if state.live else "nothing serves yet."
    )
    say = f"{opening.admission.why} {words}".strip()
    data = _data(host, state, "roll", slot, record.id, record)
    data |= {"warm": verb == "rollback" and _warm(host, slot, record)}
    # Where a shift tells how traffic stands, and when it has ended by itself, whoever is gone meanwhile.
    data |= {"view": host.store.shown_now(wish.run), "within": longest(host.settings) + seconds}
    return Outcome(0, say, True, data)


def _warm(host: Host, slot: Slot, record: Record) -> bool:
    """Return whether the slot runs the release already, so that nothing has to be started."""
    container = host.engine.container(host.settings.container(slot))
    return bool(container and container.runs and (container.release, container.image) == (record.id, record.image_id))


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
    }


def _forget(host: Host, state: HostState) -> HostState:
    """Forget the releases beyond those that are kept: their image's extra tag, then their record."""
    forgotten = set()
    for release in sorted(plan.superfluous(state, host.store.releases())):
        with suppress(EngineDownError):  # a container of somebody else's may use it: the next run tries again
            host.engine.untag(kept(release))
            host.store.drop_record(release)
            forgotten.add(release)
    if forgotten:
        state = state.without(forgotten)
        host.store.save_state(state)
    return state
