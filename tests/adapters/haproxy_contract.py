"""What the pilot's client of HAProxy does, whichever HAProxy it is: the fake of the unit tests, or a real one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, cast

import pytest

from eduhub_pilot.adapters.haproxy import Proxy, Public
from eduhub_pilot.model.errors import ProxyDownError
from eduhub_pilot.model.facts import SLOTS, Counts, Slot, other

# Seconds that only a hang takes.
PATIENCE = 60.0
NO_SLOT = cast(Slot, "purple")


class Stage(Protocol):
    """A HAProxy with two slots behind it, and what a test does around it."""

    proxy: Proxy

    def map(self, name: str) -> dict[str, str]:
        """Return what HAProxy has in the map of that file name."""

    def asked(self, slot: Slot, good: int, failed: int) -> None:
        """Let the public ask `slot` and get so many answers 200, and so many 500."""

    def holding(self, slot: Slot, count: int) -> AbstractContextManager[None]:
        """Let requests for /plone/0, /plone/1 ... wait for their answers in `slot` until the block ends."""

    def killed(self, share: int) -> None:
        """Kill HAProxy; it is started again in a moment and finds `share` in its map."""

    def nobody(self) -> Proxy:
        """Return a client of a HAProxy that is down."""

    def elsewhere(self) -> Proxy:
        """Return a client that looks for the maps where HAProxy has none."""


ASKED: dict[str, Callable[[Proxy, float], object]] = {
    "move": lambda proxy, timeout: proxy.move(25, timeout),
    "version": lambda proxy, timeout: proxy.version(timeout),
    "now": lambda proxy, timeout: proxy.now(timeout),
    "name": lambda proxy, timeout: proxy.name("green", "r-1", timeout),
    "reach": lambda proxy, timeout: proxy.reach("green", "tcp", timeout),
    "set_writes": lambda proxy, timeout: proxy.set_writes("closed:an+upgrade", timeout),
    "counts": lambda proxy, timeout: proxy.counts("green", timeout),
    "left": lambda proxy, timeout: proxy.left("green", timeout),
    "unanswered": lambda proxy, timeout: proxy.unanswered("green", 0, timeout),
    "public": lambda proxy, timeout: proxy.public(timeout),
    "set_draining": lambda proxy, timeout: proxy.set_draining(True, timeout),
    "cut": lambda proxy, timeout: proxy.cut("green", timeout),
}


class ProxyContract:
    """Inherited by one test class for each HAProxy, which has a fixture `stage`; traffic is on blue at first."""

    @pytest.mark.parametrize("share", [0, 5, 100])
    def test_traffic_is_moved_and_the_answer_says_so(self, stage: Stage, share: int) -> None:
        moved = stage.proxy.move(share, PATIENCE)
        assert moved.weight == share
        assert moved == stage.proxy.now(PATIENCE)
        assert stage.map("traffic.map") == {"green": str(share)}

    def test_its_version_begins_with_numbers(self, stage: Stage) -> None:
        major, minor, *_ = stage.proxy.version(PATIENCE).split(".")
        assert (major.isdigit(), minor.isdigit()) == (True, True)

    @pytest.mark.parametrize("slot", SLOTS)
    def test_a_slots_release_and_transport_are_set_and_the_others_stay(self, stage: Stage, slot: Slot) -> None:
        before = stage.map("releases.map"), stage.map("transport.map")
        stage.proxy.name(slot, "20260101T000000Z-py3.9-00000000", PATIENCE)
        stage.proxy.reach(slot, "tcp", PATIENCE)
        assert stage.map("releases.map") == {**before[0], slot: "20260101T000000Z-py3.9-00000000"}
        assert stage.map("transport.map") == {**before[1], slot: "tcp"}

    @pytest.mark.parametrize("slot", SLOTS)
    def test_the_publics_answers_are_counted_for_the_slot_that_gave_them(self, stage: Stage, slot: Slot) -> None:
        before = {each: stage.proxy.counts(each, PATIENCE) for each in SLOTS}
        stage.asked(slot, good=3, failed=2)
        after = counted(stage, slot, before[slot].answers + 5)
        assert after.requests - before[slot].requests == 5
        assert after.answers - before[slot].answers == 5
        assert after.errors - before[slot].errors == 2
        assert (after.sessions, after.queued) == (0, 0)
        assert stage.proxy.counts(other(slot), PATIENCE) == before[other(slot)]

    @pytest.mark.parametrize("slot", SLOTS)
    def test_requests_that_wait_for_their_answers_are_listed_and_cut(self, stage: Stage, slot: Slot) -> None:
        with stage.holding(slot, 2):
            found = stage.proxy.left(slot, PATIENCE)
            assert sorted(each.path or "" for each in found) == ["/plone/0", "/plone/1"]
            assert {each.kind for each in found} == {"request"}
            assert stage.proxy.unanswered(slot, 0, PATIENCE) == 2
            assert stage.proxy.counts(slot, PATIENCE).sessions == 2
            assert stage.proxy.left(other(slot), PATIENCE) == []
            assert len(stage.proxy.cut(other(slot), PATIENCE)) == 0
            assert len(stage.proxy.left(slot, PATIENCE)) == 2
            cut = stage.proxy.cut(slot, PATIENCE)
            assert sorted(each.path or "" for each in cut) == ["/plone/0", "/plone/1"]
            gone(stage, slot)
        assert stage.proxy.cut(slot, PATIENCE) == []

    def test_a_host_is_marked_as_drained_and_back(self, stage: Stage) -> None:
        for wanted in (True, False):
            stage.proxy.set_draining(wanted, PATIENCE)
            assert stage.map("drain.map") == {"draining": str(int(wanted))}

    def test_the_publics_requests_at_both_slots_are_what_a_drain_waits_for(self, stage: Stage) -> None:
        assert stage.proxy.public(PATIENCE) == Public(0, [])
        with stage.holding("green", 2):
            found = stage.proxy.public(PATIENCE)
            assert (found.recent, sorted(each.path or "" for each in found.open)) == (0, ["/plone/0", "/plone/1"])
            stage.proxy.cut("green", PATIENCE)

    def test_a_haproxy_that_was_killed_is_waited_for_and_told_from_the_one_before(self, stage: Stage) -> None:
        before = stage.proxy.move(100, PATIENCE)
        stage.killed(share=25)
        after = stage.proxy.now(PATIENCE)
        assert after.weight == 25
        assert after.process != before.process
        assert stage.proxy.move(50, PATIENCE).process == after.process
        assert stage.proxy.counts("blue", PATIENCE).requests == 0

    @pytest.mark.parametrize("timeout", [0.0, 0.3])
    @pytest.mark.parametrize("asked", ASKED)
    def test_a_haproxy_that_is_down_is_one_error_whatever_it_is_asked(
        self, stage: Stage, asked: str, timeout: float
    ) -> None:
        with pytest.raises(ProxyDownError, match="does not answer on its admin socket"):
            ASKED[asked](stage.nobody(), timeout)

    @pytest.mark.parametrize("asked", ["move", "now", "name", "reach", "set_draining"])
    def test_a_map_that_haproxy_does_not_have_is_an_error(self, stage: Stage, asked: str) -> None:
        with pytest.raises(ProxyDownError):
            ASKED[asked](stage.elsewhere(), 0)

    def test_a_slot_that_haproxy_does_not_have_is_an_error(self, stage: Stage) -> None:
        with pytest.raises(ProxyDownError):
            stage.proxy.counts(NO_SLOT, 0)
        with pytest.raises(ProxyDownError):
            stage.proxy.name(NO_SLOT, "r-1", 0)
        with pytest.raises(ProxyDownError):
            stage.proxy.cut(NO_SLOT, 0)
        assert stage.proxy.left(NO_SLOT, 0) == []


def counted(stage: Stage, slot: Slot, answers: int) -> Counts:
    """Return the counters once they hold `answers`: HAProxy counts an answer when it has ended, after its last byte."""
    deadline = stage.proxy.clock.monotonic() + PATIENCE
    while (counts := stage.proxy.counts(slot, PATIENCE)).answers < answers or counts.sessions:
        assert stage.proxy.clock.monotonic() < deadline, counts
        stage.proxy.clock.sleep(0.02)
    return counts


def gone(stage: Stage, slot: Slot) -> None:
    """Wait until the connections that were cut are gone: HAProxy ends them right after its answer."""
    deadline = stage.proxy.clock.monotonic() + PATIENCE
    while stage.proxy.left(slot, PATIENCE) or stage.proxy.counts(slot, PATIENCE).sessions:
        assert stage.proxy.clock.monotonic() < deadline
        stage.proxy.clock.sleep(0.02)
