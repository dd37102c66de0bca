"""The status of a host: the live release, asked of HAProxy and the engine beside the disk. Changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.facts import SLOTS, Slot
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import Last
from eduhub_pilot.rollout.inspection import Inspection, inspect, live_slot
from eduhub_pilot.rollout.messages import ended
from eduhub_pilot.rollout.rollback_readiness import rollback


def status(host: Host) -> Outcome:
    """Return the host's object of `status --json`, and the same in words."""
    inspection = inspect(host)
    state = inspection.state
    slot = live_slot(inspection)
    release = None
    if slot and state.live:
        release = state.live.release if slot == state.live.slot else state.slots[slot]
    record = inspection.records.get(release or "")
    document = {
        "live": slot,
        "confirmed": bool(state.live) and slot == (state.live.slot if state.live else None),
        "release": release,
        "python": record.python_version if record else None,
        "image": record.image_id if record else None,
        "since": state.live.since if state.live and slot == state.live.slot else None,
        "slots": {each: _slot(inspection, each) for each in SLOTS},
        "lock": {**inspection.lock.document(), "stale": inspection.stale} if inspection.lock else None,
        "rollback": rollback(inspection),
        "rollout": _rollout(inspection),
        "last": asdict(state.last) if state.last else None,
        "edge": "down" if inspection.share is None else "up",
        "share": inspection.share,
        "notes": inspection.notes + disagreements(inspection, slot),
    }
    return Outcome(0, words(document), False, {"status": document})


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


def _rollout(inspection: Inspection) -> dict[str, Any] | None:
    rollout = inspection.state.rollout
    if rollout is None:
        return None
    return {"run": rollout.run, "verb": rollout.verb, "step": rollout.step, "slot": rollout.slot,
            "release": rollout.release, "from": rollout.origin, "hold": rollout.hold,
            "goes_back": inspection.goes_back}  # fmt: skip


def disagreements(inspection: Inspection, slot: Slot | None) -> list[str]:
    """Return what an operator should know that the fields alone do not say."""
    state, notes = inspection.state, []
    if state.live and state.rollout and inspection.unwatched:
        keep = "`./invoke confirm` keeps it, " if state.rollout.step in {"shifted", "confirm"} else ""
        notes.append(
            f"{state.rollout.slot} has traffic, unconfirmed, and nobody keeps watch over run {state.rollout.run} any "
            f"more: {inspection.unwatched}. {keep}`./invoke rollback --take-over` goes back; restarted, HAProxy serves "
            f"{state.live.slot} again."
        )
    elif state.live and slot != state.live.slot:
        after = f"restarted, HAProxy serves {state.live.slot} again."
        at = f"at {inspection.goes_back}" if inspection.goes_back else "in the end"
        if state.rollout and state.rollout.hold:
            notes.append(
                f"{slot} is live but unconfirmed (run {state.rollout.run}): `./invoke confirm` keeps it, `./invoke "
                f"rollback` goes back, and so does the host by itself {at}; {after}"
            )
        elif state.rollout:
            notes.append(
                f"{slot} is live but unconfirmed (run {state.rollout.run}): unless that run or `./invoke confirm` "
                f"keeps it, the host goes back by itself {at}; {after}"
            )
        else:
            notes.append(f"Traffic is on {slot}, which is not the committed slot; {after}")
    live = inspection.containers.get(slot) if inspection.containers and slot else None
    if slot and inspection.containers is not None and not (live and live.runs):
        notes.append(f"The live slot's container is {live.state if live else 'absent'}: nothing serves. "
                     "`./invoke deploy` starts it.")  # fmt: skip
    if state.rollout and (not inspection.lock or (inspection.stale and not state.rollout.moving)):
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
        stale = ", and is stale: the next command takes it" if lock["stale"] else ""
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
