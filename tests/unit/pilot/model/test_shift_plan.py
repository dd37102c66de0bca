"""A plan is refused with a sentence before anything is touched, unless it can be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.settings import Settings, parse_settings
from eduhub_pilot.model.shift_plan import Limits, Plan, confirm_seconds, parse_plan, weight_at

NONSENSE = {
    "no list": ({"steps": 5}, "pilot_shift_steps is 5, not a list"),
    "a text": ({"steps": "[5, 25"}, r'pilot_shift_steps is "\[5, 25", not a list'),
    "empty": ({"steps": []}, "the last step must be 100"),
    "a truth": ({"steps": [True, 100]}, "holds true, instead of a whole number from 1 to 100 percent"),
    "a half": ({"steps": [0.5, 100]}, "holds 0.5, instead of a whole number from 1 to 100 percent"),
    "nothing for a step": ({"steps": [0, 100]}, "holds 0, instead of a whole number from 1 to 100 percent"),
    "more than all": ({"steps": [50, 110]}, "holds 110, instead of a whole number from 1 to 100 percent"),
    "going down": ({"steps": [25, 5, 100]}, "each step must be more than the one before"),
    "twice the same": ({"steps": [50, 50, 100]}, "each step must be more than the one before"),
    "not to the end": ({"steps": [5, 50]}, "the last step must be 100"),
    "limits as a list": ({"limits": [1]}, r"pilot_shift_limits is \[1\], not a mapping"),
    "a misspelt limit": ({"limits": {"errors_precent": 1}}, "'errors_precent'; did you mean errors_percent"),
    "a text for a limit": ({"limits": {"queue": "long"}}, 'queue is "long", not a number not below 1'),
    "a limit that is none": ({"limits": {"queue": float("nan")}}, "queue is NaN, not a number"),
    "a limit without end": ({"limits": {"queue": float("inf")}}, "queue is Infinity, not a number"),
    "a limit of four hundred digits": ({"limits": {"queue": int("9" * 400)}}, "queue is 9+..., not a number"),
    "a limit that always fails": ({"limits": {"slower": 0.5}}, "is 0.5, not a number not below 1 .times., like 1.5"),
    "no errors in a row": ({"limits": {"errors_in_a_row": 0}}, "is 0, not a number not below 1"),
    "more than all errors": ({"limits": {"errors_percent": 101}}, "is 101, not a number from 0 to 100 percent"),
    "negative": ({"limits": {"slower_seconds": -1}}, "is -1, not a number not below 0"),
}


def parsed(**given: Any) -> Settings:
    return parse_settings({f"pilot_{name}": value for name, value in given.items()}, Path("/state"), Path("/config"))


@pytest.mark.parametrize(("given", "words"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused_with_the_variable_to_correct(given, words):
    with pytest.raises(RefusedError, match=words) as refused:
        parsed(**{f"shift_{name}": value for name, value in given.items()})
    assert (refused.value.code, "in the inventory" in refused.value.message) == ("setting_invalid", True)


@pytest.mark.parametrize("name", ["watch", "confirm", "drain"])
def test_negative_seconds_are_refused(name):
    with pytest.raises(RefusedError, match=f"pilot_{name}_seconds is -1, not a number from"):
        parsed(**{f"{name}_seconds": -1})


def test_a_word_for_cutting_connections_is_one_of_two():
    with pytest.raises(RefusedError, match='pilot_drain_cut is "maybe", not one of allow, forbid'):
        parsed(drain_cut="maybe")


def test_what_the_inventory_leaves_out_has_a_default():
    plan = parsed(shift_limits={"queue": 7}, watch_seconds="2").plan
    assert plan == Plan((5, 25, 50, 100), 2, Limits(queue=7), "allow")


@pytest.mark.parametrize(
    ("name", "value"),
    [("confirm", 9), ("confirm", 86401), ("confirm", 1e12), ("lock", 4), ("lock", "1e12"), ("drain", 1e308),
     ("start", float("inf")), ("probe", float("nan")), ("watch", "soon")],
)  # fmt: skip
def test_times_that_mean_never_or_at_once_are_refused_by_their_variable(name, value):
    words = rf"pilot_{name}_seconds is .*, not a number from .* to 86400 seconds \(a day\), like .*: correct it in"
    with pytest.raises(RefusedError, match=words):
        parsed(**{f"{name}_seconds": value})


def test_an_address_that_is_none_is_refused_by_its_variable():
    with pytest.raises(RefusedError, match=r'pilot_edge_url is "ftp://x", which is no address like http://127.0.0.1:8080'):
        parsed(edge_url="ftp://x")


def test_what_is_wrong_with_a_gate_or_unknown_keeps_nobody_from_asking():
    settings = parsed(gate_smoke="nonsense", beauty="enforce", stack="two")
    assert (settings.stack, settings.gates) == ("two", {"pilot_gate_smoke": "nonsense", "pilot_beauty": "enforce"})


@given(st.sets(st.integers(1, 99)), st.integers(0, 100))
def test_a_step_never_goes_back_and_the_last_one_is_all(some, reached):
    steps = [*sorted(some), 100]
    ahead = parse_plan({"pilot_shift_steps": steps}).ahead(reached)
    assert ahead[-1] == 100
    assert list(ahead) == [step for step in steps if step >= reached]


def test_the_share_counts_for_green_and_against_blue():
    assert [weight_at("green", 25), weight_at("blue", 25), weight_at("green", weight_at("green", 5))] == [25, 75, 5]


@pytest.mark.parametrize("text", ["soon", "-5", "0", "9", "nan", "inf", "86401"])
def test_a_deadline_that_makes_no_sense_is_refused(text):
    with pytest.raises(RefusedError, match=r"--confirm-within is .* Nothing was changed"):
        confirm_seconds(text, 600)


def test_a_deadline_that_nobody_names_is_the_inventorys():
    assert (confirm_seconds("", 600), confirm_seconds("90", 600)) == (600, 90)
