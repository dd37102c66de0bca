"""`status` and `releases`: what serves now, asked of HAProxy and the engine beside the disk. Changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from eduhub_pilot.errors import EngineDownError, ProxyDownError, RefusedError
from eduhub_pilot.facts import SLOTS, Container, Image, Slot, other, slot_of
from eduhub_pilot.host import Host, Outcome
from eduhub_pilot.preflight import MEMORY, SLOT_MEMORY, available, size
from eduhub_pilot.record import Record
from eduhub_pilot.revert import ended
from eduhub_pilot.state import HostState, Last, Lock, Serving

# A status is wanted now; it also has to survive a HAProxy that is just being restarted.
PATIENCE_SECONDS = 1.0


@dataclass
class Seen:
    """What could be found out, and in `notes` what could not and what does not agree."""

    state: HostState
    records: dict[str, Record]
    lock: Lock | None
    share: int | None
    containers: dict[Slot, Container | None] | None
    way_back: Image | None
    notes: list[str]
    free_bytes: int | None = None


def look(host: Host) -> Seen:
    """Return what is true of the host now; only an unreadable release.json is an error (RefusedError)."""
    notes: list[str] = []
    state, records = host.store.state(), host.store.records()
    lock, share, containers, way_back = None, None, None, None
    try:
        lock = host.store.lock()
    except RefusedError as error:
        notes.append(error.say)
    try:
        share = host.proxy.now(PATIENCE_SECONDS).share
    except ProxyDownError as error:
        notes.append(f"{error.say} `live` is what it will come back with.")
    try:
        containers = {slot: host.engine.container(host.settings.container(slot)) for slot in SLOTS}
        if record := records.get(state.last_good or ""):
            way_back = host.engine.image(record.image_id)
    except EngineDownError as error:
        notes.append(f"{error.say} What runs in the slots is not known.")
    return Seen(state, records, lock, share, containers, way_back, notes, available(MEMORY.read_text()))


def status(host: Host) -> Outcome:
    """Return the host's object of `status --json`, and the same in words."""
    seen = look(host)
    state = seen.state
    slot = live_slot(seen)
    release = None
    if slot and state.live:
        release = state.live.release if slot == state.live.slot else state.slots[slot]
    record = seen.records.get(release or "")
    document = {
        "live": slot,
        "confirmed": bool(state.live) and slot == (state.live.slot if state.live else None),
        "release": release,
        "python": record.python_version if record else None,
        "image": record.image_id if record else None,
        "since": state.live.since if state.live and slot == state.live.slot else None,
        "slots": {each: _slot(seen, each) for each in SLOTS},
        "lock": _lock(host, seen.lock),
        "rollback": rollback(seen),
        "rollout": _rollout(state),
        "last": asdict(state.last) if state.last else None,
        "edge": "down" if seen.share is None else "up",
        "share": seen.share,
        "notes": seen.notes + disagreements(seen, slot),
    }
    return Outcome(0, words(document), False, {"status": document})


def live_slot(seen: Seen) -> Slot | None:
    """Return the slot that gets the public traffic; the committed one while HAProxy is down; None before a deploy."""
    if not seen.state.live:
        return None
    return seen.state.live.slot if seen.share is None else slot_of(seen.share)


def _slot(seen: Seen, slot: Slot) -> dict[str, Any]:
    container = seen.containers[slot] if seen.containers else None
    release = container.release if container else seen.state.slots[slot] if seen.containers is None else None
    record = seen.records.get(release or "")
    state = "unknown" if seen.containers is None else container.state if container else "absent"
    return {
        "release": release,
        "python": record.python_version if record else None,
        "image": container.image if container else None,
        "state": state,
        "health": container.health if container else None,
    }


def _lock(host: Host, lock: Lock | None) -> dict[str, Any] | None:
    return {**lock.document(), "stale": lock.stale(host.clock.now())} if lock else None


def _rollout(state: HostState) -> dict[str, Any] | None:
    rollout = state.rollout
    if rollout is None:
        return None
    return {"run": rollout.run, "verb": rollout.verb, "step": rollout.step, "slot": rollout.slot,
            "release": rollout.release, "from": rollout.origin, "hold": rollout.hold}  # fmt: skip


def rollback(seen: Seen) -> dict[str, Any]:
    """Return whether the way back is open, where it leads, and how many seconds it took when last measured."""
    live, slot = seen.state.live, live_slot(seen)
    to = seen.state.last_good
    if live and slot != live.slot:
        # Nothing is committed yet: the release that was live before is still the one to go back to.
        to, why = live.release, _serves_not(seen, live)
    else:
        why = _closed(seen, to, slot)
    return {"ready": why is None, "to": to, "seconds": seen.state.way_back_seconds, "why": why}


def _serves_not(seen: Seen, live: Serving) -> str | None:
    """Return why the committed slot could not take traffic back at once, or None."""
    if seen.containers is None:
        return "the engine does not answer"
    container = seen.containers[live.slot]
    return None if container and container.runs else f"the container of {live.slot} does not run"


def _closed(seen: Seen, to: str | None, slot: Slot | None) -> str | None:
    """Return why the last known-good release could not be gone back to, or None."""
    if to is None:
        return "no other release is known to be good here"
    if to not in seen.records:
        return f"the record of {to} is missing or unreadable"
    record = seen.records[to]
    if not record.intact:
        return f"the record of {to} was changed since it was written"
    if seen.containers is None:
        return "the engine does not answer"
    if seen.way_back is None:
        return f"the image of {to} is gone from the engine"
    warm = seen.containers[other(slot)] if slot else None
    needed = size(str(record.spec.fields.get("memory") or SLOT_MEMORY))
    if warm and warm.runs and warm.release == to:
        return None
    if needed and seen.free_bytes is not None and seen.free_bytes < needed:
        return f"its slot is not running and may take {needed >> 20} MiB, of which {seen.free_bytes >> 20} are free"
    return None


def disagreements(seen: Seen, slot: Slot | None) -> list[str]:
    """Return what an operator should know that the fields alone do not say."""
    state, notes = seen.state, []
    if state.live and slot != state.live.slot:
        after = f"restarted, HAProxy serves {state.live.slot} again."
        if state.rollout and state.rollout.hold:
            notes.append(
                f"{slot} is live but unconfirmed (run {state.rollout.run}): `./invoke confirm` keeps it, `./invoke "
                f"rollback` goes back, and so does the host by itself in the end; {after}"
            )
        elif state.rollout:
            notes.append(f"{slot} is live but unconfirmed (run {state.rollout.run}); {after}")
        else:
            notes.append(f"Traffic is on {slot}, which is not the committed slot; {after}")
    live = seen.containers.get(slot) if seen.containers and slot else None
    if slot and seen.containers is not None and not (live and live.runs):
        notes.append(f"The live slot's container is {live.state if live else 'absent'}: nothing serves. "
                     "`./invoke deploy` starts it.")  # fmt: skip
    if state.rollout and not seen.lock:
        at = f"Run {state.rollout.run} was interrupted at step {state.rollout.step}"
        notes.append(f"{at}: `./invoke upgrade --resume` goes on with it, any other run undoes it.")
    return notes


def words(document: dict[str, Any]) -> str:
    """Return the status in sentences."""
    live = document["live"]
    if live is None:
        lines = ["Nothing is deployed on this host."]
    else:
        python = f" (Python {document['python']})" if document["python"] else ""
        how = "confirmed" if document["confirmed"] else "not confirmed"
        lines = [f"{live} serves {document['release']}{python}, {how}."]
    lines += [f"{slot}: {each['release'] or 'no release'}, {each['state']}." for slot, each in document["slots"].items()
              if slot != live]  # fmt: skip
    if lock := document["lock"]:
        stale = ", and is stale" if lock["stale"] else ""
        doing = f"{lock['verb']}, step {lock['step']}"
        lines.append(f"{lock['owner']} holds the lock since {lock['since']} ({doing}){stale}.")
    back = document["rollback"]
    if back["ready"]:
        took = f", {back['seconds']:g} s when last measured" if back["seconds"] is not None else ""
        lines.append(f"The way back to {back['to']} is open{took}.")
    elif live:
        lines.append(f"There is no way back: {back['why']}.")
    if (last := document["last"]) and last["result"] == "reverted":
        lines.append(ended(Last(**last)))
    return " ".join(lines + document["notes"])


def releases(host: Host) -> Outcome:
    """Return the releases kept on this host, newest first, each with what it is now."""
    state = host.store.state()
    newest_first = sorted(host.store.records().values(), key=lambda each: each.id, reverse=True)
    shown = ("id", "created", "python", "python_version", "image")
    listed = [
        {**{name: record.document()[name] for name in shown}, "is": _is(state, record.id)}
        for record in newest_first
    ]
    lines = [f"{each['id']}  Python {each['python_version'] or '-'}  {each['is']}" for each in listed]
    return Outcome(0, "\n".join(lines) or "No release is kept on this host.", False, {"releases": listed})


def _is(state: HostState, release: str) -> str:
    if state.live and state.live.release == release:
        return "live"
    if state.rollout and state.rollout.release == release:
        return "being rolled out"
    if state.last_good == release:
        return "last known-good: `rollback` goes here"
    return "known-good" if release in state.good else "not known to be good"
