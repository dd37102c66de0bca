"""A rotation leaves nothing out for good: within a few days every case has run."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.rotation import of_the_day

CASES = ["a", "b", "c", "d", "e"]
FIRST = date(2026, 1, 30)


@pytest.mark.parametrize(("count", "days"), [(1, 5), (2, 3), (4, 2)])
def test_every_case_has_its_day_and_a_day_has_its_count(count, days):
    chosen = [of_the_day(CASES, count, FIRST + timedelta(days=day)) for day in range(days)]
    assert [len(set(each)) for each in chosen] == [count] * days
    assert {case for each in chosen for case in each} == set(CASES)


def test_a_short_list_runs_whole():
    assert of_the_day(CASES, 9) == CASES


pytest_plugins = ["pytester"]

PAGE = """
import pytest

@pytest.mark.parametrize("case", range(5))
@pytest.mark.rotates(2)
def test_cases(case): ...

def test_always(): ...
"""


@pytest.mark.parametrize(("asked", "ran"), [("", 3), ("all", 6)])
def test_a_marked_test_runs_the_cases_of_the_day(pytester, monkeypatch, asked, ran):
    monkeypatch.setenv("EDUHUB_TESTS", asked)
    pytester.makeconftest("from tests.conftest import pytest_collection_modifyitems, pytest_configure")
    pytester.makepyfile(PAGE)
    pytester.runpytest("-p", "no:xdist").assert_outcomes(passed=ran, deselected=6 - ran)


STORY = """
import pytest
pytestmark = [pytest.mark.rotates(2, by="stories"), *{more}]

@pytest.mark.parametrize("case", range(3))
def test_one(case): ...
"""


@pytest.mark.parametrize(("asked", "ran"), [("", 2), ("all", 9)])
def test_of_the_stories_the_modules_of_the_day_run_and_of_those_what_else_is_chosen(pytester, monkeypatch, asked, ran):
    monkeypatch.setenv("EDUHUB_TESTS", asked)
    pytester.makeconftest("from tests.conftest import pytest_collection_modifyitems, pytest_configure")
    more = '[pytest.mark.rotates(1, by="module")]'
    pytester.makepyfile(**{f"test_{name}": STORY.format(more=more) for name in ("one", "two", "three")})
    pytester.runpytest("-p", "no:xdist").assert_outcomes(passed=ran, deselected=9 - ran)
