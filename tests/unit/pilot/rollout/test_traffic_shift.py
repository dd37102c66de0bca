"""Traffic moves step by step, each one watched beside the other slot; the first thing amiss ends the shift."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime

import pytest

from eduhub_pilot.analysis import samples
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.commands.shift import shift
from eduhub_pilot.model.errors import EngineDownError, FailedError
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


def busy(world: World, green_seconds: float = 0.04, plone_seconds: float = 0.04) -> dict[str, float]:
    """Let 100 requests a second come, as many to each slot as its weight says, and the bridges count them.

    Return the seconds that green takes from now on, by family, to be changed.
    """
    sleep = world.clock.sleep
    counts = {"blue": 0.0, "green": 0.0}
    seconds = {"requests": green_seconds, "plone": plone_seconds}
    taken: dict[tuple[str, str], Counter[float]] = defaultdict(Counter)

    def passing(pause: float) -> None:
        sleep(pause)
        weight = world.haproxy.weight if world.haproxy.up else 0
        for slot, part in (("green", weight), ("blue", 100 - weight)):
            counts[slot] += pause * part
            for family, took in seconds.items():
                taken[slot, family][took if slot == "green" else 0.04] += pause * part  # type: ignore[assignment]
            errors = world.haproxy.answers[slot]["5xx"]
            world.haproxy.answers[slot] = {"2xx": int(counts[slot]), "5xx": errors}

    def metrics(slot: str) -> str:
        def family(name: str, found: Counter[float]) -> str:
            bounds = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, math.inf)
            pairs = [(bound, sum(count for took, count in found.items() if took <= bound)) for bound in bounds]
            lines = [f'{name}_bucket{{le="{bound:g}",route="/plone"}} {count}' for bound, count in pairs]
            return "\n".join([f"# TYPE {name} histogram", *lines]).replace('"inf"', '"+Inf"')

        names = {"requests": "eduhub_bridge_request_seconds", "plone": "eduhub_bridge_plone_seconds"}
        return "\n".join(family(name, taken[slot, each]) for each, name in names.items())

    world.clock.sleep = passing
    world.metrics = {"blue": lambda: metrics("blue"), "green": lambda: metrics("green")}
    return seconds


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


def silent(world: World, waiting: int, gone: int = 0) -> None:
    """Let green get requests that it does not answer: so many wait for a minute, of so many the client gave up."""
    world.haproxy.unanswered["green"] += waiting + gone
    world.haproxy.sessions["green"], world.haproxy.aborts["green"] = waiting, gone


@pytest.mark.parametrize(
    ("at_green", "at_plone", "code"),
    [(2.0, 0.04, "canary_failed"), (2.0, 2.0, "confirmation_expired"), (0.04, 0.04, "confirmation_expired")],
)
def test_a_green_that_becomes_slow_before_it_is_confirmed_goes_back_unless_plone_did(
    stepping, at_green, at_plone, code
):
    seconds = busy(stepping)
    at(stepping, 30, lambda: seconds.update(requests=at_green, plone=at_plone))
    with ends(code):
        shift(stepping.host, "run-2")
    assert len(stepping.noted("shifted")) == 1


def test_a_green_that_becomes_slow_after_hours_goes_back_though_samples_are_rarer_by_then(stepping, monkeypatch):
    seconds = busy(stepping)
    monkeypatch.setattr(samples, "interval", lambda _: 32.0)
    at(stepping, 60, lambda: seconds.update(requests=2.0))
    with ends("canary_failed"):
        shift(stepping.host, "run-2")


def test_a_green_that_is_slow_for_half_a_minute_keeps_its_traffic(stepping):
    seconds = busy(stepping)
    at(stepping, 60, lambda: seconds.update(requests=2.0))
    at(stepping, 90, lambda: seconds.update(requests=0.04))
    with ends("confirmation_expired"):
        shift(stepping.host, "run-2")


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
    "silence": (lambda world: silent(world, waiting=20), "answered none of 20 requests within"),
    "silence, and clients that do not wait for its end": (
        lambda world: silent(world, waiting=0, gone=20), r"none of 20 requests .* s \(20 of their clients gave up",
    ),
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


def test_listeners_whose_answers_do_not_end_are_no_silence(stepping):
    """As at night, when dashboards alone are open: HAProxy counts an answer when it is over."""
    stepping.haproxy.status = 200
    at(stepping, 6, lambda: silent(stepping, waiting=25))
    assert stepping.shift("run-2").code == "shifted"


def test_requests_that_come_together_after_a_quiet_while_are_not_taken_for_silence(stepping):
    at(stepping, 8, lambda: stepping.haproxy.unanswered.update(green=25))
    at(stepping, 8.5, lambda: stepping.haproxy.answers.update(green={"2xx": 25, "5xx": 0}))
    at(stepping, 8.5, lambda: stepping.haproxy.unanswered.update(green=0))
    assert stepping.shift("run-2").code == "shifted"
    assert stepping.haproxy.answers["green"]["2xx"] == 25


def test_clients_that_give_up_end_no_row_of_errors(stepping):
    sleep, errors = stepping.clock.sleep, [0.0]

    def passing(pause: float) -> None:
        sleep(pause)
        if stepping.haproxy.weight >= 25:
            errors[0] += pause * 10
            stepping.haproxy.answers["green"]["5xx"] = int(errors[0])
            stepping.haproxy.aborts["green"] = stepping.haproxy.unanswered["green"] = int(errors[0])

    stepping.clock.sleep = passing
    with pytest.raises(FailedError, match="requests in a row with errors"):
        stepping.shift("run-2")


@pytest.mark.parametrize("seed", range(10))
def test_a_plone_that_fails_while_both_have_traffic_is_not_held_against_green(stepping, seed):
    """Which of two slots that fail is the first with ten errors is chance."""
    dice, sleep = random.Random(seed), stepping.clock.sleep  # noqa: S311 - an order, no secret
    counts = {slot: {"2xx": 0, "5xx": 0} for slot in ("blue", "green")}

    def passing(pause: float) -> None:
        """20 requests a second; once 50% have moved, all are answered with errors for a while."""
        sleep(pause)
        fails = stepping.haproxy.weight == 50 and len(stepping.noted("judged")) == 2
        for _ in range(int(pause * 20)):
            slot = "green" if dice.random() * 100 < stepping.haproxy.weight else "blue"
            counts[slot]["5xx" if fails else "2xx"] += 1
        stepping.haproxy.answers = {slot: dict(each) for slot, each in counts.items()}

    stepping.clock.sleep = passing
    assert stepping.shift("run-2").code == "shifted"


def test_an_engine_that_is_down_says_nothing_about_green(stepping):
    at(stepping, 6, lambda: setattr(stepping.engine, "down", True))
    at(stepping, 12, lambda: setattr(stepping.engine, "down", False))
    assert stepping.shift("run-2").code == "shifted"


def test_an_engine_that_hangs_delays_no_verdict(stepping):
    """As while it loads an image for another host: each call takes as long as it may."""
    container, failing = stepping.engine.container, []

    def hanging(name: str, seconds: float = 10) -> object:
        if stepping.haproxy.weight < 25:
            return container(name)
        stepping.clock.sleep(seconds)
        raise EngineDownError("Read timed out.")

    def fail() -> None:
        failing.append(stepping.clock.now())
        stepping.haproxy.answers.update(green={"2xx": 0, "5xx": 10})

    stepping.engine.container = hanging
    at(stepping, 8, fail)
    with pytest.raises(FailedError, match="in a row"):
        stepping.shift("run-2")
    (back,) = stepping.noted("traffic_restored")
    assert (datetime.fromisoformat(back["time"]) - failing[0]).total_seconds() < 1.5


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
    "no listener": (
        lambda answer: replace(answer, slot=None, trouble="no_listener", status=503), "has no process listening",
    ),
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


def test_a_rehearsal_asks_the_old_slot_for_its_own_page(live):
    spec = live.spec(health_path="/healthz", live_path="/livez")
    begun = live.begin("run-2", "upgrade", python="3.11", spec=spec)
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    live.behaviour["blue"] = lambda path: Answer(404 if path.endswith("z") else 200, 0.01)
    assert live.shift("run-2", rehearse=True).code == "shifted"
    assert live.noted("rolled_back")[0]["slot"] == "blue"


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
