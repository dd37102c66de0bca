"""The host serves what its records say, and nothing that is not for the public."""

from __future__ import annotations

import pytest

# Spellings of /metrics that a proxy or an application may take for it.
METRICS = ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/./metrics", "/plone/../metrics"]


def test_the_public_address_is_answered_by_the_live_slot(stack):
    before, answer, after = stack.state, stack.answer(f"{stack.edge}/"), stack.state
    said = {"slot": answer.headers["x-eduhub-slot"], "release": answer.headers["x-eduhub-release"]}
    expected = [{name: each[name] for name in said} for state in (before, after) for each in answering(state)]
    assert said in expected


def answering(state):
    """Who may answer: while a run waits for its confirmation the new slot does already, and while it moves, both."""
    live, rollout = state["live"], state["rollout"]
    step = rollout["step"] if rollout else None
    if step in {"shifted", "confirm"}:
        return [rollout]
    return [each for each in (live, rollout if step == "shift" else None) if each]


def test_the_live_slot_runs_the_image_and_python_of_its_release(stack, containers, live):
    release = stack.state["slots"][live]
    record = stack.record(release)
    container = containers[live]
    assert container["Config"]["Labels"]["org.eduhub.release"] == release
    assert container["Image"] == record["image"]["id"]
    if record["python_version"]:
        said = stack.host.check_output("docker exec %s python3 -V", container["Name"].lstrip("/"))
        assert said == f"Python {record['python_version']}"


def test_the_live_slot_is_alive_and_ready_through_its_own_door(stack, live):
    spec = stack.record(stack.state["slots"][live])["spec"]
    paths = [path for path in (spec["live_path"], spec["health_path"]) if path]
    assert {path: stack.answer(stack.doors[live] + path).status for path in paths} == dict.fromkeys(paths, 200)


@pytest.mark.parametrize("path", METRICS)
def test_metrics_are_not_for_the_public(stack, path):
    answer = stack.answer(stack.edge + path)
    assert answer.status in {400, 404}
    assert "# help" not in answer.body.lower()


def test_the_statistics_door_serves_haproxys_metrics(stack):
    assert "haproxy_process_uptime_seconds" in stack.answer(f"{stack.statistics}/metrics").body


def test_nobody_from_outside_can_name_the_slot_that_answers(stack, live):
    answer = stack.answer(f"{stack.edge}/", **{"X-EduHub-Slot": "purple"})
    assert answer.headers["x-eduhub-slot"] == live


def test_our_plone_is_healthy(containers):
    # An institution's own Plone is in no container of ours.
    plones = [each for part, each in containers.items() if part == "plone"]
    assert [each["State"]["Health"]["Status"] for each in plones] == ["healthy"] * len(plones)
