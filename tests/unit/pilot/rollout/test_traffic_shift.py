"""Traffic moves step by step, each one watched beside the other slot; the first thing amiss ends the shift."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import Answer
from eduhub_pilot.model.shift_plan import Limits, Plan
from tests.unit.pilot.answers import ends
from tests.unit.pilot.world import World, at, given_back

STEPS = (5, 25, 50, 100)


@pytest.fixture
def stepping(proven) -> World:
    """An upgrade whose green is proven, and whose plan has all the steps."""
    plan = Plan(STEPS, seconds=5, limits=Limits(latencies=50))
    proven.host = replace(proven.host, settings=replace(proven.settings, plan=plan))
    return proven


def busy(world: World, green_seconds: float = 0.04, plone_seconds: float = 0.04) -> None:
    """Let 100 requests a second come, as many to each slot as its weight says, and the bridges count them."""
    sleep = world.clock.sleep
    counts = {"blue": 0.0, "green": 0.0}

    def passing(pause: float) -> None:
        sleep(pause)
        weight = world.haproxy.weight if world.haproxy.up else 0
        for slot, part in (("green", weight), ("blue", 100 - weight)):
            counts[slot] += pause * part
            errors = world.haproxy.answers[slot]["5xx"]
            world.haproxy.answers[slot] = {"2xx": int(counts[slot]), "5xx": errors}

    def metrics(slot: str, seconds: float) -> str:
        def family(name: str, took: float) -> str:
            bounds = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
            pairs = [*((bound, counts[slot] * (took <= bound)) for bound in bounds), ("+Inf", counts[slot])]
            lines = [f'{name}_bucket{{le="{bound}",route="/plone"}} {count}' for bound, count in pairs]
            return "\n".join([f"# TYPE {name} histogram", *lines])

        plone = plone_seconds if slot == "green" else 0.04
        return family("eduhub_bridge_request_seconds", seconds) + "\n" + family("eduhub_bridge_plone_seconds", plone)

    world.clock.sleep = passing
    world.metrics = {"blue": lambda: metrics("blue", 0.04), "green": lambda: metrics("green", green_seconds)}


def test_each_step_moves_a_share_and_is_watched_for_its_time(stepping):
    began = stepping.clock.passed
    assert stepping.shift("run-2").code == "shifted"
    assert [line["weight"] for line in stepping.noted("moved")] == list(STEPS)
    assert [line["percent"] for line in stepping.noted("judged")] == list(STEPS)
    assert len(STEPS) * 5 <= stepping.clock.passed - began < len(STEPS) * 5 + 3


def test_the_way_to_blue_counts_down(live):
    live.roll("run-0", "upgrade", python="3.11")
    live.clock.sleep(60)
    begun = live.begin("run-2", "upgrade", python="3.9")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    for step in live.steps("run-2")[:2]:
        step()
    assert [line["weight"] for line in live.noted("moved")] == [75, 0]


def test_on_a_quiet_host_nothing_is_concluded_and_the_shift_goes_on(stepping):
    assert stepping.shift("run-2").code == "shifted"
    verdicts = {(line["verdict"], line["measured"]["green"]["answers"]) for line in stepping.noted("judged")}
    assert verdicts == {("inconclusive", 0)}


def test_on_a_busy_host_latencies_are_compared_in_the_same_window(stepping):
    busy(stepping)
    assert stepping.shift("run-2").code == "shifted"
    watched = stepping.noted("judged")
    # 25 requests in 5 s at 5% are too few; at 100% blue is that of the step before.
    assert [line["verdict"] for line in watched] == ["inconclusive", "pass", "pass", "pass"]
    assert watched[2]["measured"]["blue"]["p95_seconds"] == [0.025, 0.05]
    assert 245 <= watched[2]["measured"]["green"]["answers"] <= 255


@pytest.mark.parametrize(
    ("slow", "words"),
    [({"green_seconds": 2.0}, "p95 is above 1 s"), ({"plone_seconds": 2.0}, "Plone's p95 is above 1 s")],
)
def test_a_slow_green_goes_back_at_the_first_step_that_shows_it(stepping, slow, words):
    busy(stepping, **slow)
    with ends("canary_failed") as failed:
        stepping.shift("run-2")
    assert words in failed.value.message
    assert [line["percent"] for line in stepping.noted("moved")] == [5, 25]
    assert given_back(stepping)


FAULTS = {
    "errors in a row": (
        lambda world: world.haproxy.answers.update(green={"2xx": 0, "5xx": 10}), "answered 10 requests in a row",
    ),
    "failing connections": (lambda world: world.haproxy.faults.update(green=5), "failed 5 connections"),
    "a queue": (lambda world: world.haproxy.waiting.update(green=50), "has 50 requests queued"),
    "a pause": (
        lambda world: world.engine.containers.update(
            {"eduhub-green": replace(world.engine.containers["eduhub-green"], state="paused")}
        ),
        "eduhub-green is paused",
    ),
    "silence": (lambda world: world.haproxy.unanswered.update(green=20), "answered none of 20 requests within"),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS)
def test_whatever_green_does_wrong_it_loses_traffic_at_once(stepping, fault, words):
    at(stepping, 6, lambda: fault(stepping))
    with pytest.raises(FailedError, match=words):
        stepping.shift("run-2")
    assert stepping.noted("moved")[-1]["percent"] < 100
    assert given_back(stepping)


def test_a_plone_that_fails_both_slots_is_not_held_against_green(stepping):
    for slot in ("blue", "green"):
        at(stepping, 6, lambda slot=slot: stepping.haproxy.answers.update({slot: {"2xx": 0, "5xx": 40}}))
    assert stepping.shift("run-2").code == "shifted"


def test_an_engine_that_is_down_says_nothing_about_green(stepping):
    at(stepping, 6, lambda: setattr(stepping.engine, "down", True))
    at(stepping, 12, lambda: setattr(stepping.engine, "down", False))
    assert stepping.shift("run-2").code == "shifted"


def test_a_haproxy_restarted_between_two_steps_ends_the_shift(stepping):
    at(stepping, 6, lambda: stepping.haproxy.kill(seconds=0.1))
    with ends("haproxy_restarted"):
        stepping.shift("run-2")
    assert given_back(stepping)


def test_where_no_connection_may_be_cut_the_ledger_is_the_reason_to_go_back(stepping):
    plan = replace(stepping.host.settings.plan, cut="forbid")
    stepping.host = replace(stepping.host, settings=replace(stepping.host.settings, plan=plan))
    stepping.haproxy.sessions["blue"] = 2
    words = r"2 connections are left at blue after 3 s, and .* forbids .*: /plone/1 \(request, 61 s\), /plone/0"
    with pytest.raises(FailedError, match=words):
        stepping.shift("run-2")
    assert given_back(stepping)
    assert stepping.haproxy.sessions["blue"] == 2


CONTRADICTIONS = {
    "another release": (lambda answer: replace(answer, release="20250101T000000Z-py3.9-00000000"), "with release 2025"),
    "another slot": (lambda answer: replace(answer, slot="blue"), "was answered by blue"),
    "another Python": (lambda answer: replace(answer, body='{"python": "3.9.2"}'), "was answered by Python 3.9.2, but"),
    "no Python": (lambda answer: replace(answer, body="{}"), "no longer named its Python"),
    "nobody": (lambda answer: replace(answer, slot=None, trouble="nobody", status=503), "has no process listening"),
}


@pytest.mark.parametrize(("lie", "words"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_public_address_that_contradicts_the_journal_ends_the_shift(stepping, lie, words):
    ask, asked = stepping.ask, []
    stepping.behaviour["green"] = names_python

    def lying(base: str, path: str, seconds: float, /, *, most: int = 4096) -> Answer:
        answer = ask(base, path, seconds, most=most)
        asked.append(base)
        return lie(answer) if base == stepping.settings.edge and asked.count(base) == 150 else answer

    stepping.host = replace(stepping.host, ask=lying)
    with ends("public_check_failed") as failed:
        stepping.shift("run-2")
    assert words in failed.value.message
    assert given_back(stepping)


def names_python(path: str) -> Answer:
    """As our bridge answers: one page names its Python."""
    return Answer(200, 0.01, body='{"python": "3.11.2"}' if path == "/health" else '{"status": "live"}')


def test_the_public_address_is_asked_two_hundred_times_for_a_page_that_names_its_python(stepping):
    stepping.behaviour["green"] = names_python
    stepping.shift("run-2")
    (heard,) = stepping.noted("public_check_passed")
    assert (heard["path"], heard["answers"], heard["pythons"], heard["slot"]) == ("/health", 200, 200, "green")


def test_where_no_page_names_its_python_slot_and_release_have_to_do(stepping):
    stepping.shift("run-2")
    (heard,) = stepping.noted("public_check_passed")
    assert (heard["path"], heard["answers"], heard["pythons"]) == ("/health/live", 200, 0)


def test_a_page_that_names_its_python_slowly_is_not_asked_two_hundred_times(stepping):
    stepping.behaviour["green"] = lambda path: names_python(path) if path != "/health" else Answer(None, 1, "timeout")
    assert stepping.shift("run-2").code == "shifted"
    assert stepping.noted("public_check_passed")[0]["path"] == "/health/live"


def test_a_rehearsal_goes_back_and_forth_and_its_time_is_what_status_promises(stepping):
    sleep = stepping.clock.sleep
    stepping.clock.sleep = lambda pause: sleep(pause or 0.05)  # each question takes its time
    assert stepping.shift("run-2", rehearse=True).code == "shifted"
    assert [line["weight"] for line in stepping.noted("moved")] == [*STEPS, 0, 100]
    (back,) = stepping.noted("rolled_back")
    assert (back["slot"], back["asked"], back["release"]) == ("blue", 20, stepping.store.state().live.release)
    assert stepping.store.state().rollback_seconds == back["seconds"]
    assert 0.9 <= back["seconds"] < 1.2


def test_who_came_during_the_rehearsal_is_waited_for_too(stepping):
    move = stepping.haproxy.answer

    def moved(command: str) -> str:
        said = move(command)
        if command.endswith("green 0"):
            stepping.haproxy.sessions["blue"] = 1
            at(stepping, 2, lambda: stepping.haproxy.sessions.update(blue=0))
        return said

    stepping.haproxy.answer = moved
    assert stepping.shift("run-2", rehearse=True).code == "shifted"
    drained = [(line["left"], line["seconds"] >= 2) for line in stepping.noted("drained")]
    assert drained == [(0, False), (0, True)]
    assert stepping.store.state().rollout.traffic.left == 0


def test_a_way_back_that_cannot_be_shown_refuses_the_upgrade(stepping):
    old = stepping.store.state().live.release

    def mute(base: str, path: str, seconds: float, /, *, most: int = 4096) -> Answer:
        answer = stepping.ask(base, path, seconds, most=most)
        return replace(answer, release="none") if answer.release == old else answer

    stepping.host = replace(stepping.host, ask=mute)
    with ends("rehearsal_failed"):
        stepping.shift("run-2", rehearse=True)
    assert given_back(stepping)


def test_no_traffic_is_rehearsed_back_to_a_slot_that_does_not_answer(stepping):
    at(stepping, 18, lambda: stepping.behaviour.update(blue=lambda _: Answer(500, 0.01)))
    with ends("rehearsal_failed"):
        stepping.shift("run-2", rehearse=True)
    assert [line["weight"] for line in stepping.noted("moved")] == list(STEPS)


def test_an_old_slot_that_is_just_being_started_again_is_waited_for(stepping):
    at(stepping, 20, lambda: stepping.kill("blue"))
    assert stepping.shift("run-2", rehearse=True).code == "shifted"
    assert [line["weight"] for line in stepping.noted("moved")] == [*STEPS, 0, 100]


def test_a_rollback_rehearses_nothing(live):
    live.roll("run-1b", "upgrade", python="3.11")
    live.begin("run-2", "rollback")
    live.shift("run-2", rehearse=True)
    assert [line["weight"] for line in live.noted("moved")] == [0]


def test_streams_are_waited_for_once_the_rehearsal_is_over(stepping):
    stepping.haproxy.sessions["blue"], stepping.haproxy.status = 1, 101
    assert stepping.shift("run-2", rehearse=True).code == "shifted"
    settings = stepping.settings
    budgets = [settings.drain_seconds, settings.drain_stream_seconds]
    assert [line["seconds"] for line in stepping.noted("drained")] == pytest.approx(budgets, abs=0.2)


def test_a_rollback_waits_for_no_stream(live):
    live.roll("run-1b", "upgrade", python="3.11")
    live.begin("run-2", "rollback")
    live.haproxy.sessions["green"], live.haproxy.status = 1, 200
    live.shift("run-2")
    seconds = [line["seconds"] for line in live.noted("drained")]
    assert seconds == pytest.approx([live.settings.drain_seconds], abs=0.2)
