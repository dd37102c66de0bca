"""What the closing table and the report show of a run: its releases, verdicts, changes and result."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.analysis import timeline
from eduhub_pilot.model.errors import PilotError, RefusedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.release import Record
from eduhub_pilot.rollout.status import status

# The end of the journal that holds the run that has just ended.
RECENT = 1 << 20


def summed(host: Host, run: str, outcome: Outcome) -> Outcome:
    """Return an answer about a run with the data of the closing table: status, verdicts, what changed.

    What cannot be determined is left out: a finished run does not fail because of its summary.
    """
    data: dict[str, Any] = {}
    with suppress(PilotError, OSError):
        data["status"] = outcome.data.get("status") or status(host).data["status"]
        journal, _ = timeline.entries(host.store.journal(RECENT)[0])
        entries = [each for each in journal if each.get("run") == run]
        asked = {each["gate"]: _short(each) for each in timeline.verdicts(entries) if each["step"] == "prove"}
        if entries and (entries[0]["step"], entries[0]["event"]) == ("begin", "begun"):
            changed = [] if _reverted(entries) else rollout_of(host, run, entries)["changed"]
            data["rolled"] = {"gates": asked, "changed": changed}
    return replace(outcome, data={**data, **outcome.data})


def _short(verdict: timeline.Entry) -> str:
    observed = verdict["mode"] == "observe" and verdict["verdict"] != "pass"
    return f"{verdict['verdict']}{', observed' if observed else ''}"


def _reverted(run: Sequence[timeline.Entry]) -> bool:
    return timeline.result(run, at_work=False)[0] == "reverted"


def rollout_of(host: Host, name: str, run: Sequence[timeline.Entry]) -> dict[str, Any]:
    first, records = run[0], host.store.records()
    old, new = (records.get(str(first.get(key))) for key in ("origin", "release"))
    stands, why = timeline.result(run, at_work=_at_work(host, name))
    rehearsed = [timeline.number(each.get("seconds")) for each in run if each["step"] == "rehearse"]
    return {
        "run": name, "verb": first.get("verb"), "owner": first.get("owner"), "slot": first.get("slot"),
        "began": first["time"], "ended": run[-1]["time"], "result": stands, "why": why,
        "from": release_fields(first.get("origin"), old) if first.get("origin") else None,
        "to": release_fields(first.get("release"), new),
        "changed": timeline.changes(old, new, run) if new or not first.get("origin") else [],
        "rehearsed_seconds": rehearsed[-1] if rehearsed else None,
    }  # fmt: skip


def release_fields(name: Any, record: Record | None) -> dict[str, Any]:
    """Return the fields of a release that documents for operators show; of an unknown record only its name."""
    return {
        "release": name, "python": record.python_version if record else None,
        "image": record.image_name if record else None, "image_id": record.image_id if record else None,
    }  # fmt: skip


def _at_work(host: Host, name: str) -> bool:
    try:
        lock = host.store.lock()
    except RefusedError:
        return False
    return bool(lock and lock.run == name and not lock.expired(host.clock.now()))
