"""`report` tells the last rollout in one bounded document, whatever is missing of its files."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from eduhub_pilot.analysis import samples, series, timeline
from eduhub_pilot.analysis.samples import Moment, Part
from eduhub_pilot.commands.report import report
from eduhub_pilot.model.errors import PilotError
from eduhub_pilot.model.facts import Answer
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.shift_plan import Plan
from eduhub_pilot.rollout.revert import revert
from eduhub_pilot.rollout.summary import summed


def document(world) -> dict:
    outcome = report(world.host)
    assert outcome.code in {"report_made", "no_rollout_recorded"}
    assert not outcome.changed
    return json.loads(json.dumps(outcome.data["report"]))


def test_a_host_without_a_rollout_says_so(world):
    told = document(world)
    assert (told["schema"], told["rollout"]) == (1, None)
    assert told["notes"] == ["This host has no rollout."]


def test_an_upgrade_is_told_with_verdicts_points_and_the_way_back(live):
    live.host = replace(live.host, settings=replace(live.settings, plan=Plan((5, 100), seconds=5)))
    live.roll("run-2", "upgrade", python="3.11")
    told = document(live)
    rollout = told["rollout"]
    assert [rollout[name] for name in ("run", "verb", "result", "why")] == ["run-2", "upgrade", "confirmed", None]
    assert (rollout["from"]["python"], rollout["to"]["python"]) == ("3.9.2", "3.11.2")
    assert "Python 3.9.2 → 3.11.2" in rollout["changed"]
    assert [each["gate"] for each in rollout["verdicts"]][:3] == ["smoke", "runtime", "contract"]
    assert [each["weight"] for each in rollout["points"]][-1] == 100
    assert (told["now"]["rollback"]["ready"], told["notes"]) == (True, [])


def test_a_report_changes_no_file(live):
    live.roll("run-2", "upgrade", python="3.11")
    files = {path: path.read_bytes() for path in live.settings.root.rglob("*") if path.is_file()}
    document(live)
    assert {path: path.read_bytes() for path in live.settings.root.rglob("*") if path.is_file()} == files


def test_a_rollout_that_failed_is_told_with_why(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.behaviour["green"] = lambda _: Answer(500, 0.01)
    with pytest.raises(PilotError):
        live.roll("run-2", "upgrade", python="3.11")
    told = document(live)
    assert told["rollout"]["result"] == "reverted"
    assert "it answers 500" in told["rollout"]["why"]
    assert told["notes"][-1].startswith("Run run-2 has no traffic samples")


def test_a_run_in_the_middle_is_under_way_and_one_without_its_lock_interrupted(proven):
    assert document(proven)["rollout"]["result"] == "under way"
    proven.store.free()
    assert document(proven)["rollout"]["result"] == "interrupted"


@pytest.mark.parametrize("name", ["journal.jsonl", "runs/run-2/samples.jsonl"])
def test_half_a_last_line_is_one_sentence(live, name):
    live.roll("run-2", "upgrade", python="3.11")
    with (live.settings.root / name).open("a") as file:
        file.write('{"time":"20')
    told = document(live)
    assert told["rollout"]["result"] == "confirmed"
    assert [note[:6] for note in told["notes"]] == ["1 line"]


def test_a_release_file_that_cannot_be_read_ends_no_report(live):
    (live.settings.root / "release.json").write_text("{")
    told = document(live)
    assert (told["now"], told["rollout"]["run"]) == (None, "run-1")


def test_a_run_that_ended_is_summed_up_for_the_operators_table(live):
    live.roll("run-2", "upgrade", python="3.11")
    outcome = summed(live.host, "run-2", Outcome(0, "Done.", True, {"live": "green"}))
    assert (outcome.message, outcome.data["live"], outcome.data["status"]["python"]) == ("Done.", "green", "3.11.2")
    assert outcome.data["rolled"]["gates"] == dict.fromkeys(("smoke", "runtime", "contract"), "pass")
    assert outcome.data["rolled"]["changed"][0] == "Python 3.9.2 → 3.11.2"


def test_a_run_that_went_back_changed_nothing(proven):
    revert(proven.host, "run-2", "asked for")
    assert summed(proven.host, "run-2", Outcome(0, "")).data["rolled"]["changed"] == []


def test_a_run_that_rolled_nothing_has_nothing_to_sum_up(live):
    assert "rolled" not in summed(live.host, "run-9", Outcome(0, "")).data


def test_a_summary_that_cannot_be_made_fails_no_run(live):
    (live.settings.root / "release.json").write_text("{")
    assert summed(live.host, "run-1", Outcome(0, "Done.")) == Outcome(0, "Done.")


def moments(count: int, **more) -> list[str]:
    return [
        samples.line(Moment(f"2026-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}.000Z", 1.0, 100,
                            {"blue": Part(), "green": Part(2, 1, requests={0.1: 0, 0.2: 2}, **more)}))
        for n in range(count)
    ]  # fmt: skip


def test_points_are_bounded_and_lose_no_answer():
    told = series.series(moments(4799))
    assert len(told.points) <= series.POINTS
    assert (sum(each["green"]["answers"] for each in told.points), told.notes) == (2 * 4799, [])


def test_no_point_spans_a_move_of_traffic():
    lines = [line.replace('"weight":100', '"weight":5') if n < 333 else line for n, line in enumerate(moments(900))]
    told = series.series(lines)
    assert sum(each["seconds"] for each in told.points if each["weight"] == 5) == pytest.approx(333)
    assert [(each["weight"], each["green"]["answers"]) for each in told.steps] == [(5, 666), (100, 1134)]


def test_samples_whose_share_changes_each_second_are_bounded_too():
    lines = [line.replace('"weight":100', f'"weight":{n % 100}') for n, line in enumerate(moments(2000))]
    told = series.series(lines)
    assert max(len(told.points), len(told.steps)) <= series.POINTS


def test_a_gap_is_told_and_marks_the_point_after_it():
    lines = moments(60)
    told = series.series(lines[:20] + lines[40:])
    assert [each["gap_seconds"] for each in told.points if "gap_seconds" in each] == [20.0]
    assert told.notes == ["The samples have 1 gap, 20 s in all: nothing could be recorded then."]


def test_a_clock_that_was_set_back_is_told():
    lines = moments(4)
    told = series.series([lines[2], lines[0]])
    assert [each["time"][-7:-5] for each in told.points] == ["00", "02"]
    assert told.notes[0].startswith("The host's clock was set back")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({}, None), ({0.1: 0, 0.2: 10}, 0.15), ({0.1: 10}, 0.05), ({0.1: 0, math.inf: 3}, 0.1)],
)
def test_a_quantile_lies_in_its_bucket_as_if_that_were_evenly_filled(counts, expected):
    assert series.estimated(samples.histogram(counts), 0.5) == expected


def test_a_long_run_is_told_by_its_beginning_and_its_end():
    entry = {"time": "2026-01-01T00:00:00Z", "run": "r", "step": "shift", "event": "moved"}
    told, notes = timeline.events([{**entry, "percent": n} for n in range(1000)])
    assert (len(told), told[0]["message"][-4:], told[-1]["message"][-6:]) == (timeline.MOST, " 0%.", " 999%.")
    assert notes == ["800 steps in the middle of the run are left out; the journal has them all."]


def test_lines_that_are_no_entries_are_counted():
    assert timeline.entries(["{", "[]", '{"time":1,"step":"a","event":"b"}']) == ([], 3)
