"""The host's records are whole and agree with each other: one of the two legal states."""

from __future__ import annotations

import json


def test_there_are_two_slots_at_most_and_each_is_labelled_with_its_release(stack, containers):
    slots = {part: each for part, each in containers.items() if each["Config"]["Labels"].get("org.eduhub.slot")}
    assert set(slots) <= {"blue", "green"}
    assert {part: each["Config"]["Labels"]["org.eduhub.release"] for part, each in slots.items()} == {
        part: stack.state["slots"][part] for part in slots
    }


def test_every_line_of_the_journal_says_when_who_and_what(stack):
    lines = stack.host.file(f"/var/lib/{stack.name}/journal.jsonl").content_string.splitlines()
    assert lines
    assert [line for line in lines if not {"time", "run", "step", "event"} <= set(json.loads(line))] == []


def test_what_haproxy_would_come_back_with_is_the_live_slot(stack):
    committed = stack.host.file(f"/var/lib/{stack.name}/edge/traffic.map").content_string.split()
    live = stack.state["live"] or {"slot": "blue"}  # before the first confirmation all is blue's
    assert committed == ["green", "100" if live["slot"] == "green" else "0"]


def test_the_image_of_the_live_and_of_the_last_good_release_cannot_be_pruned(stack):
    state = stack.state
    for release in filter(None, [state["live"] and state["live"]["release"], state["last_good"]]):
        tag = f"eduhub/kept:{release.lower()}"
        assert stack.host.run("docker image inspect %s", tag).rc == 0, f"{tag} is gone: `docker tag` it again"


def test_a_lock_is_held_by_a_run_that_lives(stack):
    lock = stack.host.file(f"/var/lib/{stack.name}/lock.json")
    if lock.exists:
        rolling = stack.state["rollout"]
        assert rolling, "a lock without a rollout: `./invoke rollback` ends it"
        assert json.loads(lock.content_string)["run"] == rolling["run"]
