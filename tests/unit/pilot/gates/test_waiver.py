"""A way back need not do better than what it leaves: with Plone away neither release is ready."""

from __future__ import annotations

import json

import pytest

from eduhub_pilot.commands.confirm import confirm
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.commands.waiver import waiver
from eduhub_pilot.gates.waiver import GRACE_SECONDS
from eduhub_pilot.model.facts import Answer
from tests.unit.pilot.answers import ends
from tests.unit.pilot.world import at


def noted(world, event):
    lines = map(json.loads, (world.settings.root / "journal.jsonl").read_text().splitlines())
    return [line for line in lines if (line["run"], line["event"]) == ("run-3", event)]


def away(path: str) -> Answer:
    return Answer(200 if path == "/health/live" else 503, 0.01)


def dead(_: str) -> Answer:
    return Answer(503, 0.01)


@pytest.fixture
def upgraded(live):
    live.roll("run-2", "upgrade", python="3.11")
    return live


def goes_back(world, run="run-3"):
    """A rollback as the playbook has it, up to the confirmation."""
    begun = world.begin(run, "rollback")
    assert begun.data["shift_proves"]
    return world.shift(run)


@pytest.mark.parametrize("warm", [True, False])
def test_with_plone_away_the_release_that_is_alive_takes_traffic_back(upgraded, warm):
    upgraded.behaviour |= {"blue": away, "green": away}
    if not warm:
        upgraded.engine.containers.pop("eduhub-blue")
    before = upgraded.clock.passed
    assert goes_back(upgraded).code == "shifted"
    # What has just been started is given half of the 10 s that a start may take.
    assert upgraded.clock.passed - before < (GRACE_SECONDS + 5 if warm else 5 + 8)
    line, *_ = noted(upgraded, "waived")
    assert line["why"] == "the release to replace (green) is not ready either: /health/ready answered 503"
    smoke, *_ = noted(upgraded, "passed")
    assert smoke["reason"].startswith("/health/live answered 3 times in a row; the release to replace (green) is")
    assert waiver(upgraded.host, "run-3").data["waiver"] == line["why"]
    assert confirm(upgraded.host, "run-3").code == "confirmed"
    assert (upgraded.haproxy.weight, upgraded.store.state().live.slot) == (0, "blue")


def test_a_bridge_without_a_page_that_says_alive_has_to_answer_for_itself(live):
    live.roll("run-1b", spec=live.spec(live_path=None))
    live.clock.sleep(60)
    live.roll("run-2", "upgrade", python="3.9")
    live.behaviour |= {"blue": dead, "green": dead}
    assert goes_back(live).code == "shifted"


@pytest.mark.parametrize(
    ("blue", "green"),
    [(away, lambda _: Answer(200, 0.01)), (dead, away), (lambda _: Answer(None, 2, "timeout"), away)],
    ids=["green is ready", "blue is not alive", "blue hangs"],
)
def test_what_green_does_better_is_not_excused(upgraded, blue, green):
    upgraded.behaviour |= {"blue": blue, "green": green}
    with ends("slot_not_ready"):
        goes_back(upgraded)
    assert (upgraded.haproxy.weight, upgraded.store.state().live.slot) == (100, "green")


def test_an_upgrade_is_never_excused(live):
    live.behaviour |= {"blue": away, "green": away}
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    with ends("slot_not_ready"):
        prove(live.host, "run-2")
    assert waiver(live.host, "run-2").data["waiver"] is None


@pytest.mark.parametrize("ready", [True, False])
def test_errors_are_the_old_releases_own_only_where_the_other_is_ready(upgraded, ready):
    def errs() -> None:
        upgraded.haproxy.answers.update(blue={"2xx": 0, "5xx": 40})
        if not ready:
            upgraded.behaviour["green"] = away

    at(upgraded, 0.7, errs)
    if not ready:
        assert goes_back(upgraded).code == "shifted"
        assert "10 requests in a row" in noted(upgraded, "waived")[0]["what"].replace("40", "10")
        return
    with ends("slot_errors"):
        goes_back(upgraded)
    assert (upgraded.haproxy.weight, upgraded.store.state().live.slot) == (100, "green")


def test_a_bridge_that_was_not_asked_for_long_is_asked_more_than_once(upgraded):
    asked = []

    def doubts(path: str) -> Answer:
        asked.append(path)
        return Answer(200 if asked.count("/health/ready") < 2 else 503, 0.01)

    upgraded.behaviour["green"] = doubts
    begun = upgraded.begin("run-3", "rollback")
    assert begun.data["shift_proves"]
    assert "/health/ready answered 503" in waiver(upgraded.host, "run-3").data["waiver"]


def test_one_bad_answer_excuses_nothing(upgraded):
    asked = []

    def busy(path: str) -> Answer:
        asked.append(path)
        return Answer(503 if asked.count("/health/ready") % 2 else 200, 0.01)

    upgraded.behaviour["green"] = busy
    upgraded.begin("run-3", "rollback")
    assert waiver(upgraded.host, "run-3").data["waiver"] is None


def test_a_release_that_starts_slowly_is_waited_for_though_the_other_is_not_ready(upgraded):
    upgraded.engine.containers.pop("eduhub-blue")
    begun = upgraded.begin("run-3", "rollback")
    upgraded.role_bridge(begun.data["slot"], begun.data["record"])
    upgraded.behaviour |= {"blue": away, "green": away}
    at(upgraded, 4.5, lambda: upgraded.behaviour.pop("blue"))
    assert "The candidate (blue) was ready after 4." in prove(upgraded.host, "run-3").message


def test_a_rollback_that_only_ended_a_stopped_run_gives_nothing_back(live):
    live.begin("run-2", "upgrade", python="3.11")
    live.clock.sleep(live.settings.lock_seconds + 1)
    assert live.begin("run-3", "rollback").data["action"] == "none"
    assert "has no rollout" in waiver(live.host, "run-3").data["waiver"]
