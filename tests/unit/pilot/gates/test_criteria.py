"""What a gate judges by comes from the inventory, and what makes no sense is refused before anything is touched."""

from __future__ import annotations

import json

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


@pytest.mark.parametrize(("given", "mode"), [("off", "off"), ("False", "off"), ("observe", "observe")])
def test_a_mode_is_taken_as_it_was_meant(given, mode):
    assert criteria({"EDUHUB_GATE_RUNTIME": given}, SPEC).modes["runtime"] == mode


BAD = {
    "a mode that is none": ({"GATE_RUNTIME": "enforced"}, "pilot_gate_runtime is 'enforced', not one of off, observe"),
    "a kind that is none": ({"RUNTIME_FINDINGS": '["abi", "speed"]'}, "pilot_runtime_findings has 'speed', which is"),
    "no list": ({"RUNTIME_FINDINGS": '"abi"'}, "pilot_runtime_findings is 'abi', not a list"),
    "no JSON": ({"RUNTIME_ALLOWED": "[{"}, "pilot_runtime_allowed is '[{', not a list"),
    "no text": ({"RUNTIME_INTERPRETERS": "[3.11]"}, "pilot_runtime_interpreters holds 3.11, instead of a text"),
    "no time": ({"RUNTIME_SECONDS": "-1"}, "pilot_runtime_seconds is '-1', not a number of seconds like 120"),
    "no number": ({"RUNTIME_SECONDS": "nan"}, "pilot_runtime_seconds is 'nan'"),
    "no size": ({"RUNTIME_MEMORY": "much"}, "pilot_runtime_memory is 'much', not a size like 512m"),
    "no last day": ({"RUNTIME_ALLOWED": '[{"path": "/a"}]'}, "An entry of pilot_runtime_allowed looks like"),
    "no criterion": ({"RUNTIME_FINDINGS": "[]"}, "Gate runtime has no criterion, since pilot_runtime_findings is"),
    "no criterion, since nobody says what to ask": (
        {"GATE_RUNTIME": "off"}, "Gate contract has no criterion, since bridge_smoke_paths and pilot_contract_requ",
    ),
    "no request": ({"CONTRACT_REQUESTS": '["/"]'}, "An entry of pilot_contract_requests looks like"),
    "no header": ({"CONTRACT_HEADERS": '["a b"]'}, "pilot_contract_headers has 'a b'"),
    "no last day there": ({"CONTRACT_ALLOWED": '[{"path": "/"}]'}, "An entry of pilot_contract_allowed looks like"),
    "no mapping": ({"PERFORMANCE_BUDGET": "[1.1]"}, "looks like {p50: 1.1, cpu: 1.1}, not [1.1"),
    "a budget for nothing": ({"PERFORMANCE_BUDGET": '{"p99": 2}'}, "it has 'p99', which is not one of p50, p95, cpu"),
    "a budget below blue's": ({"PERFORMANCE_BUDGET": '{"p50": 0.9}'}, "p50 is 0.9, not a ratio above 1"),
    "a budget that is no number": ({"PERFORMANCE_BUDGET": '{"cpu": true}'}, "cpu is True, not a ratio above 1"),
    "a budget without an end": ({"PERFORMANCE_BUDGET": '{"cpu": 1e9}'}, "cpu is 1000000000.0, not a ratio above 1"),
    "no budget": ({"PERFORMANCE_BUDGET": "{}"}, "Gate performance has no criterion, since pilot_perf"),
    "no rate": ({"PERFORMANCE_RATE": "0"}, "pilot_performance_rate is '0', not a number of requests a second like 200"),
    "no path": ({"PERFORMANCE_PATHS": '["courses"]'}, "pilot_performance_paths has 'courses', which is not a path"),
    "no criterion, observed": (
        {"RUNTIME_FINDINGS": "[]", "GATE_RUNTIME": "observe"}, 'or set pilot_gate_runtime: "off"',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "words"), BAD.values(), ids=BAD)
def test_what_makes_no_sense_is_refused_by_name(given, words):
    given = {f"EDUHUB_{name}": value for name, value in given.items()}
    with pytest.raises(RefusedError) as refused:
        criteria(given, BARE if "nobody" in words or "bridge_smoke" in words else SPEC)
    assert words in refused.value.message
    # Nobody is kept from going back by a misspelt variable.
    assert for_verb(given, "rollback", SPEC).modes == {"smoke": "enforce"}


def test_pages_to_measure_are_those_of_the_smoke_gate_the_shipped_and_ones_own():
    own = criteria({"EDUHUB_PERFORMANCE_PATHS": '["/courses?n={number}", "/"]'}, SPEC).performance.paths
    assert own == ("/health", "/", *READS, "/courses?n={number}")
    assert criteria({"EDUHUB_GATE_CONTRACT": "off"}, BARE).performance.paths == ("/health",)


def test_a_budget_names_all_that_is_judged():
    assert criteria({"EDUHUB_PERFORMANCE_BUDGET": '{"p50": 1.2}'}, SPEC).performance.budget == {"p50": 1.2}


def test_a_gate_that_is_off_needs_no_criterion():
    given = {"EDUHUB_RUNTIME_FINDINGS": "[]", "EDUHUB_GATE_RUNTIME": "off"}
    assert criteria(given, SPEC).modes["runtime"] == "off"


def test_a_run_with_a_gate_that_cannot_judge_does_not_begin(live):
    live.settings.gates["EDUHUB_RUNTIME_FINDINGS"] = json.dumps([])
    before = live.store.state()
    with pytest.raises(RefusedError, match="Gate runtime has no criterion"):
        live.begin("run-2", "upgrade", python="3.11")
    assert (live.store.state(), live.store.lock()) == (before, None)
