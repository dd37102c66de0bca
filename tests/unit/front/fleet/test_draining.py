"""The last host that takes traffic is only drained with consent."""

from __future__ import annotations

from pathlib import Path

import pytest

from front.arguments.options import parsed
from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.fleet.draining import Tier, check_others, refuse_last, taking_none
from front.inventory.loader import Target
from front.run.exit_codes import NEEDS_PERSON, REFUSED, REVERTED, host_exit
from front.run.outcome import Host
from front.run.play import Run, Signals
from front.verbs.traffic import check_not_last

UP = {"live": "blue", "edge": "up", "draining": False, "slots": {"blue": {"state": "running", "health": "healthy"}}}
SERVING, DRAINED = Host(status=UP), Host(status={**UP, "draining": True})
FRESH, DOWN = Host(status={**UP, "live": None}), Host(status={**UP, "edge": "down"})
GONE = Host(unreachable=True)
FRONT = {"active": True, "draining": False, "keepalived": True, "bridges": {"a": "UP", "b": "UP"}}
REQUEST = Request("drain", "campus", "a")


@pytest.mark.parametrize(("others", "told"), [
    ({}, ""),
    ({"b": DRAINED, "c": GONE}, " (b is drained, c is unreachable)"),
    ({"b": FRESH, "c": DOWN}, " (b is not deployed, c is down)"),
    ({"b": None, "c": Host()}, " (b is unreachable, c is silent)"),
])  # fmt: skip
def test_the_last_one_is_refused_with_what_the_others_are(others, told):
    with pytest.raises(RefusalError) as refused:
        refuse_last(REQUEST, ["a"], {"a": SERVING, **others})
    assert refused.value.messages == (
        f"No host of inventory campus would be left to take traffic without a{told}: agree to that with --yes.",
    )
    assert refused.value.next_commands == ["./invoke drain --yes --inventory campus --limit a"]


def test_one_that_an_update_has_takes_no_traffic_in_a_moment():
    lock = {"verb": "host.patch", "expired": False}
    with pytest.raises(RefusalError, match="b is being updated"):
        refuse_last(REQUEST, ["a"], {"a": SERVING, "b": Host(status={**UP, "lock": lock})})
    for free in (None, {**lock, "expired": True}, {**lock, "verb": "deploy"}):
        refuse_last(REQUEST, ["a"], {"a": SERVING, "b": Host(status={**UP, "lock": free})})


def test_hosts_that_are_drained_together_count_together():
    with pytest.raises(RefusalError):
        refuse_last(REQUEST, ["a", "b"], {"a": SERVING, "b": SERVING})
    refuse_last(REQUEST, ["a", "b"], {"a": SERVING, "b": SERVING, "c": SERVING})


@pytest.mark.parametrize("asked", [DRAINED, GONE, FRESH])
def test_one_that_takes_none_may_be_drained_again(asked):
    refuse_last(REQUEST, ["a"], {"a": asked, "b": DRAINED})


@pytest.mark.parametrize("slot", [{"state": "exited"}, {"state": "running", "health": "unhealthy"}, {}])
def test_a_host_whose_live_slot_does_not_serve_takes_no_traffic(slot):
    broken = Host(status={**UP, "slots": {"blue": slot}})
    with pytest.raises(RefusalError):
        refuse_last(REQUEST, ["a"], {"a": SERVING, "b": broken})


@pytest.mark.parametrize(("other", "told"), [
    ({"draining": True}, "drained"), ({"bridges": {"a": "DOWN"}}, "down"),
    ({"keepalived": False}, "without keepalived"), (None, "unreachable"),
])  # fmt: skip
def test_a_front_host_is_only_drained_where_another_one_can_have_its_addresses(monkeypatch, other, told):
    hosts = {"a": SERVING, "b": SERVING, "f1": Host(status={"front": FRONT}), "f2": Host(status={"front": FRONT})}
    monkeypatch.setattr("front.fleet.draining.looked_at", lambda *_: hosts)
    run = Run(REQUEST, Path(), Path())
    tiers = [Tier("host", ["a"], ["a", "b"]), Tier("front host", ["f1"], ["f1", "f2"])]
    check_others(run, tiers, Signals())
    hosts["f2"] = GONE if other is None else Host(status={"front": {**FRONT, **other}})
    assert taking_none(hosts) == ([] if other is None else ["f2"])
    with pytest.raises(RefusalError) as refused:
        check_others(run, tiers, Signals())
    (why,) = refused.value.messages
    assert why.startswith(f"No front host of inventory campus would be left to take traffic without f1 (f2 is {told}):")


@pytest.mark.parametrize("phase", ["drain", "undrain"])
def test_a_host_that_was_not_reached_is_refused_and_one_that_was_lost_needs_a_person(phase):
    assert host_exit(Host(phase="preflight", phases=["preflight"], failed="preflight", unreachable=True)) == REFUSED
    assert host_exit(Host(phase=phase, phases=["preflight", phase], failed=phase, unreachable=True)) == NEEDS_PERSON
    assert host_exit(Host(phase=phase, phases=["preflight", phase], failed=phase)) == NEEDS_PERSON
    assert host_exit(Host(phase=phase, phases=["preflight", phase], failed=phase, exits={phase: 2})) == REFUSED


def test_a_drain_that_was_taken_back_is_called_reverted():
    assert host_exit(Host(phase="drain", phases=["preflight", "drain"], failed="drain", exits={"drain": 1})) == REVERTED


def test_the_others_of_a_drain_are_those_that_it_does_not_drain_too(monkeypatch):
    """They are asked once more when its hosts are marked: another run may drain them meanwhile."""
    group = {"group_names": ["bridge"]}
    hosts = [Target(name, group) for name in ("a", "b", "c", "d")]
    states = {"a": SERVING, "b": SERVING, "c": SERVING, "d": DRAINED}
    monkeypatch.setattr("front.verbs.traffic.tiers_of", lambda *_: [Tier("host", ["a", "b"], list(states))])
    monkeypatch.setattr("front.fleet.draining.looked_at", lambda *_: states)
    options = parsed(["drain"])
    options.path = Path()
    options.values = {}
    assert check_not_last(options, hosts[:2], Signals()) == (["c"], ["d"])
