"""A run in its journal: its events with messages, its verdicts, its result. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from eduhub_pilot.model.release import Record

NEEDED = ("time", "step", "event")
STARTS = {"begun", "resumed"}
# A run has some dozens of lines; of a run that was resumed a hundred times only beginning and end are reported.
MOST = 200
# The longest sentence, and the most characters of what a gate measured, that a document holds.
LONGEST, MEASURED = 1500, 8000

Entry = Mapping[str, Any]


def entries(lines: Iterable[str]) -> tuple[list[dict[str, Any]], int]:
    """Return the journal's entries in its lines, and how many lines are none."""
    found, broken = [], 0
    for text in lines:
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        sound = isinstance(fields, dict) and all(isinstance(fields.get(name), str) for name in NEEDED)
        found += [fields] if sound else []
        broken += not sound
    return found, broken


def last_run(journal: Sequence[Entry]) -> list[Entry]:
    """Return the entries of the last run that took a host towards a release; none where there was none."""
    runs = [each.get("run") for each in journal if each["step"] == "begin" and each["event"] in STARTS]
    return [each for each in journal if each.get("run") == runs[-1]] if runs else []


def result(run: Sequence[Entry], *, at_work: bool) -> tuple[str, str | None]:
    """Return the result of a run, and for a reverted one why.

    confirmed, reverted, unconfirmed (all traffic has moved), waiting (a person decides after a gate), under way,
    interrupted. `at_work`: whether it holds the lock.
    """
    words = {
        ("confirm", "confirmed"): "confirmed", ("revert", "reverted"): "reverted", ("shift", "shifted"): "unconfirmed",
        ("prove", "awaiting_decision"): "waiting", ("begin", "begun"): "", ("begin", "resumed"): "",
    }  # fmt: skip
    stands, why = "", None
    for each in run:
        word = words.get((each["step"], each["event"]))
        if word is not None:
            stands, why = word, each.get("why") if word == "reverted" else None
    return stands or ("under way" if at_work else "interrupted"), cut(str(why)) if why else None


def measured(journal: Iterable[Entry]) -> list[float]:
    """Return the seconds that each upgrade took from its lock until all traffic had moved, in the order they ended.

    First deployments and rollbacks pass fewer gates, and a run that was resumed or reverted tells no time.
    """
    began: dict[Any, datetime] = {}
    found: dict[Any, float] = {}
    for each in journal:
        run, what = each.get("run"), (each["step"], each["event"])
        if what == ("begin", "begun") and each.get("origin") and each.get("verb") != "rollback":
            began[run] = datetime.fromisoformat(each["time"])
        elif what == ("shift", "shifted") and run in began:
            found[run] = (datetime.fromisoformat(each["time"]) - began[run]).total_seconds()
        elif what in {("begin", "resumed"), ("revert", "reverted")}:
            began.pop(run, None)
            found.pop(run, None)
    return list(found.values())


def verdicts(run: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return the verdicts of the gates and of each canary step, in their order; `skipped` for none."""
    found = []
    for each in run:
        if not isinstance(each.get("gate"), str):
            continue
        measured = each.get("measured") or {}
        found.append({
            "time": each["time"], "gate": cut(each["gate"]), "step": each["step"],
            "verdict": str(each.get("verdict") or "skipped"), "mode": each.get("mode") or "enforce",
            "reason": cut(str(each.get("reason") or each.get("skipped") or "")), "seconds": number(each.get("seconds")),
            "measured": measured if len(json.dumps(measured)) <= MEASURED else None, "budget": each.get("budget"),
        })  # fmt: skip
    return found[-MOST:]


def events(run: Sequence[Entry]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the events, each with its time, its duration in seconds and a message; and what is left out."""
    told = [
        {
            "time": each["time"], "step": cut(each["step"]), "event": cut(each["event"]),
            "seconds": number(each.get("seconds")), "message": cut(message_of(each)),
        }
        for each in run
    ]  # fmt: skip
    if len(told) <= MOST:
        return told, []
    left = f"{len(told) - MOST} steps in the middle of the run are left out; the journal has them all."
    return told[: MOST // 2] + told[-MOST // 2 :], [left]


def message_of(each: Entry) -> str:
    """Return an entry in one sentence."""
    slot, release = each.get("slot") or "the slot", each.get("release") or "its release"
    words = {
        ("begin", "begun"): f"{each.get('owner')} began the run: {release} in {slot}.",
        ("begin", "resumed"): f"{each.get('owner')} resumed the run: {release} in {slot}.",
        ("prove", "started"): f"{slot} started with {release}.",
        ("prove", "ready"): f"The candidate was ready after {each.get('attempts')} attempts.",
        ("prove", "awaiting_decision"): "A gate was inconclusive: a person has to decide.",
        ("shift", "moved"): f"Traffic weight of {slot}: {each.get('percent')}%.",
        ("shift", "drained"): f"{slot} was drained; {each.get('left', 0)} connections were left.",
        ("shift", "public_check_passed"): f"{each.get('answers')} answers at the public address were all from {slot}.",
        ("shift", "shifted"): f"All traffic was on {slot}, unconfirmed.",
        ("rehearse", "rolled_back"): f"The rollback was rehearsed: all traffic on {slot} and back.",
        ("confirm", "confirmed"): f"{release} ({slot}) was confirmed.",
        ("confirm", "lock_released"): "The lock was released.",
        ("revert", "traffic_restored"): f"Traffic returned to {each.get('slot') or 'no slot'}: {each.get('why')}",
        ("revert", "reverted"): f"The run was reverted: {each.get('why')}",
    }  # fmt: skip
    if isinstance(each.get("gate"), str):
        verdict = each.get("verdict") or "skipped"
        return f"{each['gate']}: {verdict}. {each.get('reason') or each.get('skipped') or ''}"
    if each["event"] == "listed":
        return f"{len(each.get('connections') or ())} more connections at {slot}."
    plain = str(each["event"]).replace("_", " ") + (f": {each['why']}" if each.get("why") else "")
    return words.get((each["step"], each["event"]), plain)


def changes(old: Record | None, new: Record | None, run: Iterable[Entry]) -> list[str]:
    """Return what the new release changes; values of environment and files are left out."""
    if new is None:
        return ["The record of the release is missing or cannot be read, so its changes are unknown."]
    if old is None:
        return [f"Python {new.python_version or 'unknown'}, image {new.image_name}; the first release."]
    pairs = (("Python", old.python_version, new.python_version), ("image", old.image_name, new.image_name))
    found = [f"{name} {was or 'unknown'} → {now or 'unknown'}" for name, was, now in pairs if was != now]
    if old.image_name == new.image_name and old.image_id != new.image_id:
        found.append(f"image {new.image_name}: rebuilt")
    for name in sorted({*old.spec.fields, *new.spec.fields} - {"python", "image"}):
        was, now = old.spec.fields.get(name), new.spec.fields.get(name)
        if was != now:
            found.append(f"{name}{_which(was, now)}")
    for each in run:
        measured = each.get("measured")
        if each.get("gate") == "runtime" and isinstance(measured, Mapping):
            found += _packages(measured.get("dependencies"))
    return list(dict.fromkeys(cut(each) for each in found))[:MOST] or ["nothing: the same image and configuration"]


def _which(was: Any, now: Any) -> str:
    """Return the names in two mappings that differ; only that they differ for other values."""
    if not isinstance(was, Mapping) or not isinstance(now, Mapping):
        return " differs"
    return ": " + ", ".join(sorted(name for name in {*was, *now} if was.get(name) != now.get(name)))


def _packages(found: Any) -> list[str]:
    if not isinstance(found, Mapping):
        return []
    added, removed = (found.get(name) or {} for name in ("added", "removed"))
    lines = [f"package {name} {version} is added" for name, version in added.items()]
    lines += [f"package {name} {version} is removed" for name, version in removed.items()]
    return lines + [f"package {name} {' → '.join(map(str, pair)) if isinstance(pair, list) else pair}"
                    for name, pair in (found.get("changed") or {}).items()]  # fmt: skip


def number(value: Any) -> float | None:
    """Return a number as it is; None for anything else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def cut(text: str) -> str:
    """Return a text, cut where it is too long for a document."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
