"""`status` and `releases`: what serves now, asked of HAProxy and the engine beside the disk. Changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from eduhub_pilot.errors import FailedError
from eduhub_pilot.facts import SLOTS, Slot
from eduhub_pilot.host import Host, Outcome
from eduhub_pilot.revert import ended
from eduhub_pilot.seen import Seen, live_slot, look
from eduhub_pilot.state import HostState, Last
from eduhub_pilot.way_back import rollback


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
        "lock": {**seen.lock.document(), "stale": seen.stale} if seen.lock else None,
        "rollback": rollback(seen),
        "rollout": _rollout(seen),
        "last": asdict(state.last) if state.last else None,
        "edge": "down" if seen.share is None else "up",
        "share": seen.share,
        "notes": seen.notes + disagreements(seen, slot),
    }
    return Outcome(0, words(document), False, {"status": document})


def waits(host: Host, run: str) -> Outcome:
    """Return until when `run`, which has moved all traffic, waits for a person; FailedError when it does not."""
    seen = look(host)
    rollout, last = seen.state.rollout, seen.state.last
    if rollout is None or rollout.run != run or seen.goes_back is None:
        how = ended(last) if last and last.run == run else "`./invoke status` says what became of it."
        raise FailedError(f"Run {run} waits for nobody. {how}")
    words = f"{rollout.slot} ({rollout.release}) has all traffic and waits for a person, until {seen.goes_back}."
    return Outcome(0, words)


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


def _rollout(seen: Seen) -> dict[str, Any] | None:
    rollout = seen.state.rollout
    if rollout is None:
        return None
    return {"run": rollout.run, "verb": rollout.verb, "step": rollout.step, "slot": rollout.slot,
            "release": rollout.release, "from": rollout.origin, "hold": rollout.hold,
            "goes_back": seen.goes_back}  # fmt: skip


def disagreements(seen: Seen, slot: Slot | None) -> list[str]:
    """Return what an operator should know that the fields alone do not say."""
    state, notes = seen.state, []
    if state.live and state.rollout and seen.unwatched:
        keep = "`./invoke confirm` keeps it, " if state.rollout.step in {"shifted", "confirm"} else ""
        notes.append(
            f"{state.rollout.slot} has traffic, unconfirmed, and nobody keeps watch over run {state.rollout.run} any "
            f"more: {seen.unwatched}. {keep}`./invoke rollback --take-over` goes back; restarted, HAProxy serves "
            f"{state.live.slot} again."
        )
    elif state.live and slot != state.live.slot:
        after = f"restarted, HAProxy serves {state.live.slot} again."
        at = f"at {seen.goes_back}" if seen.goes_back else "in the end"
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
    live = seen.containers.get(slot) if seen.containers and slot else None
    if slot and seen.containers is not None and not (live and live.runs):
        notes.append(f"The live slot's container is {live.state if live else 'absent'}: nothing serves. "
                     "`./invoke deploy` starts it.")  # fmt: skip
    if state.rollout and (not seen.lock or (seen.stale and not state.rollout.moving)):
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


def releases(host: Host) -> Outcome:
    """Return the releases kept on this host, newest first, each with what it is now."""
    state = host.store.state()
    newest_first = sorted(host.store.records().values(), key=lambda each: each.id, reverse=True)
    shown = ("id", "created", "python", "python_version", "image")
    listed = [
        {**{name: record.document()[name] for name in shown}, "is": _is(state, record.id)}
        for record in newest_first
    ]
    # Set in, the lines of a table are shown as they are and not folded.
    rows = [f"  {each['id']}  Python {each['python_version'] or '-'}  {each['is']}" for each in listed]
    say = "\n".join(["Kept on this host, newest first:", *rows]) if rows else "No release is kept on this host."
    return Outcome(0, say, False, {"releases": listed})


def _is(state: HostState, release: str) -> str:
    if state.live and state.live.release == release:
        return "live"
    if state.rollout and state.rollout.release == release:
        return "being rolled out"
    if state.last_good == release:
        return "last known-good: `rollback` goes here"
    return "known-good" if release in state.good else "not known to be good"
