"""The host's records are whole and agree with each other: one of the two legal states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from verify.findings import DEPLOY, STATUS, Finding, raise_for
from verify.observed import Observed

# At these steps a shift monitors the run, and has its lock whatever the clock says.
MOVING = ("shift", "shifted", "confirm")
RESTORE = "restore it from a backup, or deploy this host anew"


def test_the_release_state_is_readable(seen: Observed) -> None:
    missing = [release for release, record in seen.report["records"].items() if record is None]
    if seen.report["state"] is None:
        what = f"/var/lib/{seen.name}/release.json is missing or no JSON: {RESTORE}."
        raise_for([Finding("state_unreadable", what)])
    raise_for(
        Finding("record_unreadable", f"Release {release} has no readable record: {RESTORE}.")
        for release in missing
    )


def test_each_slot_is_labelled_with_its_release(seen: Observed, containers: dict[str, dict[str, Any]]) -> None:
    slots = {part: each for part, each in containers.items() if each["slot"]}
    raise_for(
        Finding(
            "slot_unknown" if part not in {"blue", "green"} else "slot_release_differs",
            f"The container {each['name']} is a slot with release {each['release']}; the records expect "
            f"{seen.state['slots'].get(part) or 'no slot of that name'}.",
        )
        for part, each in slots.items()
        if part not in {"blue", "green"} or each["release"] != seen.state["slots"].get(part)
    )


def test_every_line_of_the_journal_is_complete(seen: Observed) -> None:
    journal, path = seen.report["journal"], f"/var/lib/{seen.name}/journal.jsonl"
    if not journal["lines"]:
        raise_for([Finding("journal_empty", f"The journal {path} is missing or empty.", ("./invoke", "report"))])
    if journal["incomplete"]:
        numbers = ", ".join(map(str, journal["incomplete"][:5]))
        what = f"The journal {path} has {len(journal['incomplete'])} incomplete lines: {numbers}."
        raise_for([Finding("journal_incomplete", what, ("./invoke", "report"))])


def test_haproxy_would_restart_with_the_live_slot(seen: Observed) -> None:
    live = seen.state["live"] or {"slot": "blue"}  # before the first confirmation all traffic is blue's
    expected = ["green", "100" if live["slot"] == "green" else "0"]
    found = seen.report["traffic_map"]
    if seen.report["state"] and found != expected:
        said = " ".join(found) if found else "nothing"
        what = f"/var/lib/{seen.name}/edge/traffic.map holds `{said}`; expected `{' '.join(expected)}`."
        raise_for([Finding("traffic_map_differs", what, STATUS)])


def test_haproxys_configuration_is_the_one_that_was_deployed(seen: Observed) -> None:
    if seen.report["edge_configuration"]:
        what = f"/etc/{seen.name}/edge/haproxy.cfg was edited after the last deployment; expected the file it wrote."
        raise_for([Finding("edge_configuration_edited", what, DEPLOY)])


def test_images_of_live_and_last_good_release_cannot_be_pruned(
    seen: Observed,
    containers: dict[str, dict[str, Any]],  # noqa: ARG001 - asked of the engine as well
) -> None:
    images = {
        f"eduhub/kept:{release.lower()}": record["image"]["id"]
        for release, record in seen.report["records"].items()
        if record
    }
    raise_for(
        Finding(
            "image_unprotected",
            f"The tag {tag} is missing, so a prune can remove its image.",
            ("docker", "tag", images.get(tag, "IMAGE"), tag),
        )
        for tag, there in seen.report["kept"].items()
        if not there
    )


def test_no_lock_is_left_of_a_run_that_died(seen: Observed) -> None:
    lock, rollout = seen.report["lock"], seen.state["rollout"]
    # A lock without a rollout is that of a backup, an update of packages or the like, or of a run that is confirmed.
    if not lock or not expired(lock, seen.report["now"]) or (rollout and rollout["step"] in MOVING):
        return
    what = (
        f"The lock of {lock.get('owner')} (run {lock.get('run')}, verb {lock.get('verb')}) expired: its last heartbeat "
        f"was at {lock['heartbeat']}, so that run died."
    )
    raise_for([left(what, lock, seen.state)])


def expired(lock: Mapping[str, Any], now: float) -> bool:
    """Return whether the last heartbeat of a lock is too old, or too far ahead, by the host's own clock."""
    heartbeat = datetime.fromisoformat(lock["heartbeat"]).timestamp()
    return abs(now - heartbeat) > float(lock["ttl_seconds"])


def left(what: str, lock: Mapping[str, Any], state: Mapping[str, Any]) -> Finding:
    """Return what a run left that died, with what ends that and changes nothing else."""
    rollout = state["rollout"]
    if lock.get("verb") == "host.patch":
        more = " It may have left the host drained. The same command goes on from there, and undrains it."
        return Finding("lock_orphaned", what + more, ("./invoke", "host.patch", "--take-over"))
    if not rollout:
        more = " It left no rollout, and keeps nothing from beginning: the next command that needs the lock takes it."
        return Finding("lock_orphaned", what + more)
    more = f" Its rollout was interrupted at step {rollout['step']}."
    if not state["live"] or rollout["verb"] == "rollback":  # a rollback would do more than to undo that one
        return Finding("lock_orphaned", what + more)
    more += f" To undo that leaves {state['live']['release']} live."
    return Finding("lock_orphaned", what + more, ("./invoke", "rollback"))
