"""What a shift writes down of both slots: a line a second, bounded; what goes wrong with it stops nothing."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import pytest

from eduhub_pilot.analysis import samples
from eduhub_pilot.analysis.samples import Moment, Part
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import SLOTS
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.shift_plan import Plan
from eduhub_pilot.rollout.traffic_shift import TrafficShift
from tests.unit.pilot.answers import ends
from tests.unit.pilot.world import at

TIME = "2026-01-01T00:00:00.000Z"


def test_a_line_is_read_as_it_was_written():
    moment = Moment(TIME, 1.0, 25, {"blue": Part(9, 1, 0, 2, {0.025: 0, 0.05: 9}), "green": Part(plone={math.inf: 3})})
    assert samples.parse([samples.header("run-1"), samples.line(moment)]) == ([moment], 0)


@pytest.mark.parametrize(
    "line",
    ['{"time":"2026', "[]", "7", '{"time":"x","seconds":1,"weight":1,"blue":{},"green":{}}', "{}",
     f'{{"time":"{TIME}","seconds":1,"weight":101,"blue":{{}},"green":{{}}}}',
     f'{{"time":"{TIME}","seconds":1,"weight":1,"blue":{{"answers":-1}},"green":{{}}}}',
     f'{{"time":"{TIME}","seconds":1,"weight":1e999,"blue":{{}},"green":{{}}}}',
     f'{{"time":"{TIME}","seconds":1,"weight":1,"blue":{{"answers":{"9" * 400}}},"green":{{}}}}',
     f'{{"time":"{TIME}","seconds":1,"weight":1,"blue":{{"requests":{{"nan":1}}}},"green":{{}}}}'],
)  # fmt: skip
def test_a_line_that_is_none_is_counted_and_passed_over(line):
    assert samples.parse([line]) == ([], 1)


def test_lines_of_a_newer_pilot_are_counted_and_not_taken_for_ours():
    lines = [f'{{"time":"{TIME}","seconds":1,"weight":1,"blue":{{}},"green":{{}}}}'] * 2
    assert samples.parse(['{"schema":2,"run":"r"}', *lines]) == ([], 2)
    assert samples.parse(['{"schema":1,"run":"r"}', *lines])[1] == 0


def test_latencies_keep_where_their_bucket_begins():
    found = samples.histogram({0.025: 0, 0.05: 9})
    assert found.quantile(0.95, z=0) == (0.025, 0.05)


def test_a_day_of_waiting_is_some_thousand_lines():
    seconds = lines = 0
    while seconds < 86400:
        seconds, lines = seconds + samples.interval(lines), lines + 1
    assert (lines < samples.MOST, samples.interval(samples.MOST)) == (True, math.inf)


def test_a_shift_leaves_a_sample_a_second_and_its_answer(proven):
    settings = replace(proven.settings, plan=Plan((5, 100), seconds=5))
    proven.host = replace(proven.host, settings=settings)
    outcome = proven.shift("run-2")
    lines = proven.store.samples("run-2")
    moments, broken = samples.parse(lines)
    assert (json.loads(lines[0]), broken) == ({"schema": 1, "run": "run-2"}, 0)
    assert len(moments) >= 10
    assert [each.weight for each in moments][-1] == 100
    now = json.loads((proven.settings.root / "runs/run-2/now.json").read_text())
    assert (now["code"], now["message"], now["over"]) == ("shifted", outcome.message, True)


def told(world) -> dict:
    """What whoever looks on reads."""
    return json.loads((world.settings.root / "runs/run-2/now.json").read_text())


def test_the_answer_of_a_shift_stays_for_whoever_looks_a_while_later(proven):
    traffic_shift = TrafficShift(proven.host, "run-2", proven.store.state().rollout, Plan((100,), seconds=3))
    traffic_shift.go()
    assert (told(proven)["percent"], told(proven)["slots"]["green"]["weight"]) == (100, 100)
    traffic_shift.monitor.recorder.end(Outcome("shifted", "Moved."))
    for _ in range(5):
        proven.clock.sleep(1)
        traffic_shift.check()
    assert (told(proven)["over"], told(proven)["message"]) == (True, "Moved.")


def test_it_is_told_once_a_second_also_where_samples_have_become_rare(proven):
    recorder = TrafficShift(proven.host, "run-2", proven.store.state().rollout, Plan()).monitor.recorder
    recorder.lines = samples.MOST
    counts = {slot: proven.host.proxy.counts(slot, 1) for slot in SLOTS}
    for _ in range(3):
        proven.clock.sleep(1)
        (proven.settings.root / "runs/run-2/now.json").unlink()
        recorder.look(0, counts)
        assert told(proven)["percent"] == 0
    assert proven.store.samples("run-2") == []


def test_a_shift_that_fails_tells_why_in_the_words_that_end_the_run(proven):
    at(proven, 0.5, lambda: proven.haproxy.kill(seconds=1))
    with pytest.raises(FailedError) as failed:
        proven.shift("run-2")
    assert (told(proven)["over"], told(proven)["exit"], told(proven)["message"]) == (True, 1, failed.value.message)


def test_a_shift_that_fails_at_once_tells_that_too(proven):
    proven.engine.containers.pop("eduhub-green")
    with ends("candidate_not_running"):
        proven.shift("run-2")
    assert told(proven)["exit"] == 1


def test_begin_says_where_a_shift_tells_how_traffic_stands_and_when_it_is_over_by_itself(live):
    begun = live.begin("run-2", "upgrade", python="3.11", confirm_within="60")
    assert begun.data["view"] == "/var/lib/eduhub/runs/run-2/now.json"
    assert begun.data["within"] == live.settings.longest_shift_seconds + 60


def test_a_line_cut_short_by_a_crash_is_ended_first(proven):
    store = proven.store
    store.append_sample("run-2", '{"time":"20', "header\n")
    store.append_sample("run-2", "whole\n", "header\n")
    assert store.samples("run-2") == ["header", '{"time":"20', "whole"]


def test_only_the_last_runs_samples_are_kept(proven):
    for number in range(12):
        proven.store.append_sample(f"r{number}", "x\n", "")
    assert len(list((proven.settings.root / "runs").iterdir())) == 10


def test_a_clock_that_was_set_back_costs_no_run_its_samples(proven):
    for number in range(10):
        proven.store.append_sample(f"r{number}", "x\n", "")
        os.utime(proven.settings.root / f"runs/r{number}", (4e9, 4e9))
    assert proven.shift("run-2").code == "shifted"
    assert len(proven.store.samples("run-2")) > 1
    for number in range(10, 13):
        proven.store.append_sample(f"r{number}", "x\n", "")
    assert len(list((proven.settings.root / "runs").iterdir())) <= 11


def test_a_run_whose_name_is_a_path_writes_nothing(proven):
    proven.store.append_sample("../x", "x\n", "")
    assert not (proven.settings.root / "x").exists()


def test_a_full_disk_stops_no_shift(proven, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(proven.store, "append_sample", full)
    assert proven.shift("run-2").code == "shifted"
