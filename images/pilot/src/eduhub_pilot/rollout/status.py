"""The status of a host, read from the disk, HAProxy and the engine. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import SLOTS, Slot
from eduhub_pilot.model.outcome import Finding, Outcome
from eduhub_pilot.model.state import Last
from eduhub_pilot.rollout.inspection import Inspection, inspect, live_slot
from eduhub_pilot.rollout.messages import being_undone, ended
from eduhub_pilot.rollout.rollback_readiness import rollback

# So long may a copy take before it is told.
LONG = timedelta(days=1)


def status(host: Host) -> Outcome:
    """Return the host's object of `status --json`, and the same in sentences."""
    inspection = inspect(host)
    state = inspection.state
    slot = live_slot(inspection)
    release = None
    if slot and state.live:
        release = state.live.release if slot == state.live.slot else state.slots[slot]
    record = inspection.records.get(release or "")
    notes = (*inspection.notes, *disagreements(inspection, slot), *_backup(host))
    document = {
        "live": slot,
        "confirmed": bool(state.live) and slot == (state.live.slot if state.live else None),
        "release": release,
        "python": record.python_version if record else None,
        "image": record.image_id if record else None,
        "since": state.live.since if state.live and slot == state.live.slot else None,
        "slots": {each: _slot(inspection, each) for each in SLOTS},
        "lock": {**inspection.lock.document(), "expired": inspection.expired} if inspection.lock else None,
        "rollback": rollback(inspection),
        "rollout": _rollout(inspection),
        "last": asdict(state.last) if state.last else None,
        "edge": "down" if inspection.weight is None else "up",
        "weight": inspection.weight,
        "draining": host.store.draining(),
        "plone": inspection.plone,
        "backup": host.store.backup(),
        "copy": host.store.copy() or None,
        "notes": [each.document() for each in notes],
    }
    return Outcome("status_reported", message_of(document), False, {"status": document})


def _slot(inspection: Inspection, slot: Slot) -> dict[str, Any]:
    container = inspection.containers[slot] if inspection.containers else None
    release = (
        container.release if container else inspection.state.slots[slot] if inspection.containers is None else None
    )
    record = inspection.records.get(release or "")
    state = "unknown" if inspection.containers is None else container.state if container else "absent"
    return {
        "release": release,
        "python": record.python_version if record else None,
        "image": container.image if container else None,
        "state": state,
        "health": container.health if container else None,
    }


def _killed_backup(host: Host) -> dict[str, Any] | None:
    """Return what a backup noted as it began that was killed; None where none was.

    One that is at work has the lock before it notes that, and until it has noted its end: only a note that is the same
    before and after the lock was read is of one without it. The inspection may have read the lock before it began.
    """
    begun, lock = host.store.backup_begun(), None
    with suppress(RefusedError):  # noted by the inspection
        lock = host.store.lock()
    at_work = lock.run if lock and not lock.expired(host.clock.now()) else None
    return begun if begun and begun.get("run") != at_work and host.store.backup_begun() == begun else None


def _backup(host: Host) -> Iterator[Finding]:
    if begun := _killed_backup(host):
        message = (
            f"The backup of Plone that run {begun.get('run')} began at {begun.get('time')} was killed, as by a reboot: "
            "it is not made up for before the next one."
        )
        yield Finding("last_backup_failed", message, [["./invoke", "plone.backup"]])
    elif failed := host.store.backup_failure():
        message = f"The backup of Plone at {failed.get('time')} (run {failed.get('run')}) failed: {failed.get('why')}"
        yield Finding("last_backup_failed", message, [["./invoke", "plone.backup"]])
    if failed := host.store.copy().get("failed"):
        message = f"The copy of a backup of Plone at {failed['time']} (run {failed['run']}) failed: {failed['why']}"
        yield Finding("last_copy_failed", message, [["./invoke", "plone.backup"]])
    if (begun := host.store.copy().get("begun")) and host.clock.now() - datetime.fromisoformat(begun["time"]) >= LONG:
        unit = host.settings.container("plone-copy")
        message = (
            f"The copy of backups that run {begun['run']} began at {begun['time']} has not ended, or was killed: its "
            "repository may hang, or a first copy take that long."
        )
        yield Finding("copy_unfinished", message, [["journalctl", "-u", unit], ["systemctl", "stop", unit]])


def _rollout(inspection: Inspection) -> dict[str, Any] | None:
    rollout = inspection.state.rollout
    if rollout is None:
        return None
    return {"run": rollout.run, "verb": rollout.verb, "step": rollout.step, "slot": rollout.slot,
            "release": rollout.release, "from": rollout.origin, "hold": rollout.hold,
            "deadline": inspection.deadline}  # fmt: skip


def disagreements(inspection: Inspection, slot: Slot | None) -> list[Finding]:
    """Return what the fields alone do not show an operator."""
    state, notes = inspection.state, []
    confirm, rollback = ["./invoke", "confirm"], ["./invoke", "rollback"]
    if state.live and state.rollout and inspection.unmonitored:
        finished = state.rollout.step in {"shifted", "confirm"}
        notes.append(Finding(
            "unmonitored",
            f"The candidate ({state.rollout.slot}) has traffic, unconfirmed, and no shift monitors run "
            f"{state.rollout.run}: {inspection.unmonitored}. {_restarted(state.live.slot)}",
            [*([confirm] if finished else []), [*rollback, "--take-over"]],
        ))  # fmt: skip
    elif state.live and state.rollout and slot != state.live.slot:
        unless = "" if state.rollout.hold else " unless that run confirms it"
        at = f"at {inspection.deadline}" if inspection.deadline else "at its deadline"
        notes.append(Finding(
            "unconfirmed",
            f"The candidate ({slot}) has traffic, unconfirmed. Run {state.rollout.run} is reverted {at}{unless}. "
            f"{_restarted(state.live.slot)}",
            [confirm, *([rollback] if state.rollout.hold else [])],
        ))  # fmt: skip
    elif inspection.moved_by_hand:
        notes.append(inspection.moved_by_hand)
    live = inspection.containers.get(slot) if inspection.containers and slot else None
    if slot and inspection.containers is not None and not (live and live.runs):
        message = f"The container of the live slot {slot} is {live.state if live else 'absent'}."
        notes.append(Finding("live_container_down", message, [["./invoke", "deploy"]]))
    elif live and slot and not state.rollout and live.release != (recorded := state.slots[slot]):
        notes.append(Finding(
            "live_release_differs",
            f"The live slot {slot} runs release {live.release or 'unknown'}, and release.json names "
            f"{recorded or 'none'}: its directory was restored from an older snapshot, or the container was made by "
            "hand. A deployment starts a release in the other slot, and moves the traffic there.",
            [["./invoke", "deploy"]],
        ))  # fmt: skip
    if (rollout := state.rollout) and rollout.undoing:
        why = being_undone(rollout).message.rstrip(".")
        message = f"Run {rollout.run} is being undone: {why}. Its shift or the next run completes that."
        notes.append(Finding("run_undoing", message, [[*rollback, "--take-over"]]))
    elif state.rollout and (not inspection.lock or (inspection.expired and not state.rollout.moving)):
        at = f"Run {state.rollout.run} was interrupted at step {state.rollout.step}."
        message = f"{at} The next run undoes or resumes it."
        # To undo is all that a rollback does then, unless the run was one itself.
        undo = [rollback] if state.live and state.rollout.verb != "rollback" else []
        notes.append(Finding("run_interrupted", message, [["./invoke", "upgrade", "--resume"], *undo]))
    return notes


def _restarted(slot: Slot) -> str:
    return f"A restarted HAProxy returns to {slot}."


def message_of(document: dict[str, Any]) -> str:
    """Return the status in sentences."""
    live = document["live"]
    if live is None:
        lines = ["Nothing is deployed on this host."]
    else:
        python = f", Python {document['python']}" if document["python"] else ""
        how = "confirmed" if document["confirmed"] else "unconfirmed"
        lines = [f"Live release: {document['release']} ({live}{python}), {how}."]
    lines += [f"Slot {slot}: {each['release'] or 'no release'}, {each['state']}."
              for slot, each in document["slots"].items() if slot != live]  # fmt: skip
    if lock := document["lock"]:
        expired = " The lock expired: the next command takes it." if lock["expired"] else ""
        doing = f"{lock['verb']}, step {lock['step']}"
        lines.append(f"{lock['owner']} holds the lock since {lock['since']} ({doing}).{expired}")
    back = document["rollback"]
    if back["ready"]:
        took = f" (its switch took {back['seconds']:g} s when last measured)" if back["seconds"] is not None else ""
        lines.append(f"Rollback to {back['to']} is ready{took}.")
    elif live:
        lines.append(f"Rollback is blocked: {back['why']}.")
    if (plone := document["plone"]) and plone["python"]:
        back = plone["rollback"]
        to = f"Python {back['python']}" if back["version"] == plone["version"] else f"version {back['version']}"
        ready = f" A rollback of Plone to {to} is ready." if back["ready"] else ""
        several = f" in {len(plone['processes'])} processes" if plone["processes"] else ""
        lines.append(f"Plone {plone['version']} runs on Python {plone['python']}{several}.{ready}")
    if backup := document["backup"]:
        lines.append(f"Last proven backup of Plone: {backup.get('id')}, as of {backup.get('recovery_point')}.")
    if (copy := document["copy"]) and (last := copy.get("last")):
        lines.append(f"Newest copy of a backup: {last['id']}, in {copy['to']}.")
    if (last := document["last"]) and last["result"] == "reverted":
        lines.append(ended(Last(**last)))
    return " ".join([*lines, *(note["message"] for note in document["notes"])])
