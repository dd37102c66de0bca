"""The host's records are whole and agree with each other: one of the two legal states."""

from __future__ import annotations

from typing import Any

from verify.findings import DEPLOY, STATUS, Finding, raise_for
from verify.observed import Observed

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


def test_a_lock_belongs_to_the_current_rollout(seen: Observed) -> None:
    lock, rollout = seen.report["lock"], seen.state["rollout"]
    if not lock or (rollout and lock["run"] == rollout["run"]):
        return
    expected = f"run {rollout['run']}" if rollout else "no lock, since no rollout is in progress"
    what = f"The lock is held by {lock.get('owner')} with run {lock['run']}; expected {expected}."
    raise_for([Finding("lock_orphaned", what, ("./invoke", "rollback"))])
