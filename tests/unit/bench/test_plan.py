"""Parts are chosen by name, and quick is what it says."""

from __future__ import annotations

import pytest

from builder import Refusal
from tests.bench.plan import FULL, PARTS, QUICK, least_seconds, parts


@pytest.mark.parametrize(
    ("only", "expected"),
    [("", PARTS), ("latency", ("latency",)), ("plone, in-process", ("in-process", "plone")), (",", PARTS)],
)
def test_parts_come_in_their_order(only, expected):
    assert parts(only) == expected


def test_an_unknown_part_is_refused_with_the_choices():
    with pytest.raises(Refusal, match=r"'htp'.*in-process, http, latency, plone"):
        parts("htp")


def test_quick_is_about_a_minute_and_full_is_more():
    assert least_seconds(QUICK, PARTS) < 75 < 10 * 60 < least_seconds(FULL, PARTS)
