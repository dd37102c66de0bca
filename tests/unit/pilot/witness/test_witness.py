"""The witness counts every failure once, in its class, and repeats nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import deque
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.pilot.witness.stack import PASSWORD

SHORT = ("--seconds", "0.59", "--rate", "40", "--timeout", "0.5")  # 24 arrivals
SOURCE = Path(__file__).resolve().parents[4] / "images/pilot/src"


def failures(result):
    return {name: count for name, count in result["failures"].items() if count}


def test_a_good_stack_has_no_failures(witness, stack):
    result = witness(*SHORT)
    assert (result["code"], result["requests"], result["failed"], failures(result)) == (0, 24, 0, {})
    assert stack.count("/health/live") == 24 + 1  # one before the load
    new, reused = (result["connections"][name]["ok"] for name in ("new", "reused"))
    assert (new, new + reused) == (stack.connections - 1, 24)
    assert reused > 0
    assert 0.02 < result["longest_gap_seconds"] < 0.5
    assert (result["stopped_by"], result["audit"], result["posts"]) == ("time", None, [])


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("reset", "reset"), ("close", "reset"), ("hang", "timeout"), ("truncate", "truncated"), ("500", "5xx"),
        ("503", "5xx"), ("404", "wrong_status"), ("301", "wrong_status"), ("201", "wrong_status"),
        ("empty", "wrong_body"), ("other", "wrong_body"), ("garbage", "wrong_body"), ("unbounded", "truncated"),
    ],
)  # fmt: skip
def test_each_fault_is_counted_once_in_its_class(witness, stack, fault, name):
    stack.faults = deque(["", *[fault] * 4])  # the first request comes before the load
    result = witness(*SHORT)
    assert (result["code"], failures(result), result["requests"]) == (1, {name: 4}, 24)
    assert stack.count("/health/live") == 25  # nothing was sent twice
    assert [each["error"] for each in result["examples"]] == [name] * 4


def test_faults_of_all_classes_at_once(witness, stack):
    stack.faults = deque(["", *["reset", "truncate", "hang", "500", "302", "other", ""] * 2])
    expected = {"reset": 2, "truncated": 2, "timeout": 2, "5xx": 2, "wrong_status": 2, "wrong_body": 2}
    assert failures(witness(*SHORT)) == expected


def test_a_kept_connection_that_dies_under_a_request_is_a_failure_of_its_own_kind(witness, stack):
    # Every second request travels on the kept connection: it is made by the first of them and dies under the next.
    stack.faults = deque(["", *["", "", "", "close"] * 2])
    result = witness(*SHORT)
    assert result["connections"]["reused"]["failures"] == {"reset": 2}
    assert result["connections"]["new"]["failures"] == {}
    assert stack.count("/health/live") == 25


def test_a_stack_that_is_gone_refuses_connections(witness, stack, tmp_path):
    events = tmp_path / "events"
    running = stack.url
    stack.faults = deque([""])
    # The listener goes away in the middle of the load.
    stack._loop.call_soon_threadsafe(stack._loop.call_later, 0.4, stack._listening.close)
    result = witness("--seconds", "0.8", "--rate", "40", "--timeout", "1", "--events", str(events))
    assert set(failures(result)) <= {"connect", "reset"}
    assert result["failures"]["connect"] >= 5
    assert result["url"] == running
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert len(lines) == result["requests"]
    assert sum(line["error"] is not None for line in lines) == result["failed"]


def test_a_late_answer_does_not_delay_the_next_arrival(witness, stack, tmp_path):
    stack.faults = deque(["", "hang"])
    result = witness(*SHORT, "--events", str(tmp_path / "events"))
    sent = sorted(json.loads(line)["sent"] for line in (tmp_path / "events").read_text().splitlines())
    assert max(after - before for before, after in pairwise(sent)) < 0.2
    assert failures(result) == {"timeout": 1}


def test_the_longest_gap_is_the_time_without_a_good_answer(witness, stack):
    stack.faults = deque([""] * 6 + ["500"] * 10)
    result = witness(*SHORT)
    assert 0.25 <= result["longest_gap_seconds"] < 0.5  # ten arrivals of 25 ms without one


def test_it_says_who_answered_when(witness, stack):
    def switch():
        stack.slot, stack.release = "green", "20261124T000001Z-py3.11-89abcdef"

    stack._loop.call_soon_threadsafe(stack._loop.call_later, 0.4, switch)
    result = witness("--seconds", "0.8", "--rate", "40")
    assert [(each["slot"], each["python"]) for each in result["timeline"]] == [("blue", "3.9"), ("green", "3.11")]
    assert sum(each["answers"] for each in result["timeline"]) == result["requests"]
    assert result["timeline"][0]["last"] < result["timeline"][1]["first"]
    assert sorted(result["latency_ms"]) == ["blue", "green"]
    assert {slot: each["release"][17:] for slot, each in result["answered_by"].items()} == {
        "blue": "py3.9-0123abcd",
        "green": "py3.11-89abcdef",
    }


def test_an_answer_of_the_edge_itself_belongs_to_no_slot(witness, stack):
    stack.faults = deque(["", "503"])
    (example,) = witness(*SHORT)["examples"]
    assert (example["error"], example["slot"], example["release"]) == ("5xx", None, None)


def test_pages_are_compared_with_what_they_were_before(witness, stack):
    stack.victims, stack.faults = "/plone/a", deque(["", "", "other", "500"])
    pages = ("--page", "/plone/a", "--page", "/plone/b?x=%2F", "--page-rate", "10")
    result = witness(*SHORT, *pages, streams=("page",))
    assert result["kinds"]["page"]["failures"] == {"wrong_body": 1, "5xx": 1}
    assert result["kinds"]["light"]["failed"] == 0
    assert stack.count(r"^/plone/b\?x=%2F$") > 1


def test_a_download_lasts_as_long_as_it_should_and_every_byte_counts(witness, stack):
    stack.victims, stack.faults = "/file", deque(["", "swap", "truncate"])
    begun = time.monotonic()
    result = witness("--seconds", "2", "--download", "/file", "--download-seconds", "0.4", streams=("download",))
    assert result["kinds"]["download"]["failures"] == {"wrong_body": 1, "truncated": 1}
    assert result["downloads_completed"] == result["kinds"]["download"]["ok"] >= 1
    assert 350 < result["latency_ms"]["blue"]["download"]["p50"] < 1500
    assert time.monotonic() - begun < 15


def test_a_slow_request_takes_its_time_to_send(witness, stack):
    result = witness(*SHORT, "--slow-seconds", "0.4", streams=("slow",))
    first, *others = stack.slow_bodies  # the first one came before the load
    assert first < 0.3
    assert min(others) > 0.35
    assert (result["kinds"]["slow"]["ok"], result["failed"]) == (len(others), 0)


@pytest.mark.parametrize("how", [(), ("--jwt",)])
def test_every_post_makes_one_document_of_its_own(witness, stack, password_file, how):
    result = witness(*SHORT, "--post-rate", "2", "--password-file", str(password_file), *how)
    made = [name for name, _ in stack.documents]
    assert result["posts"] == [[name, "created"] for name in made]
    assert (len(set(made)), result["audit"]) == (1, {"missing": [], "duplicate": [], "unexpected": []})
    assert (result["code"], result["changed"]) == (0, True)
    assert PASSWORD not in json.dumps(result)


def test_a_post_is_never_repeated_and_never_meets_another(witness, stack, password_file):
    stack.victims, stack.faults = "^/plone/submissions$", deque(["", "close", "hang"])
    result = witness(
        "--seconds", "1.9", "--post-rate", "2", "--timeout", "0.6", "--password-file", str(password_file)
    )  # fmt: skip
    posts = [target for method, target, _ in stack.asked if method == "POST"]
    assert len(posts) == len(result["posts"])
    assert [outcome for _, outcome in result["posts"]][:2] == ["failed", "failed"]
    assert result["skipped_posts"] >= 1
    assert result["kinds"]["post"]["failures"] == {"reset": 1, "timeout": 1}


def test_a_document_made_twice_or_lost_is_found(witness, stack, password_file):
    stack.victims, stack.faults = "^/plone/submissions$", deque(["", "forget"])
    result = witness(*SHORT, "--post-rate", "2", "--password-file", str(password_file))
    first = result["posts"][0][0]
    assert (result["code"], result["audit"]["duplicate"]) == (1, [first])


def test_an_earlier_result_can_be_audited_again(witness, stack, password_file, tmp_path):
    before = tmp_path / "result.json"
    posting = ("--post-rate", "2", "--password-file", str(password_file))
    assert witness(*SHORT, *posting, "--out", str(before)) == {
        "code": 0, "changed": True, "say": json.loads(before.read_text())["say"],
    }  # fmt: skip
    lost, _ = stack.documents.pop()
    again = witness("--audit", str(before), *posting)
    assert (again["code"], again["audit"]["missing"]) == (1, [lost])


def test_a_file_or_a_signal_ends_it_early_with_a_result(stack, tmp_path):
    enough, out = tmp_path / "enough", tmp_path / "out"
    words = [sys.executable, "-m", "eduhub_pilot.witness", "--url", stack.url, "--light-only", "/text"]
    for end in (lambda _: enough.touch(), lambda witness: witness.send_signal(signal.SIGTERM),
                lambda witness: witness.send_signal(signal.SIGINT)):  # fmt: skip
        enough.unlink(missing_ok=True)
        before = stack.count("/text")
        running = subprocess.Popen(
            [*words, "--out", str(out), "--until-file", str(enough)], env={"PYTHONPATH": str(SOURCE)},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while stack.count("/text") < before + 10:
            time.sleep(0.01)
        end(running)
        assert json.loads(running.communicate(timeout=10)[0])["code"] == 0
        result = json.loads(out.read_text())
        assert result["stopped_by"] == ("file" if enough.exists() else "signal")
        assert result["requests"] == stack.count("/text") - before - 1
