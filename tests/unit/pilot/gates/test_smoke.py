"""The gate `smoke` passes three good answers in a row of the right release, and nothing else."""

from __future__ import annotations

from itertools import cycle, repeat

import pytest

from eduhub_pilot.gates import smoke
from eduhub_pilot.gates.runner import Gate, ask
from eduhub_pilot.model.facts import Answer
from eduhub_pilot.model.verdict import CONSEQUENCES, Verdict
from eduhub_pilot.rollout.undo import rename
from tests.unit.pilot.world import World

GOOD, BAD = Answer(200, 0.02), Answer(500, 0.01)


@pytest.fixture
def started(live) -> World:
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    rename(live.host, "green", begun.data["release"])
    return live


def verdict(world: World) -> Verdict:
    (asked,) = ask(world.candidate("run-2"), (Gate("smoke", smoke.run),))
    return asked.found


def test_every_path_answers_three_times(started):
    asked = []
    started.behaviour["green"] = lambda path: asked.append(path) or GOOD
    found = verdict(started)
    assert (found.verdict, found.consequence) == ("pass", "go on")
    assert asked == ["/health/ready"] * 3 + ["/health/live"] * 3 + ["/plone/"] * 3
    assert found.measured == {"slowest_seconds": {"/health/ready": 0.02, "/health/live": 0.02, "/plone/": 0.02}}


FAULTS = {
    "fails": (lambda: repeat(BAD), "/health/ready answered 500"),
    "flaps": (lambda: cycle([GOOD, GOOD, BAD]), "/health/ready answered 500"),
    "hangs": (lambda: repeat(Answer(None, 2, "timeout")), "/health/ready did not answer before the timeout"),
    "vanishes": (lambda: repeat(Answer(503, 0, "no_listener")), "/health/ready has no process listening"),
    "is cut": (lambda: repeat(Answer(502, 0, "closed")), "/health/ready closed the connection"),
    "redirects": (lambda: repeat(Answer(302, 0)), "/health/ready answered 302"),
}


@pytest.mark.parametrize(("answers", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_slot_with_a_fault_fails(started, answers, reason):
    left = answers()
    started.behaviour["green"] = lambda _: next(left)
    found = verdict(started)
    assert (found.verdict, found.consequence) == ("fail", "revert")
    assert found.reason.startswith(reason)


def test_one_bad_answer_at_first_is_forgiven(started):
    left = iter([BAD, BAD, *[GOOD] * 9])
    started.behaviour["green"] = lambda _: next(left)
    assert verdict(started).verdict == "pass"


def test_another_release_behind_the_private_endpoint_fails(started):
    started.host.proxy.name("green", "none", timeout=0)
    assert "was answered by green with release none, not by green with 2026" in verdict(started).reason


def test_a_private_endpoint_that_refuses_is_an_error_and_not_a_fault_of_the_slot(started):
    started.haproxy.kill(seconds=1000)
    found = verdict(started)
    assert (found.verdict, found.consequence) == ("error", "retry, then revert")


def test_a_private_endpoint_that_is_back_on_the_second_try_passes(started):
    started.haproxy.kill(seconds=smoke.ATTEMPTS * smoke.PAUSE_SECONDS + 0.05)
    assert verdict(started).verdict == "pass"


def test_every_verdict_has_one_consequence():
    assert set(CONSEQUENCES) == {"pass", "fail", "inconclusive", "error"}
    assert len(set(CONSEQUENCES.values())) == 4
