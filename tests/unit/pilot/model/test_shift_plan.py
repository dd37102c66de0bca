"""A plan is refused with a sentence before anything is touched, unless it can be meant."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.settings import from_environment
from eduhub_pilot.model.shift_plan import STEPS, Limits, Plan, confirm_seconds, parse_plan, weight_at

NONSENSE = {
    "no list": ({"STEPS": "5"}, "pilot_shift_steps is 5, not a list of whole numbers"),
    "no JSON": ({"STEPS": "[5, 25"}, r"pilot_shift_steps is '\[5, 25', which is not valid JSON"),
    "empty": ({"STEPS": "[]"}, "not a list of whole numbers like"),
    "a truth": ({"STEPS": "[true, 100]"}, "not a list of whole numbers like"),
    "a half": ({"STEPS": "[0.5, 100]"}, "not a list of whole numbers like"),
    "nothing for a step": ({"STEPS": "[0, 100]"}, "a step is a percentage from 1 to 100"),
    "more than all": ({"STEPS": "[50, 110]"}, "a step is a percentage from 1 to 100"),
    "going down": ({"STEPS": "[25, 5, 100]"}, "each step must be more than the one before"),
    "twice the same": ({"STEPS": "[50, 50, 100]"}, "each step must be more than the one before"),
    "not to the end": ({"STEPS": "[5, 50]"}, "the last step must be 100"),
    "limits as a list": ({"LIMITS": "[1]"}, "pilot_shift_limits is .*, not a mapping"),
    "a misspelt limit": ({"LIMITS": '{"errors_precent": 1}'}, "'errors_precent'; did you mean errors_percent"),
    "a text for a limit": ({"LIMITS": '{"queue": "long"}'}, 'queue is "long", not a number'),
    "a limit that is none": ({"LIMITS": '{"queue": NaN}'}, "queue is NaN, not a number"),
    "a limit of four hundred digits": ({"LIMITS": f'{{"queue": {"9" * 400}}}'}, "queue is 9+, not a number"),
    "a limit that always fails": ({"LIMITS": '{"slower": 0.5}'}, "a limit below 1 would fail a slot that is as fast"),
    "no errors in a row": ({"LIMITS": '{"errors_in_a_row": 0}'}, "must be at least 1"),
    "more than all errors": ({"LIMITS": '{"errors_percent": 101}'}, "not a percentage"),
    "negative": ({"LIMITS": '{"slower_seconds": -1}'}, "must not be negative"),
}


@pytest.mark.parametrize(("given", "words"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused_with_the_variable_to_correct(given, words):
    environment = {f"EDUHUB_SHIFT_{name}": value for name, value in given.items()}
    with pytest.raises(RefusedError, match=words) as refused:
        from_environment(environment)
    assert (refused.value.code, "in the inventory" in refused.value.message) == ("setting_invalid", True)


@pytest.mark.parametrize("name", ["WATCH", "CONFIRM", "DRAIN"])
def test_negative_seconds_are_refused(name):
    with pytest.raises(RefusedError, match=rf"EDUHUB_{name}_SECONDS is '-1'.*pilot_{name.lower()}_seconds"):
        from_environment({f"EDUHUB_{name}_SECONDS": "-1"})


def test_a_word_for_cutting_connections_is_one_of_two():
    with pytest.raises(RefusedError, match="pilot_drain_cut is 'maybe', neither allow nor forbid"):
        from_environment({"EDUHUB_DRAIN_CUT": "maybe"})


def test_what_the_inventory_leaves_out_has_a_default():
    plan = from_environment({"EDUHUB_SHIFT_LIMITS": '{"queue": 7}', "EDUHUB_WATCH_SECONDS": "2"}).plan
    assert plan == Plan(STEPS, 2, Limits(queue=7), "allow")


@pytest.mark.parametrize(
    ("name", "value"),
    [("CONFIRM", "9"), ("CONFIRM", "86401"), ("CONFIRM", "1e12"), ("LOCK", "4"), ("LOCK", "1e12"), ("DRAIN", "1e308"),
     ("START", "inf"), ("PROBE", "nan"), ("WATCH", "soon")],
)  # fmt: skip
def test_times_that_mean_never_or_at_once_are_refused_by_their_variable(name, value):
    words = rf"EDUHUB_{name}_SECONDS is '{value}', not .* to 86400 \(a day\).*pilot_{name.lower()}_seconds"
    with pytest.raises(RefusedError, match=words):
        from_environment({f"EDUHUB_{name}_SECONDS": value})


@given(st.sets(st.integers(1, 99)), st.integers(0, 100))
def test_a_step_never_goes_back_and_the_last_one_is_all(some, reached):
    steps = [*sorted(some), 100]
    ahead = parse_plan(json.dumps(steps), 1, "{}", "allow").ahead(reached)
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
