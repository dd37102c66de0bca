"""An allowance names what it allows and its last day, or is refused by name."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_pilot.gates.contract.allow_list import Allowance, allowance, fits, parse_allowed
from eduhub_pilot.model.errors import RefusedError

DAY = date(2026, 6, 1)


def test_an_entry_says_what_where_until_and_why():
    (entry,) = parse_allowed([{"path": "/a*", "where": "body.x", "until": "2026-12-31", "why": "ticket 4"}], "v")
    assert entry == Allowance("/a*", "body.x", date(2026, 12, 31), "ticket 4")
    asked = [("/abc", "body.x"), ("/abc", "body.y"), ("/b", "body.x")]
    assert [entry.fits(path, where) for path, where in asked] == [True, False, False]


def test_brackets_are_those_of_rows_and_nothing_of_a_shells():
    assert [fits("body.a[*].b", where) for where in ("body.a[*].b", "body.a[7].b", "body.a*.b")] == [True, True, False]


@given(st.text(st.characters(exclude_characters="*?")))
def test_a_pattern_without_wildcards_fits_itself_and_nothing_longer(text):
    assert (fits(text, text), fits(text, text + "x")) == (True, False)


def test_without_a_place_it_is_every_place():
    (entry,) = parse_allowed([{"path": "/a", "until": DAY.isoformat()}], "v")
    assert entry.fits("/a", "anything")


BAD = {
    "no list": ({"path": "/a"}, "v is {'path': '/a'}, not a list"),
    "a text": (["/a"], "'/a' names no path"),
    "no path": ([{"until": "2026-01-01"}], "names no path"),
    "no day": ([{"path": "/a"}], "the one for '/a' has None as its last day. A difference is allowed for a time"),
    "no such day": ([{"path": "/a", "until": "2026-02-30"}], "has '2026-02-30' as its last day"),
    "a misspelt field": ([{"path": "/a", "untill": "2026-01-01"}], "it has no 'untill'"),
}


@pytest.mark.parametrize(("entries", "words"), BAD.values(), ids=BAD)
def test_an_entry_that_makes_no_sense_is_refused(entries, words):
    with pytest.raises(RefusedError) as refused:
        parse_allowed(entries, "v")
    assert words in refused.value.message


@given(st.lists(st.integers(-9, 9), min_size=1))
def test_of_several_the_one_that_still_counts_is_taken(days):
    entries = [Allowance("*", "*", DAY + timedelta(offset), "") for offset in days]
    found = allowance(entries, "/a", "x", DAY)
    assert (found.until >= DAY) == any(offset >= 0 for offset in days)
    assert allowance(entries, "/a", "x", DAY + timedelta(10)).until < DAY + timedelta(10)
    assert allowance([], "/a", "x", DAY) is None
