"""A slot that may not serve is refused in words of its own, with its log and the variable to raise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eduhub_pilot.commands.prove import prove
from eduhub_pilot.gates.runner import Asked
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import Answer
from eduhub_pilot.model.slot_container import Mount
from eduhub_pilot.model.verdict import Verdict
from tests.unit.pilot.answers import ends
from tests.unit.pilot.world import World


@pytest.fixture
def started(live) -> World:
    """An upgrade whose green's container runs."""
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.engine.logs["eduhub-green"] = [f"line {number}" for number in range(1, 26)]
    return live


BROKEN = {
    "never listens": (
        Answer(503, 0, "no_listener"), "no process listens on its socket or port", "503 by HAProxy, no process listens",
        "Check bridge_port and bridge_command",
    ),
    "closes": (
        Answer(502, 0, "closed"), "closes connections without an answer", "connection closed", "Check bridge_port",
    ),
    "answers 301": (
        Answer(301, 0, location="https://login.example.edu/"), "answers 301, a redirect to https://login.example.edu/",
        "301", "Set bridge_health_path (now /health/ready)",
    ),
    "answers 503": (
        Answer(503, 0, body="no\n database"), "it answers 503: it runs and reports that it is not ready",
        "503 (no database)", "A dependency may be missing",
    ),
    "answers 404": (
        Answer(404, 0), "it answers 404", "404", "Check that bridge_health_path (now /health/ready) is",
    ),
    "hangs": (
        Answer(None, 2, "timeout"), "does not answer within 2 s", "none, timeout", "Raise pilot_probe_seconds (now 2)",
    ),
    "has no door": (
        Answer(None, 0, "refused"), "private endpoint of green refuses connections", "connection refused",
        "Check that the edge",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "does", "last", "advice"), BROKEN.values(), ids=BROKEN)
def test_a_slot_that_never_gets_ready_is_shown_by_what_it_does(started, answer, does, last, advice):
    started.behaviour["green"] = lambda _: answer
    with pytest.raises(FailedError) as failed:
        prove(started.host, "run-2")
    said = failed.value.message
    assert [word for word in (does, f"Last answer to /health/ready: {last}", advice) if word not in said] == []
    assert "If it only starts slowly, raise pilot_start_seconds (now 10)." in said
    assert "Last lines of eduhub-green:\n  line 6\n" in said
    assert said.endswith("\n  line 25")
    assert failed.value.data["log"] == [f"line {number}" for number in range(6, 26)]


def test_the_messages_of_the_five_ways_to_fail_differ(started):
    said = set()
    for answer, *_ in BROKEN.values():
        started.behaviour["green"] = lambda _, answer=answer: answer
        with pytest.raises(FailedError) as failed:
            prove(started.host, "run-2")
        said.add(failed.value.message.split(":")[1])
    assert len(said) == len(BROKEN)


def test_elapsed_time_and_attempts_are_told(started):
    started.behaviour["green"] = lambda _: Answer(None, 2, "timeout")
    with ends("slot_not_ready"):
        prove(started.host, "run-2")


EXITS = {
    "stopped": ({"state": "exited", "exit_code": 1}, "eduhub-green exited with code 1"),
    "crash loop": ({"state": "restarting", "restarts": 3, "exit_code": 3}, "exited 3 times, last with code 3."),
    "no memory": (
        {"state": "restarting", "restarts": 3, "exit_code": 137},
        "killed; that is so where bridge_memory is too small",
    ),
}


@pytest.mark.parametrize(("change", "words"), EXITS.values(), ids=EXITS)
def test_a_slot_that_exits_is_given_up_at_once(started, change, words):
    crashed = replace(started.engine.containers["eduhub-green"], **change)

    def crash(_: str) -> Answer:
        started.engine.containers["eduhub-green"] = crashed
        return Answer(503, 0, "no_listener")

    started.behaviour["green"] = crash
    with pytest.raises(FailedError, match=words) as failed:
        prove(started.host, "run-2")
    assert "after 0.2 s and 1 attempts" in failed.value.message
    assert "Its log has the reason." in failed.value.message


def test_restarts_of_long_ago_are_not_held_against_a_warm_slot(started):
    name = "eduhub-green"
    started.engine.containers[name] = replace(started.engine.containers[name], restarts=7)
    assert prove(started.host, "run-2").code == "proven"


def test_a_slot_that_gets_ready_late_is_waited_for(started):
    started.behaviour["green"] = lambda _: Answer(503 if started.clock.passed < 68 else 200, 0)
    outcome = prove(started.host, "run-2")
    assert 6 < outcome.data["ready_seconds"] < 9
    assert outcome.data["verdicts"][0]["verdict"] == "pass"


def test_the_candidate_is_started_from_its_record(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    prove(live.host, "run-2")
    wanted = live.engine.ran[-1]
    assert (wanted.name, wanted.image, wanted.labels["org.eduhub.release"], wanted.published) == (
        "eduhub-green", begun.data["record"]["image"]["id"], begun.data["release"], None,
    )  # fmt: skip
    assert Mount("/var/lib/eduhub/run/green", "/run/eduhub") in wanted.mounts
    assert live.store.transports() == {"blue": "socket", "green": "socket"}


def test_a_candidate_that_speaks_tcp_is_published_and_the_edge_is_told(live):
    live.begin("run-2", "deploy", spec=live.spec(port=8000))
    prove(live.host, "run-2")
    wanted = live.engine.ran[-1]
    assert wanted.published == (8000, live.settings.published["green"])
    assert "/run/eduhub" not in [each.target for each in wanted.mounts]
    assert live.store.transports() == {"blue": "socket", "green": "tcp"}
    assert live.haproxy.maps[f"{live.haproxy.folder}/transport.map"]["green"] == "tcp"


@pytest.mark.parametrize("found", [{"image": "sha256:" + "ee" * 32}, {"state": "exited"}, {"labels": {}}])
def test_what_else_is_in_the_slot_is_replaced(started, found):
    name = "eduhub-green"
    right = started.engine.containers[name]
    started.engine.containers[name] = replace(right, **found)
    prove(started.host, "run-2")
    now = started.engine.containers[name]
    assert (now.image, now.release, now.state) == (right.image, right.release, "running")


def test_a_running_container_of_the_release_is_left_alone(started):
    before = len(started.engine.ran)
    prove(started.host, "run-2")
    assert len(started.engine.ran) == before


def test_a_slot_whose_pages_fail_does_not_pass_and_its_verdict_is_told(started):
    started.behaviour["green"] = lambda path: Answer(500 if path == "/plone/" else 200, 0.01)
    with ends("gate_failed") as failed:
        prove(started.host, "run-2")
    assert failed.value.data["verdicts"][0]["verdict"] == "fail"


def test_a_candidate_that_is_slower_can_be_taken_on_purpose(started, monkeypatch):
    why = "CPU of the candidate is 1.36x of the baseline."
    slower = Verdict("performance", "fail", why, {"findings": [why]}, {}, 1.0)
    monkeypatch.setattr("eduhub_pilot.commands.prove.ask", lambda _: iter([Asked(slower, "enforce")]))
    with ends("gate_failed") as failed:
        prove(started.host, "run-2")
    assert failed.value.next == [["./invoke", "upgrade", "--python", "3.11", "--accept-slower"]]


def test_a_candidate_that_fails_while_it_is_measured_is_not_proposed_as_slower(started, monkeypatch):
    broken = Verdict("performance", "fail", "/ is answered otherwise by the candidate.", {"findings": []}, {}, 1.0)
    monkeypatch.setattr("eduhub_pilot.commands.prove.ask", lambda _: iter([Asked(broken, "enforce")]))
    with ends("gate_failed") as failed:
        prove(started.host, "run-2")
    assert failed.value.next == []
