"""A drain is a line on the disk and in HAProxy's map; it waits for the balancer, and cuts nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eduhub_pilot.adapters.haproxy import Public
from eduhub_pilot.commands.balancer.drain import drain, free
from eduhub_pilot.commands.balancer.undrain import take_back, undrain
from eduhub_pilot.model.codes import exit_of
from eduhub_pilot.model.connections import Connection
from eduhub_pilot.model.errors import PilotError, ProxyDownError, RefusedError
from eduhub_pilot.model.facts import Answer
from eduhub_pilot.rollout.drain import CLOSE_STREAMS
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.world import at

QUIET, SECONDS = 10, 60


def told(world) -> str:
    return world.haproxy.maps[f"{world.haproxy.folder}/drain.map"]["draining"]


def test_a_host_without_requests_is_free_once_its_balancer_must_have_noticed(live):
    began = live.clock.monotonic()
    outcome = drain(live.host, QUIET, SECONDS)
    assert (outcome.code, outcome.changed, outcome.data["left"]) == ("drained", True, [])
    assert QUIET <= live.clock.monotonic() - began < QUIET + 1
    assert (told(live), live.store.draining()) == ("1", True)
    assert [line["event"] for name in ("on", "drained") for line in live.noted(name, None)] == ["on", "drained"]
    again = drain(live.host, QUIET, SECONDS)
    assert (again.code, again.changed) == ("drained", False)


def test_status_says_so_until_the_host_is_back(live):
    drain(live.host, QUIET, SECONDS)
    found = status(live.host).data["status"]
    assert (found["draining"], [(note["code"], note["next"]) for note in found["notes"]]) == (
        True, [("draining", [["./invoke", "undrain"]])],
    )  # fmt: skip
    outcome = undrain(live.host)
    assert (outcome.code, outcome.changed, told(live), live.store.draining()) == ("undrained", True, "0", False)
    found = status(live.host).data["status"]
    assert (found["draining"], found["notes"]) == (False, [])
    assert undrain(live.host).changed is False


def test_it_waits_for_the_requests_that_still_come_and_for_those_that_are_not_over(live):
    live.haproxy.ended, live.haproxy.sessions["blue"] = 3, 1

    def over() -> None:
        live.haproxy.sessions["blue"] = 0

    def forgotten() -> None:
        live.haproxy.ended = 0

    at(live, 20, over)
    at(live, 30, forgotten)
    began = live.clock.monotonic()
    assert drain(live.host, QUIET, SECONDS).code == "drained"
    assert 30 <= live.clock.monotonic() - began < 31


@pytest.mark.parametrize(("ended", "open_now"), [(5, 0), (0, 2)])
def test_what_is_left_at_the_timeout_is_told_and_nothing_is_cut(live, ended, open_now):
    live.haproxy.ended, live.haproxy.sessions["blue"] = ended, open_now
    outcome = drain(live.host, QUIET, SECONDS)
    assert (outcome.code, outcome.document("drain")["exit"], told(live)) == ("drain_unfinished", 3, "1")
    assert len(outcome.data["left"]) == open_now == live.haproxy.sessions["blue"]
    assert f"and {ended} requests ended within the last 10 s" in outcome.message
    assert ("/plone/0 (request, 60 s)" in outcome.message) is bool(open_now)


def test_listeners_are_sent_away_once_the_balancer_must_have_noticed(live):
    asked = []
    began = live.clock.monotonic()
    live.haproxy.sessions["blue"], live.haproxy.status = 1, 101
    host = replace(live.host, fetch=lambda base, path, *_: asked.append((base, path, live.clock.monotonic() - began)))
    outcome = drain(host, QUIET, SECONDS)
    assert [(base[-4:], path) for base, path, _ in asked] == [("8101", CLOSE_STREAMS), ("8102", CLOSE_STREAMS)]
    assert all(QUIET <= when < QUIET + 1 for *_, when in asked)
    assert (outcome.code, "A stop cuts what never ends by itself: /plone/0 (websocket, 60 s)." in outcome.message) == (
        "drained", True,
    )  # fmt: skip


@pytest.mark.parametrize(("path", "kind", "expected"), [
    ("/api/v1/live", "websocket", True), ("/api/v1/events", "stream", True), ("/api/v1/events", "request", False),
    ("/plone/film.mp4", "stream", False), (None, "stream", False),
])  # fmt: skip
def test_only_what_never_ends_by_itself_is_not_waited_for(path, kind, expected):
    connection = Connection(path, 1, kind)
    assert (free(Public(0, [connection])), free(Public(1, [connection]))) == (expected, False)


def test_a_haproxy_that_restarts_comes_back_with_it(live):
    drain(live.host, QUIET, SECONDS)
    live.haproxy.kill()
    live.clock.sleep(2)
    assert (live.haproxy.up, told(live)) == (True, "1")


def test_a_pilot_that_died_between_disk_and_haproxy_is_repeated(live):
    for effects in range(10):
        try:
            with live.killing(effects):
                drain(live.host, QUIET, SECONDS)
        except Killed:
            continue
        break
    assert effects > 1
    assert drain(live.host, QUIET, SECONDS).code == "drained"
    assert told(live) == "1"


@pytest.mark.parametrize("effects", [0, 1])
def test_it_is_refused_only_before_anything_is_marked(live, effects, monkeypatch):
    calls = []

    def down(_: object, wanted: bool, timeout: float) -> None:
        assert timeout > 0
        calls.append(wanted)
        if len(calls) > effects:
            raise ProxyDownError("HAProxy does not answer.")

    monkeypatch.setattr(type(live.host.proxy), "set_draining", down)
    with pytest.raises(PilotError) as failed:
        drain(live.host, QUIET, SECONDS)
    assert exit_of(failed.value.code, "drain") == (3 if effects else 2)
    assert live.store.draining() is bool(effects)


def test_a_timeout_that_waits_for_nobody_is_refused(live):
    with pytest.raises(RefusedError, match="edge_drain_seconds is 10 and edge_drain_quiet_seconds 10"):
        drain(live.host, 10, 10)
    assert not live.store.draining()


def test_it_is_refused_in_the_middle_of_a_rollout_and_while_one_awaits_its_confirmation(held):
    with pytest.raises(RefusedError) as refused:
        drain(held.host, QUIET, SECONDS)
    assert refused.value.code == "lock_held"
    assert (told(held), held.store.draining()) == ("0", False)


def test_a_host_without_a_release_is_not_drained(world):
    with pytest.raises(RefusedError) as refused:
        drain(world.host, QUIET, SECONDS)
    assert refused.value.code == "nothing_deployed"


def test_a_check_changes_nothing(live):
    live.haproxy.sessions["blue"] = 2
    outcome = drain(live.host, QUIET, SECONDS, check=True)
    assert (outcome.code, outcome.changed, told(live)) == ("drain_planned", True, "0")
    assert outcome.message == "The host would tell its balancer to go elsewhere; it has 2 connections now."
    assert undrain(live.host, check=True).changed is False
    live.haproxy.sessions["blue"] = 0
    drain(live.host, QUIET, SECONDS)
    planned = drain(live.host, QUIET, SECONDS, check=True), undrain(live.host, check=True)
    assert [each.changed for each in planned] == [False, True]
    assert told(live) == "1"


def test_a_mark_alone_is_not_waited_for_and_is_taken_back_without_a_proof(live):
    """Whether another host serves is looked at in between, and clients have to be sent here again at once."""
    began = live.clock.monotonic()
    outcome = drain(live.host, QUIET, SECONDS, only_mark=True)
    assert (outcome.code, outcome.changed, told(live), live.clock.monotonic()) == ("drain_marked", True, "1", began)
    live.behaviour["blue"] = lambda _: Answer(503, 0.01)
    outcome = take_back(live.host)
    assert (outcome.document("undrain")["exit"], told(live), live.store.draining()) == (1, "0", False)


def test_a_host_that_does_not_serve_stays_drained(live):
    drain(live.host, QUIET, SECONDS)
    live.behaviour["blue"] = lambda _: Answer(503, 0.01)
    with pytest.raises(RefusedError) as refused:
        undrain(live.host)
    assert refused.value.code == "not_serving"
    assert "/health/ready at its public address answered 503 after 10 s" in refused.value.message
    assert (told(live), live.store.draining()) == ("1", True)


def test_a_host_that_was_just_rebooted_is_waited_for(live):
    drain(live.host, QUIET, SECONDS)
    live.reboot()
    assert undrain(live.host).code == "undrained"
    assert told(live) == "0"


def test_a_rollout_keeps_the_mark_and_says_so(live):
    drain(live.host, QUIET, SECONDS)
    begun = live.begin("run-2", "upgrade", python="3.11")
    assert [note.split(":")[0] for note in begun.data["notes"]] == ["The host stays drained"]
    live.role_bridge(begun.data["slot"], begun.data["record"])
    for step in live.steps("run-2"):
        step()
    assert (live.store.state().live.slot, told(live), live.store.draining()) == ("green", "1", True)
    undrain(live.host)
    assert "notes" not in live.begin("run-3", "upgrade", python="3.9").data


def test_a_haproxy_that_is_down_is_told(live):
    live.haproxy.kill(seconds=1e6)
    with pytest.raises(PilotError) as error:
        drain(live.host, QUIET, SECONDS)
    assert error.value.code == "haproxy_down"
