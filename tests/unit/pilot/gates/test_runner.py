"""Each verdict has its one consequence, in the mode that the inventory sets, and is told in one line."""

from __future__ import annotations

import json

import pytest

from eduhub_pilot.commands.prove import prove
from eduhub_pilot.gates.candidate import Skipped
from eduhub_pilot.gates.runner import Gate, ask
from eduhub_pilot.model.codes import exit_of
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.facts import Look
from eduhub_pilot.model.verdict import Verdict
from eduhub_pilot.rollout.revert import revert
from tests.unit.pilot.gates.reports import FOUND, looks
from tests.unit.pilot.world import World


def gate(name: str, *words: str) -> tuple[Gate, list[str]]:
    """A gate that gives these verdicts in turn, and what it was asked."""
    left, given = list(words), []

    def run(_) -> Verdict | Skipped:
        given.append(left.pop(0) if len(left) > 1 else left[0])
        if given[-1] == "skip":
            return Skipped(name, "nothing here")
        return Verdict(name, given[-1], f"{name} says {given[-1]}.", {"findings": ["one", "two"]}, {}, 0.1)

    return Gate(name, run), given


@pytest.fixture
def started(live) -> World:
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    return live


CASES = {
    "passes": (["pass"], "enforce", ["pass"], False),
    "fails": (["fail"], "enforce", ["fail"], True),
    "fails, observed": (["fail"], "observe", ["fail"], False),
    "is inconclusive": (["inconclusive"], "enforce", ["inconclusive"], True),
    "errs twice": (["error"], "enforce", ["error", "error"], True),
    "errs once": (["error", "pass"], "enforce", ["error", "pass"], False),
    "errs, then fails": (["error", "fail"], "enforce", ["error", "fail"], True),
    "errs, observed": (["error"], "observe", ["error", "error"], False),
    "has nothing to judge": (["skip"], "enforce", ["skip"], False),
    "is off": (["fail"], "off", [], False),
}


@pytest.mark.parametrize(("words", "mode", "given", "stops"), CASES.values(), ids=CASES)
def test_a_gate_that(started, words, mode, given, stops):
    first, asked_first = gate("smoke", *words)
    second, asked_second = gate("runtime", "pass")
    asked = list(ask(started.candidate("run-2", gate_smoke=mode), (first, second)))
    assert (asked_first, asked_second) == (given, [] if stops else ["pass"])
    assert [each.stops for each in asked[-1:]] == [stops]


SAID = {
    "pass": ("Gate smoke passed: smoke says pass.", []),
    "fail": ("Gate smoke failed: smoke says fail.", ["one", "two"]),
    "skip": ("Gate smoke skipped: nothing here", []),
}


@pytest.mark.parametrize(("word", "said"), SAID.items(), ids=SAID)
def test_each_is_told_in_a_line_with_its_findings_if_it_has_any(started, word, said):
    (asked,) = ask(started.candidate("run-2"), (gate("smoke", word)[0],))
    assert (asked.message, asked.details) == said


def test_an_observed_gate_says_so(started):
    (asked,) = ask(started.candidate("run-2", gate_smoke="observe"), (gate("smoke", "fail")[0],))
    assert asked.message == "Gate smoke failed (observed): smoke says fail."
    assert asked.document["mode"] == "observe"


def test_the_way_back_asks_only_whether_the_slot_answers(live):
    live.roll("run-2", "upgrade", python="3.11")
    live.engine.looked.clear()
    live.engine.looks["eduhub-blue"] = looks(findings=[FOUND])
    live.settings.gates["pilot_gate_runtime"] = "nonsense"
    assert live.roll("run-3", "rollback").code == "confirmed"
    assert live.engine.looked == []


def journal(world) -> list[dict]:
    return [json.loads(line) for line in (world.settings.root / "journal.jsonl").read_text().splitlines()]


def test_verdicts_are_in_the_answer_and_in_the_journal(started):
    outcome = prove(started.host, "run-2")
    assert [(each["gate"], each["verdict"], each["mode"]) for each in outcome.data["verdicts"]] == [
        ("smoke", "pass", "enforce"), ("runtime", "pass", "enforce"), ("contract", "pass", "enforce"),
    ]  # fmt: skip
    first, *lines = outcome.message.splitlines()
    assert first.startswith("The candidate (green) was ready after ")
    passed = ["Gate smoke passed", "Gate runtime passed", "Gate contract passed"]
    assert [line.split(":")[0] for line in lines] == passed
    told = [line for line in journal(started) if line["run"] == "run-2" and line["event"] == "passed"]
    assert [{name: line[name] for name in outcome.data["verdicts"][0]} for line in told] == outcome.data["verdicts"]


def test_a_failure_tells_its_findings_and_what_passed_before(started):
    started.engine.looks["eduhub-green"] = looks(findings=[{**FOUND, "line": line} for line in range(1, 14)])
    with pytest.raises(FailedError) as failed:
        prove(started.host, "run-2")
    lines = failed.value.message.splitlines()
    assert lines[0] == (
        "Gate runtime failed on the candidate (green): On Python 3.11.2: /app/a.py:1 uses imp. That is the first of 13 "
        "findings."
    )
    assert lines[1:12] == [*(f"  /app/a.py:{line} uses imp." for line in range(1, 11)), "  and 3 more in the journal."]
    assert lines[12].startswith("Gate smoke passed: ")
    assert len(journal(started)[-1]["measured"]["findings"]) == 13


def test_an_inconclusive_gate_leaves_the_run_to_a_person_with_nothing_moved(started):
    started.engine.looks["eduhub-green"] = Look(137, "", "seconds")
    before, live = started.store.state(), started.store.state().live
    outcome = prove(started.host, "run-2")
    assert (outcome.code, outcome.data["waits"], started.haproxy.weight) == ("gate_inconclusive", True, 0)
    assert started.store.state() == before.at(before.rollout, "prove")
    assert (started.store.lock(), started.engine.containers["eduhub-green"].runs) == (None, True)
    for words in (
        "Gate runtime is inconclusive: The examination of eduhub-green took more than 120 s.",
        f"The live release {live.release} (blue) is unchanged.", "without traffic at http://127.0.0.1:8102",
        "pilot_gate_runtime: observe",
    ):  # fmt: skip
        assert words in outcome.message
    assert [line["event"] for line in journal(started)[-2:]] == ["inconclusive", "awaiting_decision"]
    # The next run, or a person in the name of this one, may still undo it.
    assert revert(started.host, "run-2", "requested").code == "reverted"
    assert (started.store.state().live, "eduhub-green" in started.engine.containers) == (live, False)
    started.check()


def test_a_run_that_waits_is_resumed_by_anybody_and_goes_on(started):
    started.engine.looks["eduhub-green"] = Look(137, "", "seconds")
    prove(started.host, "run-2")
    started.settings.gates["pilot_gate_runtime"] = "observe"
    resumed = started.begin("run-3", "upgrade", owner="bob@lab", resume=True)
    green = started.engine.containers["eduhub-green"]
    started.role_bridge(resumed.data["slot"], resumed.data["record"])
    for step in started.steps("run-3"):
        assert exit_of(step().code, "shift") == 0
    assert (started.store.state().live.slot, started.engine.containers["eduhub-green"]) == ("green", green)


def test_a_run_that_waits_is_undone_by_any_other(started):
    started.engine.looks["eduhub-green"] = Look(137, "", "seconds")
    prove(started.host, "run-2")
    assert started.begin("run-3").message.startswith("Run run-2 was interrupted at step prove. It was undone.")
    assert ("eduhub-green" in started.engine.containers, started.store.lock()) == (False, None)
