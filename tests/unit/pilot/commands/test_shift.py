"""Traffic moves, drains within its deadline, and goes back by itself when anything happens to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eduhub_pilot.cli import StoppedError, make_host
from eduhub_pilot.commands.confirm import confirm
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import Answer, Reply
from eduhub_pilot.rollout.revert import failed, revert
from tests.unit.pilot.answers import ends
from tests.unit.pilot.world import World, at, given_back


def test_traffic_moves_and_the_disk_still_says_the_old_slot(proven):
    outcome = proven.shift("run-2")
    state = proven.store.state()
    assert (outcome.code, outcome.data) == ("shifted", {"slot": "green", "seconds": 0.0, "left": 0})
    assert (proven.haproxy.weight, proven.store.weight()) == (100, 0)
    assert (state.live.slot, state.confirmed, state.rollout.step) == ("blue", False, "shifted")


def test_a_slot_that_empties_is_measured(proven):
    proven.haproxy.sessions["blue"] = 4
    at(proven, 2.6, lambda: proven.haproxy.sessions.update(blue=0))
    outcome = proven.shift("run-2")
    assert outcome.data["left"] == 0
    assert 1.3 <= outcome.data["seconds"] < 1.8
    assert proven.store.state().rollback_seconds == outcome.data["seconds"]


def test_a_slot_that_never_empties_is_left_at_the_deadline_and_told(proven):
    proven.haproxy.sessions["blue"] = 4
    outcome = proven.shift("run-2")
    assert outcome.data["left"] == 4
    assert proven.settings.drain_seconds <= outcome.data["seconds"] < proven.settings.drain_seconds + 0.5
    assert "4 connections left there continue until the run is confirmed" in outcome.message


def test_listeners_of_the_old_slot_are_sent_to_the_new_one_and_end_the_drain(proven):
    asked = []

    def endpoint(path: str, method: str, _: object) -> Reply:
        asked.append((method, path))
        proven.haproxy.sessions["blue"] = 0
        return Reply(200, 0.01, body=b'{"listeners": 2}')

    proven.replies["blue"] = endpoint
    proven.haproxy.sessions["blue"], proven.haproxy.status = 2, 101
    outcome = proven.shift("run-2")
    assert asked == [("POST", "/api/v1/live/goodbye")]
    assert (outcome.data["left"], outcome.data["seconds"]) == (0, pytest.approx(0, abs=0.1))


@pytest.mark.parametrize("status", [200, 101], ids=["stream", "websocket"])
def test_streams_and_websockets_are_waited_for_longer(proven, status):
    proven.haproxy.sessions["blue"], proven.haproxy.status = 2, status
    at(proven, 7, lambda: proven.haproxy.sessions.update(blue=0))
    outcome = proven.shift("run-2")
    assert outcome.data["left"] == 0
    assert proven.settings.drain_seconds < outcome.data["seconds"] < proven.settings.drain_stream_seconds
    # Going back would not wait for them.
    assert proven.store.state().rollback_seconds == proven.settings.drain_seconds


def test_a_stream_without_end_is_left_at_its_own_deadline(proven):
    proven.haproxy.sessions["blue"], proven.haproxy.status = 2, 200
    outcome = proven.shift("run-2")
    assert outcome.data["left"] == 2
    assert outcome.data["seconds"] == pytest.approx(proven.settings.drain_stream_seconds, abs=0.1)


def test_a_haproxy_killed_right_before_is_waited_for(proven):
    proven.haproxy.kill(seconds=2)
    assert proven.shift("run-2").code == "shifted"
    assert (proven.haproxy.up, proven.haproxy.weight) == (True, 100)


def test_a_haproxy_killed_while_it_is_told_is_told_again(proven):
    answer = proven.haproxy.answer
    dying = iter([True])

    def once(command: str) -> str:
        said = answer(command)
        if command.endswith("green 25") and next(dying, False):
            proven.haproxy.kill(seconds=1)
            return ""  # the connection ends without its answer
        return said

    proven.haproxy.answer = once
    assert proven.shift("run-2").code == "shifted"
    assert (proven.haproxy.up, proven.haproxy.weight, proven.haproxy.pid) == (True, 100, 2)


def test_a_haproxy_restarted_after_traffic_moved_ends_the_shift(proven):
    at(proven, 0.5, lambda: proven.haproxy.kill(seconds=1))
    with ends("haproxy_restarted"):
        proven.shift("run-2")
    assert given_back(proven)
    assert revert(proven.host, "run-2", "rescue").code == "already_reverted"


def test_a_haproxy_that_stays_away_ends_the_shift(proven):
    at(proven, 0.5, lambda: proven.haproxy.kill(seconds=1000))
    with ends("haproxy_lost"):
        proven.shift("run-2")
    proven.haproxy.start()
    assert given_back(proven)


def test_traffic_moved_by_hand_ends_the_shift(proven):
    at(proven, 0.5, lambda: proven.host.proxy.move(0, timeout=0))
    with ends("traffic_mismatch"):
        proven.shift("run-2")
    assert given_back(proven)


def exits(world: World) -> None:
    world.engine.containers["eduhub-green"] = replace(
        world.engine.containers["eduhub-green"], state="exited", exit_code=139
    )


def fails(world: World) -> None:
    world.haproxy.answers["green"] = {"2xx": 10, "5xx": 30}


@pytest.mark.parametrize(
    ("fault", "code"), [(exits, "container_lost"), (fails, "slot_errors")],
)
def test_a_green_that_does_not_bear_traffic_loses_it_at_once(proven, fault, code):
    at(proven, 0.5, lambda: fault(proven))
    with ends(code):
        proven.shift("run-2")
    assert given_back(proven)


def test_a_few_errors_are_not_held_against_a_slot(proven):
    proven.haproxy.answers["green"] = {"2xx": 100, "5xx": 100}  # of before: pages asked through no door of ours
    at(proven, 0.5, lambda: proven.haproxy.answers.update(green={"2xx": 108, "5xx": 109}))
    assert proven.shift("run-2").code == "shifted"


def test_a_run_that_is_reverted_meanwhile_touches_nothing_any_more(proven):
    at(proven, 0.5, lambda: revert(proven.host, "run-2", "Ctrl-C"))
    with ends("reverted"):
        proven.shift("run-2")
    assert given_back(proven)


def test_a_run_that_is_taken_over_meanwhile_says_by_whom(proven):
    words = {"owner": "bob@lab", "python": "3.11", "take_over": True}
    at(proven, 0.5, lambda: proven.begin("run-3", "upgrade", **words))
    with ends("reverted"):
        proven.shift("run-2")
    assert proven.store.lock().run == "run-3"
    proven.check()


def test_a_long_shift_keeps_its_lock_fresh(proven):
    proven.haproxy.sessions["blue"] = 1
    proven.host = replace(proven.host, settings=replace(proven.settings, drain_seconds=600, lock_seconds=30))
    at(proven, 500, lambda: proven.haproxy.sessions.update(blue=0))
    proven.shift("run-2")
    assert (proven.clock.now() - proven.store.lock().heartbeat).total_seconds() < 1


def test_a_haproxy_restarted_between_shift_and_confirmation_is_noticed(proven):
    proven.shift("run-2")
    proven.haproxy.kill(seconds=1)
    with ends("traffic_mismatch"):
        confirm(proven.host, "run-2")
    assert given_back(proven)


def test_a_confirmation_may_be_repeated(proven):
    proven.shift("run-2")
    first, second = confirm(proven.host, "run-2"), confirm(proven.host, "run-2")
    assert (first.changed, second.code, second.changed) == (True, "already_confirmed", False)


def test_a_confirmation_that_is_stopped_once_it_is_on_disk_is_one(proven, monkeypatch):
    def stopped(*_: object) -> None:
        raise StoppedError("stopped", "The pilot was stopped by SIGTERM.")

    proven.shift("run-2")
    monkeypatch.setattr("eduhub_pilot.adapters.haproxy.Proxy.move", stopped)
    outcome = confirm(proven.host, "run-2")
    assert (outcome.code, proven.store.weight(), proven.store.state().live.slot) == ("confirmed", 100, "green")
    proven.check()


def test_a_shift_that_fails_when_its_run_is_confirmed_already_does_not_call_it_reverted(proven):
    proven.shift("run-2")
    confirm(proven.host, "run-2")
    error = failed(proven.host, "run-2", FailedError("confirmation_expired", "It was not confirmed."))
    assert (error.code, "Reverted" in error.message) == ("confirmation_expired", False)


def test_a_haproxy_that_runs_and_cannot_be_told_keeps_both_slots_and_calls_a_person(proven):
    proven.shift("run-2")
    proven.haproxy.kill(seconds=1000)
    proven.engine.containers["eduhub-edge"] = replace(proven.engine.containers["eduhub-blue"], name="eduhub-edge")
    with ends("traffic_not_restored"):
        revert(proven.host, "run-2", "Ctrl-C")
    assert {"eduhub-blue", "eduhub-green"} <= set(proven.engine.containers)


def test_a_slot_that_hangs_is_shown_by_its_own_words(proven):
    proven.behaviour["green"] = lambda _: Answer(None, 2.0, "timeout")
    with ends("slot_not_ready"):
        prove(proven.host, "run-2")


def test_whoever_comes_while_a_run_is_undone_waits_as_long_as_that_may_take(proven, monkeypatch):
    """Refused before that, Ctrl-C would end with "nothing was touched" while the shift goes back."""
    monkeypatch.setattr("eduhub_pilot.cli.ROOT", proven.settings.root)
    kept: list[float] = []
    proven.host = replace(proven.host, settings=replace(proven.settings, drain_seconds=300))
    proven.shift("run-2")
    proven.haproxy.sessions["green"] = 1
    remove = proven.engine.remove

    def removing(name: str, stop_seconds: int) -> None:
        proven.clock.sleep(30)  # which is what a slot has by default
        kept.append(proven.clock.monotonic() - began)
        remove(name, stop_seconds)

    monkeypatch.setattr(proven.engine, "remove", removing)
    began = proven.clock.monotonic()
    revert(proven.host, "run-2", "Ctrl-C")
    assert 330 <= kept[-1] < make_host({"pilot_drain_seconds": 300}, None).store.guard_seconds
