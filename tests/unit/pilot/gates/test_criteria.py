"""What a gate judges by comes from the inventory, and what makes no sense is refused before anything is touched."""

from __future__ import annotations

import pytest

from eduhub_pilot.gates.criteria import NAMES, READS, STOPPING, criteria, for_verb
from eduhub_pilot.gates.runner import GATES
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.release import Spec

SPEC = Spec({"image": "eduhub/bridge:py3.11", "python": "3.11", "health_path": "/health", "smoke_paths": ["/"]})
# An image of somebody else, of which nobody says what to ask.
BARE = Spec({"image": "example.edu/bridge:1", "health_path": "/health"})


def test_every_gate_has_a_mode_and_enforces_without_being_told():
    assert tuple(gate.name for gate in GATES) == NAMES
    assert criteria({}, SPEC).modes == dict.fromkeys(NAMES, "enforce")
    assert criteria({}, SPEC).runtime.kinds == STOPPING


@pytest.mark.parametrize(("given", "mode"), [("off", "off"), (False, "off"), ("observe", "observe")])
def test_a_mode_is_taken_as_it_was_meant(given, mode):
    assert criteria({"pilot_gate_runtime": given}, SPEC).modes["runtime"] == mode


BAD = {
    "a mode that is none": ({"gate_runtime": "enforced"}, 'pilot_gate_runtime is "enforced", not one of off, observe'),
    "a kind that is none": ({"runtime_findings": ["abi", "speed"]}, 'pilot_runtime_findings holds "speed", instead'),
    "no list": ({"runtime_findings": "abi"}, 'pilot_runtime_findings is "abi", not a list'),
    "a text for a list": ({"runtime_allowed": "[{"}, 'pilot_runtime_allowed is "[{", not a list'),
    "no text": ({"runtime_interpreters": [3.11]}, "pilot_runtime_interpreters holds 3.11, instead of a text"),
    "an empty text": ({"runtime_interpreters": [""]}, 'pilot_runtime_interpreters holds "", instead of a text'),
    "no time": (
        {"runtime_seconds": -1},
        "pilot_runtime_seconds is -1, not a number from 0.1 to 86400 seconds (a day), like 120: correct it in the inv",
    ),
    "no number": ({"runtime_seconds": "nan"}, 'pilot_runtime_seconds is "nan"'),
    "a truth for a number": ({"contract_sampled": True}, "pilot_contract_sampled is true, not a whole number from 0"),
    "half a request": ({"contract_sampled": 2.5}, "pilot_contract_sampled is 2.5, not a whole number from 0 to 999"),
    "no size": ({"runtime_memory": "much"}, "pilot_runtime_memory is 'much', not a size like 512m"),
    "no last day": ({"runtime_allowed": [{"path": "/a"}]}, "An entry of pilot_runtime_allowed looks like"),
    "no criterion": ({"runtime_findings": []}, "Gate runtime has no criterion, since pilot_runtime_findings is"),
    "no criterion, since nobody says what to ask": (
        {"gate_runtime": "off"}, "Gate contract has no criterion, since bridge_smoke_paths and pilot_contract_requ",
    ),
    "no request": ({"contract_requests": ["/"]}, "An entry of pilot_contract_requests looks like"),
    "no header": ({"contract_headers": ["a b"]}, "pilot_contract_headers has 'a b'"),
    "no last day there": ({"contract_allowed": [{"path": "/"}]}, "An entry of pilot_contract_allowed looks like"),
    "no mapping": ({"performance_budget": [1.1]}, "pilot_performance_budget is [1.1], not a mapping"),
    "a budget for nothing": (
        {"performance_budget": {"p99": 2}}, "pilot_performance_budget has no 'p99'; did you mean p95? Correct it",
    ),
    "a budget below blue's": (
        {"performance_budget": {"p50": 0.9}}, "pilot_performance_budget.p50 is 0.9, not a number above 1 to 10 times",
    ),
    "a budget that is no number": ({"performance_budget": {"cpu": True}}, "pilot_performance_budget.cpu is true"),
    "a budget without an end": ({"performance_budget": {"cpu": 1e9}}, "cpu is 1000000000.0, not a number above 1 to"),
    "no budget": ({"performance_budget": {}}, "Gate performance has no criterion, since pilot_perf"),
    "no rate": (
        {"performance_rate": 0}, "pilot_performance_rate is 0, not a number from 0.1 to 100000 requests a second, like",
    ),
    "no path": ({"performance_paths": ["courses"]}, "pilot_performance_paths has 'courses', which is not a path"),
    "no criterion, observed": (
        {"runtime_findings": [], "gate_runtime": "observe"}, 'or set pilot_gate_runtime: "off"',
    ),
    "a setting of a newer checkout": ({"gate_beauty": "enforce"}, "This pilot has no setting pilot_gate_beauty: its"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "words"), BAD.values(), ids=BAD)
def test_what_makes_no_sense_is_refused_by_name(given, words):
    given = {f"pilot_{name}": value for name, value in given.items()}
    with pytest.raises(RefusedError) as refused:
        criteria(given, BARE if "nobody" in words or "bridge_smoke" in words else SPEC)
    assert words in refused.value.message
    # Nobody is kept from going back by a misspelt variable.
    assert for_verb(given, "rollback", SPEC).modes == {"smoke": "enforce"}


def test_pages_to_measure_are_those_of_the_smoke_gate_the_shipped_and_ones_own():
    own = criteria({"pilot_performance_paths": ["/courses?n={number}", "/"]}, SPEC).performance.paths
    assert own == ("/health", "/", *READS, "/courses?n={number}")
    assert criteria({"pilot_gate_contract": "off"}, BARE).performance.paths == ("/health",)


def test_a_budget_names_all_that_is_judged():
    assert criteria({"pilot_performance_budget": {"p50": 1.2}}, SPEC).performance.budget == {"p50": 1.2}


def test_a_gate_that_is_off_needs_no_criterion():
    given = {"pilot_runtime_findings": [], "pilot_gate_runtime": "off"}
    assert criteria(given, SPEC).modes["runtime"] == "off"


def test_a_run_with_a_gate_that_cannot_judge_does_not_begin(live):
    live.settings.gates["pilot_runtime_findings"] = []
    before = live.store.state()
    with pytest.raises(RefusedError, match="Gate runtime has no criterion"):
        live.begin("run-2", "upgrade", python="3.11")
    assert (live.store.state(), live.store.lock()) == (before, None)
