"""What is said of two Pythons follows from their rounds and from the control."""

from __future__ import annotations

import pytest

from tests.bench import compare


def test_a_gain_beyond_the_control_is_one():
    found = compare.gain({"base": [125.0] * 6, "other": [100.0] * 6, "control": [126.0] * 6})
    assert (found["ratio"]["value"], found["finding"]) == (pytest.approx(1.25), "faster")


def test_a_gain_within_the_control_is_none():
    found = compare.gain({"base": [108.0] * 6, "other": [100.0] * 6, "control": [95.0] * 6})
    assert found["finding"] == "unresolved"


def test_two_rounds_find_nothing():
    found = compare.gain({"base": [200.0] * 2, "other": [100.0] * 2, "control": [200.0] * 2})
    assert found["finding"] == "too few rounds"


def test_times_and_added_are_round_by_round():
    assert compare.times([10.0, 40.0], [1.0, 4.0])["value"] == pytest.approx(10.0)
    assert compare.added([3.0, 13.0], [1.0, 11.0])["value"] == 2.0
    assert compare.medians({"base": [1.0, 5.0, 2.0]}) == {"base": 2.0}
