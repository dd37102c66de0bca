"""What a shift writes down of both slots: a line a second, bounded; what goes wrong with it stops nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from eduhub_pilot import samples
from eduhub_pilot.samples import Moment, Part
from eduhub_pilot.steps import Plan

TIME = "2026-01-01T00:00:00.000Z"


def test_a_line_is_read_as_it_was_written():
    moment = Moment(TIME, 1.0, 25, {"blue": Part(9, 1, 0, 2, {0.025: 0, 0.05: 9}), "green": Part(plone={math.inf: 3})})
    assert samples.parse([samples.header("run-1"), samples.line(moment)]) == ([moment], 0)


@pytest.mark.parametrize(
    "line",
    ['{"time":"2026', "[]", "7", '{"time":"x","seconds":1,"share":1,"blue":{},"green":{}}', "{}",
     f'{{"time":"{TIME}","seconds":1,"share":101,"blue":{{}},"green":{{}}}}',
     f'{{"time":"{TIME}","seconds":1,"share":1,"blue":{{"answers":-1}},"green":{{}}}}'],
)  # fmt: skip
def test_a_line_that_is_none_is_counted_and_passed_over(line):
    assert samples.parse([line]) == ([], 1)


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
    assert [each.share for each in moments][-1] == 100
    now = json.loads((proven.settings.root / "runs/run-2/now.json").read_text())
    assert (now["code"], now["say"], now["over"]) == (0, outcome.say, True)


def test_a_line_cut_short_by_a_crash_is_ended_first(proven):
    store = proven.store
    store.append_sample("run-2", '{"time":"20', "header\n")
    store.append_sample("run-2", "whole\n", "header\n")
    assert store.samples("run-2") == ["header", '{"time":"20', "whole"]


def test_only_the_last_runs_samples_are_kept(proven):
    for number in range(12):
        proven.store.append_sample(f"r{number}", "x\n", "")
    assert len(list((proven.settings.root / "runs").iterdir())) == 10


def test_a_run_whose_name_is_a_path_writes_nothing(proven):
    proven.store.append_sample("../x", "x\n", "")
    assert not (proven.settings.root / "x").exists()


def test_a_full_disk_stops_no_shift(proven, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(proven.store, "append_sample", full)
    assert proven.shift("run-2").code == 0
