"""Files are replaced whole or not at all, a lock is won by one, and nothing that was written is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eduhub_pilot.adapters.store import Store
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.state import HostState, Lock, Serving
from tests.unit.pilot.answers import ends
from tests.unit.pilot.fakes import RELEASES

A, B, _ = RELEASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCK = Lock("ana@desk", "run", "upgrade", "begin", NOW, NOW, 900)


@pytest.fixture
def store(tmp_path) -> Store:
    for folder in ("edge", "releases"):
        (tmp_path / folder).mkdir()
    return Store(tmp_path, "/var/lib/eduhub", guard_seconds=0.1)


@pytest.mark.parametrize("dies_at", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_dies_leaves_the_old_file(store, monkeypatch, dies_at):
    store.save_weight(0)

    def die(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dies_at, die)
    with pytest.raises(OSError, match="No space left"):
        store.save_weight(100)
    monkeypatch.undo()
    assert store.weight() == 0
    store.save_weight(100)
    assert (store.root / "edge/traffic.map").read_text() == "green 100\n"


def test_files_for_haproxy_can_be_read_by_it(store):
    store.save_weight(100)
    store.save_names({"blue": A, "green": None})
    assert (store.root / "edge/releases.map").read_text() == f"blue {A}\ngreen none\n"
    assert {(store.root / f"edge/{name}.map").stat().st_mode & 0o777 for name in ("traffic", "releases")} == {0o644}
    assert store.names() == {"blue": A, "green": None}


@pytest.mark.parametrize("reason", ["x", "Plone is upgraded to 6.1.4.", "longer " * 9])
def test_that_writes_are_taken_again_needs_no_room_on_the_disk(live, reason):
    file = live.store.root / "run/plone-endpoint/writes.map"
    file.parent.mkdir(parents=True)
    live.store.save_plone_writes(reason)
    size, live.store.full = file.stat().st_size, True
    with pytest.raises(OSError, match="No space"):
        live.store.save_plone_writes(f"{reason}, and more")
    live.store.save_plone_writes(None)
    first, *comments = file.read_text().splitlines()
    assert (first, {line.strip("#") for line in comments} <= {""}, file.stat().st_size) == ("writes open", True, size)


@pytest.mark.parametrize("text", ["green", "green 101", "blue 0", "green x", "green 1\ngreen 2", ""])
def test_a_damaged_traffic_map_is_refused_by_name(store, text):
    (store.root / "edge/traffic.map").write_text(text)
    with ends("traffic_map_unreadable"):
        store.weight()


def test_a_lock_is_taken_once(store):
    store.take(LOCK)
    with ends("lock_taken"):
        store.take(replace(LOCK, run="other"))
    assert store.lock() == LOCK
    store.free()
    store.free()
    assert store.lock() is None
    assert [path.name for path in store.root.iterdir() if "lock" in path.name] == []


def claim(root: Path, start, won) -> None:
    start.wait(120)
    for turn in range(20):
        store = Store(root / str(turn), "/var/lib/eduhub")
        try:
            with store.guard():
                store.take(LOCK)
        except RefusedError:
            continue
        won.put(turn)


def test_of_many_pilots_at_once_one_takes_the_lock(tmp_path):
    for turn in range(20):
        (tmp_path / str(turn)).mkdir()
    fork = multiprocessing.get_context("fork")
    start, won = fork.Barrier(4), fork.Queue()
    racers = [fork.Process(target=claim, args=(tmp_path, start, won)) for _ in range(4)]
    for racer in racers:
        racer.start()
    winners = sorted(won.get(timeout=120) for _ in range(20))
    for racer in racers:
        racer.join(120)
    assert (winners, won.empty()) == (list(range(20)), True)


def test_the_guard_keeps_a_second_pilot_waiting_and_then_says_so(store):
    second = Store(store.root, "/var/lib/eduhub", guard_seconds=0.1)
    words = ends("host_busy")
    with store.guard(), store.guard(), words, second.guard():
        pass
    with second.guard():
        pass


def test_a_missing_release_json_is_rebuilt_from_what_haproxy_would_serve(live):
    before = live.store.state()
    (live.store.root / "release.json").unlink()
    rebuilt = live.store.state()
    assert (rebuilt.live.slot, rebuilt.live.release) == (before.live.slot, before.live.release)
    assert (rebuilt.good, rebuilt.slots) == (before.good, before.slots)


def test_a_fresh_host_serves_nothing(store):
    assert store.state() == HostState()
    assert (store.weight(), store.lock(), store.releases()) == (0, None, [])


def test_a_record_that_cannot_be_read_does_not_hide_the_others(live):
    broken = live.store.root / f"releases/{B}/release.json"
    broken.parent.mkdir()
    broken.write_text("{")
    assert list(live.store.records()) == [live.store.state().live.release]
    with ends("record_unreadable"):
        live.store.record(B)


def test_a_lock_of_random_bytes_is_refused_by_name(store):
    (store.root / "lock.json").write_bytes(b"\xff\xfe\x00")
    with ends("lock_unreadable"):
        store.lock()


def mend(fragment: str) -> str:
    return json.dumps({"event": "cut", "fragment": fragment}) + "\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", []),
        ('{"n": 1}\n', [{"n": 1}]),
        ('{"n": 1}\n{"n": 2}', [{"n": 1}, {"n": 2}]),
        ('{"n": 1}\n{"n": "é', [{"n": 1}, {"event": "cut", "fragment": '{"n": "é'}]),
    ],
    ids=["empty", "whole", "newline missing", "cut"],
)
def test_appending_repairs_a_cut_last_line_and_loses_nothing(store, before, after):
    (store.root / "journal.jsonl").write_text(before)
    store.append('{"n": 3}\n', mend)
    lines = (store.root / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [*after, {"n": 3}]


def test_a_line_of_which_the_disk_took_a_part_is_an_error_and_mended_by_the_next(store, monkeypatch):
    pwrite = os.pwrite
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", lambda descriptor, data, at: pwrite(descriptor, data[:5], at))
        with pytest.raises(OSError, match="No space left"):
            store.append('{"n": 1}\n', mend)
    store.append('{"n": 1}\n', mend)
    lines = (store.root / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"event": "cut", "fragment": '{"n":'}, {"n": 1}]


def test_a_state_keeps_its_live_release_over_a_write(store):
    state = HostState(live=Serving("green", A, "2026-01-01T00:00:00Z"), good=(A,))
    store.save_state(state)
    assert store.state() == state
