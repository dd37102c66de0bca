"""Parts are chosen by name, and quick is what it says."""

from __future__ import annotations

import pytest

from builder import Refusal
from tests.bench.plan import FULL, PARTS, QUICK, about_seconds, chosen_plan, parts


@pytest.mark.parametrize(
    ("only", "expected"),
    [("", PARTS), ("latency", ("latency",)), ("plone, in-process", ("in-process", "plone")), (",", PARTS)],
)
def test_parts_come_in_their_order(only, expected):
    assert parts(only) == expected


def test_an_unknown_part_is_refused_with_the_choices():
    with pytest.raises(Refusal, match=r"'htp'.*in-process, http, latency, plone"):
        parts("htp")


def test_rounds_can_be_asked_for():
    assert (chosen_plan(False, "").rounds, chosen_plan(True, "").rounds, chosen_plan(True, "5").rounds) == (11, 2, 5)
    assert chosen_plan(True, "5").quick


@pytest.mark.parametrize("rounds", ["0", "-1", "100", "many", "1.5"])
def test_a_number_of_rounds_that_is_none_is_refused(rounds):
    with pytest.raises(Refusal, match="from 1 to 99"):
        chosen_plan(False, rounds)


def test_quick_is_about_a_minute_and_a_half_and_full_is_more():
    assert about_seconds(QUICK, PARTS) < 95 < 10 * 60 < about_seconds(FULL, PARTS)
