"""Both slots of a host are one bridge: one write at a time, and no page from before a write in either."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from eduhub_bridge.patterns.turn import Turn
from eduhub_bridge.upstream.writes import WriteLane, Written
from tests.unit.bridge.helpers import USER, is_problem, send, until
from tests.unit.bridge.process import read_answer

pytestmark = pytest.mark.slow

FRESH = {"EDUHUB_CACHE_SECONDS": "60"}


@pytest.fixture
def slots(start, plone, tmp_path):
    """Starts two bridges that share a directory: slots(NAME=value…)."""

    def pair(**more):
        (tmp_path / "state").mkdir()
        return [start(plone.url, EDUHUB_STATE_DIR=str(tmp_path / "state"), **more) for _ in range(2)]

    return pair


@pytest.mark.parametrize("target", ["/plone/count", "/api/v1/content?path=/count"])
def test_a_page_from_before_a_write_through_the_other_slot_is_not_used(slots, plone, target):
    one, other = slots(**FRESH)
    asked = [(bridge.get(target).status, len(plone.seen)) for bridge in (one, one, other, other)]
    assert [count for _, count in asked] == [1, 1, 2, 2]  # each has its own pages, and uses them
    one.get("/plone/x", USER, method="POST")
    for bridge in (other, one):
        before = len(plone.seen)
        bridge.get(target)
        assert len(plone.seen) == before + 1


def test_a_page_that_the_other_slot_was_reading_during_a_write_is_not_kept(slots, plone):
    one, other = slots(**FRESH)
    reading = send(other, "/plone/wait")
    until(lambda: plone.seen)
    one.get("/plone/x", USER, method="POST")
    plone.release.set()
    assert read_answer(reading).body == b"late"
    other.get("/plone/wait", host="b")
    assert [seen.method for seen in plone.seen] == ["GET", "POST", "GET"]


def test_both_slots_together_give_plone_one_write_at_a_time(slots, plone):
    plone.slow = 0.02

    def write(bridge):
        return bridge.get("/plone/x", USER, method="POST").status

    with ThreadPoolExecutor(16) as clients:
        assert set(clients.map(write, slots() * 8)) == {200}
    assert (len(plone.seen), plone.most["POST"]) == (16, 1)


def test_a_slot_that_is_killed_while_it_writes_holds_up_no_other(slots, plone):
    one, other = slots()
    send(one, "/plone/wait", USER, method="POST")
    until(lambda: plone.seen)
    waiting = send(other, "/plone/x", USER, method="POST")
    time.sleep(0.1)
    assert len(plone.seen) == 1
    one.kill()
    assert read_answer(waiting).body == b"hello"
    plone.release.set()


def test_who_waits_too_long_for_the_other_slots_write_is_told_so(slots, plone):
    one, other = slots(EDUHUB_PLONE_WRITE_WAIT_SECONDS="0.3")
    writing = send(one, "/plone/wait", USER, method="POST")
    until(lambda: plone.seen)
    answer = other.get("/plone/x", USER, method="POST")
    assert is_problem(answer, 503) == "Plone was too busy to begin with this within 0.3 s."
    assert len(plone.seen) == 1
    plone.release.set()
    assert read_answer(writing).body == b"late"
    assert other.get("/plone/x", USER, method="POST").status == 200


async def test_a_file_system_without_locks_keeps_nobody_from_writing(tmp_path, monkeypatch, capsys):
    async def take(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(Turn, "take", take)
    lane = WriteLane(tmp_path, 1, 1.0, lambda _: None)
    place = await lane.enter()
    assert lane.enter_now() is None
    place.free()
    assert "Both slots may write at once: No locks available." in capsys.readouterr().err


def test_a_write_gives_all_who_share_a_value_that_was_never_there_and_nobody_else(tmp_path):
    one, other, alone = Written(tmp_path), Written(tmp_path), Written(None)
    lonely, met = alone.value, {one.value, other.value}
    for number in range(20):
        (one, other)[number % 2].anew()
        met |= {one.value, other.value}
    assert (len(met), alone.value) == (42, lonely)
    alone.anew()
    assert alone.value != lonely


def test_who_comes_later_sees_what_was_written_before(tmp_path):
    one = Written(tmp_path)
    one.anew()
    assert Written(tmp_path).value[8:] == one.value[8:]
