"""The load generator counts every failure once, in its class, and repeats nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.load.stack import PASSWORD

SHORT = ("--seconds", "0.59", "--rate", "40", "--timeout", "0.5")  # 24 arrivals
CHECKOUT = Path(__file__).resolve().parents[3]


def failures(result):
    return {name: count for name, count in result["failures"].items() if count}


def test_a_good_stack_has_no_failures(load, stack):
    result = load(*SHORT)
    assert (result["exit"], result["requests"], result["failed"], failures(result)) == (0, 24, 0, {})
    assert stack.count("/health/live") == 24 + 1  # one before the load
    new, reused = (result["connections"][name]["ok"] for name in ("new", "reused"))
    assert (new, new + reused) == (stack.connections - 1, 24)
    assert reused > 0
    assert result["longest_gap_seconds"] == pytest.approx(0.025, abs=0.001)
    assert (result["stopped_by"], result["audit"], result["posts"]) == ("time", None, [])


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("reset", "reset"), ("close", "reset"), ("hang", "timeout"), ("truncate", "truncated"), ("500", "5xx"),
        ("503", "5xx"), ("404", "wrong_status"), ("301", "wrong_status"), ("201", "wrong_status"),
        ("empty", "wrong_body"), ("other", "wrong_body"), ("garbage", "wrong_body"), ("unbounded", "truncated"),
    ],
)  # fmt: skip
def test_each_fault_is_counted_once_in_its_class(load, stack, fault, name):
    stack.faults = deque(["", *[fault] * 4])  # the first request comes before the load
    result = load(*SHORT)
    assert (result["exit"], failures(result), result["requests"]) == (1, {name: 4}, 24)
    assert stack.count("/health/live") == 25  # nothing was sent twice
    assert [each["error"] for each in result["examples"]] == [name] * 4


def test_faults_of_all_classes_at_once(load, stack):
    stack.faults = deque(["", *["reset", "truncate", "hang", "500", "302", "other", ""] * 2])
    expected = {"reset": 2, "truncated": 2, "timeout": 2, "5xx": 2, "wrong_status": 2, "wrong_body": 2}
    assert failures(load(*SHORT)) == expected


def test_a_kept_connection_that_dies_under_a_request_is_a_failure_of_its_own_kind(load, stack):
    # Every second request travels on the kept connection: it is made by the first of them and dies under the next.
    stack.faults = deque(["", *["", "", "", "close"] * 2])
    result = load(*SHORT)
    assert result["connections"]["reused"]["failures"] == {"reset": 2}
    assert result["connections"]["new"]["failures"] == {}
    assert stack.count("/health/live") == 25


def test_a_stack_that_is_gone_refuses_connections(load, stack, tmp_path):
    """After 17 of 32 arrivals nothing listens any more: 7 need a new connection, the others have the kept one."""
    result = load("--seconds", "0.8", "--rate", "40", "--events", str(tmp_path / "events"), later=(0.41, stack.leave))
    assert (failures(result), result["requests"]) == ({"connect": 7}, 32)
    assert result["connections"]["new"]["failures"] == {"connect": 7}
    lines = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert len(lines) == result["requests"]
    assert sum(line["error"] is not None for line in lines) == result["failed"]


def test_a_late_answer_does_not_delay_the_next_arrival(load, stack, tmp_path):
    stack.faults = deque(["", "hang"])
    result = load(*SHORT, "--events", str(tmp_path / "events"))
    sent = sorted(json.loads(line)["sent"] for line in (tmp_path / "events").read_text().splitlines())
    assert [after - before for before, after in pairwise(sent)] == pytest.approx([0.025] * 23, abs=0.001)
    assert (failures(result), result["lag_ms"]) == ({"timeout": 1}, 0.0)


def test_the_longest_gap_is_the_time_without_a_good_answer(load, stack):
    stack.faults = deque([""] * 6 + ["500"] * 10)
    assert load(*SHORT)["longest_gap_seconds"] == pytest.approx(0.275, abs=0.001)  # from arrival 4 to arrival 15


def test_it_reports_which_slot_answered_when(load, stack):
    def switch():
        stack.slot, stack.release = "green", "20261124T000001Z-py3.11-89abcdef"

    result = load("--seconds", "0.79", "--rate", "40", later=(0.41, switch))
    names = ("slot", "python", "answers")
    assert [tuple(each[name] for name in names) for each in result["timeline"]] == [
        ("blue", "3.9", 17), ("green", "3.11", 15),
    ]  # fmt: skip
    assert result["timeline"][0]["last"] < result["timeline"][1]["first"]
    assert sorted(result["latency_ms"]) == ["blue", "green"]
    assert {slot: each["release"][17:] for slot, each in result["answered_by"].items()} == {
        "blue": "py3.9-0123abcd",
        "green": "py3.11-89abcdef",
    }


def test_an_answer_of_the_edge_itself_belongs_to_no_slot(load, stack):
    stack.faults = deque(["", "503"])
    (example,) = load(*SHORT)["examples"]
    assert (example["error"], example["slot"], example["release"]) == ("5xx", None, None)


def test_pages_are_compared_with_what_they_were_before(load, stack):
    stack.victims, stack.faults = "/plone/a", deque(["", "", "other", "500"])
    pages = ("--page", "/plone/a", "--page", "/plone/b?x=%2F", "--page-rate", "10")
    result = load(*SHORT, *pages, streams=("page",))
    assert result["kinds"]["page"]["failures"] == {"wrong_body": 1, "5xx": 1}
    assert result["kinds"]["light"]["failed"] == 0
    assert stack.count(r"^/plone/b\?x=%2F$") > 1


def test_a_download_lasts_as_long_as_it_should_and_every_byte_counts(load, stack):
    stack.victims, stack.faults = "/file", deque(["", "swap", "truncate"])
    result = load("--seconds", "2", "--download", "/file", "--download-seconds", "0.4", streams=("download",))
    assert result["kinds"]["download"]["failures"] == {"wrong_body": 1, "truncated": 1}
    assert result["downloads_completed"] == result["kinds"]["download"]["ok"] >= 1
    assert result["latency_ms"]["blue"]["download"]["max"] == pytest.approx(400, abs=21)


def test_a_slow_request_takes_its_time_to_send(load, stack):
    result = load(*SHORT, "--slow-seconds", "0.4", streams=("slow",))
    first, *others = stack.slow_bodies  # the first one came before the load
    assert (first, others) == (pytest.approx(0.0, abs=0.001), [pytest.approx(0.4, abs=0.001)] * 2)
    assert (result["kinds"]["slow"]["ok"], result["failed"]) == (2, 0)


@pytest.mark.parametrize("how", [(), ("--jwt",)])
def test_every_post_makes_one_document_of_its_own(load, stack, password_file, how):
    result = load(*SHORT, "--post-rate", "2", "--password-file", str(password_file), *how)
    made = [name for name, _ in stack.documents]
    assert result["posts"] == [[name, "created"] for name in made]
    assert (len(set(made)), result["audit"]) == (1, {"missing": [], "duplicate": [], "unexpected": []})
    assert (result["exit"], result["changed"]) == (0, True)
    assert PASSWORD not in json.dumps(result)


def test_a_post_is_never_repeated_and_never_meets_another(load, stack, password_file):
    stack.victims, stack.faults = "^/plone/submissions$", deque(["", "close", "hang"])
    result = load(
        "--seconds", "1.9", "--post-rate", "2", "--timeout", "0.6", "--password-file", str(password_file)
    )  # fmt: skip
    posts = [target for method, target, _ in stack.asked if method == "POST"]
    assert len(posts) == len(result["posts"])
    assert [outcome for _, outcome in result["posts"]][:2] == ["failed", "failed"]
    assert result["skipped_posts"] >= 1
    assert result["kinds"]["post"]["failures"] == {"reset": 1, "timeout": 1}


def test_a_document_made_twice_or_lost_is_found(load, stack, password_file):
    stack.victims, stack.faults = "^/plone/submissions$", deque(["", "forget"])
    result = load(*SHORT, "--post-rate", "2", "--password-file", str(password_file))
    first = result["posts"][0][0]
    assert (result["exit"], result["audit"]["duplicate"]) == (1, [first])


def test_an_earlier_result_can_be_audited_again(load, stack, password_file, tmp_path):
    before = tmp_path / "result.json"
    posting = ("--post-rate", "2", "--password-file", str(password_file))
    assert load(*SHORT, *posting, "--out", str(before)) == {
        "exit": 0, "changed": True, "message": json.loads(before.read_text())["message"],
    }  # fmt: skip
    lost, _ = stack.documents.pop()
    again = load("--audit", str(before), *posting)
    assert (again["exit"], again["audit"]["missing"]) == (1, [lost])


def test_a_file_ends_it_early_with_a_result(load, stack, tmp_path):
    enough = tmp_path / "enough"
    result = load("--rate", "40", "--until-file", str(enough), later=(0.41, enough.touch))
    assert (result["exit"], result["stopped_by"], result["seconds"]) == (0, "file", pytest.approx(0.5, abs=0.1))
    assert result["requests"] == stack.count("/health/live") - 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_early_with_a_result(load, stack, number):
    result = load("--rate", "40", later=(0.41, lambda: os.kill(os.getpid(), number)))
    assert (result["exit"], result["stopped_by"], result["unfinished"]) == (0, "signal", 0)
    assert 17 <= result["requests"] == stack.count("/health/live") - 1


def test_it_runs_as_a_program_against_a_port(stack, tmp_path):
    enough, out = tmp_path / "enough", tmp_path / "out"
    words = [sys.executable, "-m", "tests.load", "--light-only", "/text", "--until-file", str(enough)]
    stack.victims, stack.faults = "/text", deque([""] * 5 + ["reset", "truncate"])
    with stack.on_a_port() as url, (tmp_path / "events").open("w+") as events:
        running = subprocess.Popen(
            [*words, "--url", url, "--out", str(out), "--events", events.name], cwd=CHECKOUT, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while len(events.read().splitlines()) < 20 and running.poll() is None:
            events.seek(0)
            time.sleep(0.01)
        enough.touch()
        printed, _ = running.communicate()
    result = json.loads(out.read_text())
    assert json.loads(printed) == {"exit": 1, "message": result["message"], "changed": False}
    assert (running.returncode, failures(result), result["stopped_by"]) == (1, {"reset": 1, "truncated": 1}, "file")
    assert min(result["connections"][name]["ok"] for name in ("new", "reused")) > 0
