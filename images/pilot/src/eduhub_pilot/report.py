"""`report`: the last rollout of this host as one document of bounded size. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from eduhub_pilot import story
from eduhub_pilot.errors import PilotError, RefusedError
from eduhub_pilot.host import Host, Outcome
from eduhub_pilot.record import Record
from eduhub_pilot.series import count, series
from eduhub_pilot.status import status

SCHEMA = 1
# As much of the journal's end as holds the run that has just ended.
RECENT = 1 << 20


def report(host: Host) -> Outcome:
    """Return the document that docs/reference/report.md describes; `rollout` is null where there was none."""
    lines, older = host.store.journal()
    journal, broken = story.entries(lines)
    run = story.last_run(journal)
    notes = [f"{count(broken, 'line')} of the journal cannot be read, as after a crash."] if broken else []
    now, serves = _now(host)
    document: dict[str, Any] = {"schema": SCHEMA, "host": host.name, "time": _stamp(host), "now": now, "rollout": None}
    if not run:
        before = " in what is left of its journal" if older else ""
        say = f"No rollout has happened on this host{before} yet: `./invoke deploy` begins."
        return Outcome(0, say, False, {"report": {**document, "notes": [say, *notes]}})
    name = str(run[0]["run"])
    seen = series(_samples(host, name))
    about = seen.notes
    told, left_out = story.timeline(run)
    if not seen.points:
        why = "it moved none, an older pilot moved it, or the disk was full"
        about = [*about, f"No samples of the traffic were kept of run {name}: {why}."]
    rollout = _rollout(host, name, run) | {"verdicts": story.verdicts(run), "timeline": told}
    rollout |= {"steps": seen.steps, "points": seen.points}
    document |= {"rollout": rollout, "notes": [*notes, *left_out, *about]}
    say = f"{rollout['verb']} to {rollout['to']['release']}, run {name}: {rollout['result']}. {serves}"
    return Outcome(0, say.strip(), False, {"report": document})


def summed(host: Host, run: str, outcome: Outcome) -> Outcome:
    """Return an answer about a run with what an operator's closing table tells: status, verdicts, what changed.

    What cannot be found out is left out: a run that has ended does not fail for its summary.
    """
    data: dict[str, Any] = {}
    with suppress(PilotError, OSError):
        data["status"] = outcome.data.get("status") or status(host).data["status"]
        journal, _ = story.entries(host.store.journal(RECENT)[0])
        entries = [each for each in journal if each.get("run") == run]
        asked = {each["gate"]: _short(each) for each in story.verdicts(entries) if each["step"] == "prove"}
        if entries and (entries[0]["step"], entries[0]["event"]) == ("begin", "begun"):
            changed = [] if _reverted(entries) else _rollout(host, run, entries)["changed"]
            data["rolled"] = {"gates": asked, "changed": changed}
    return replace(outcome, data={**data, **outcome.data})


def _short(verdict: story.Entry) -> str:
    watched = verdict["mode"] == "observe" and verdict["verdict"] != "pass"
    return f"{verdict['verdict']}{', only observed' if watched else ''}"


def _reverted(run: Sequence[story.Entry]) -> bool:
    return story.result(run, at_work=False)[0] == "reverted"


def _rollout(host: Host, name: str, run: Sequence[story.Entry]) -> dict[str, Any]:
    first, records = run[0], host.store.records()
    old, new = (records.get(str(first.get(key))) for key in ("origin", "release"))
    stands, why = story.result(run, at_work=_at_work(host, name))
    rehearsed = [story.number(each.get("seconds")) for each in run if each["step"] == "rehearse"]
    return {
        "run": name, "verb": first.get("verb"), "owner": first.get("owner"), "slot": first.get("slot"),
        "began": first["time"], "ended": run[-1]["time"], "result": stands, "why": why,
        "from": _release(first.get("origin"), old) if first.get("origin") else None,
        "to": _release(first.get("release"), new),
        "changed": story.changes(old, new, run) if new or not first.get("origin") else [],
        "rehearsed_seconds": rehearsed[-1] if rehearsed else None,
    }  # fmt: skip


def _release(name: Any, record: Record | None) -> dict[str, Any]:
    return {
        "release": name, "python": record.python_version if record else None,
        "image": record.image_name if record else None, "image_id": record.image_id if record else None,
    }  # fmt: skip


def _at_work(host: Host, name: str) -> bool:
    try:
        lock = host.store.lock()
    except RefusedError:
        return False
    return bool(lock and lock.run == name and not lock.stale(host.clock.now()))


def _samples(host: Host, name: str) -> list[str]:
    try:
        return host.store.samples(name)
    except OSError:
        return []


def _now(host: Host) -> tuple[dict[str, Any] | None, str]:
    """Return the host's status object, and what to say of it; a release.json that cannot be read ends no report."""
    try:
        return status(host).data["status"], ""
    except RefusedError as error:
        return None, error.say


def _stamp(host: Host) -> str:
    return host.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
