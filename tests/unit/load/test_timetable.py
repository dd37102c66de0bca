"""The scenario is the same every time, and all of it happens all the time."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.load.timetable import CIRCLE, timetable

PAGES = ("/courses/a", "/courses/b")


@given(some.integers(0, 500))
def test_a_user_logs_in_before_handing_in(user):
    steps = timetable(user, 1.0, 60.0, PAGES)
    assert steps == timetable(user, 1.0, 60.0, PAGES)
    actions = [step.action for step in steps]
    assert "submit" not in actions or "log in" in actions[: actions.index("submit")]
    assert [step.due for step in steps] == sorted(step.due for step in steps)
    assert all(0 < step.due < 60 for step in steps)


def test_users_do_everything_all_the_time_in_the_stated_shares():
    steps = [step for user in range(200) for step in timetable(user, 5.0, 60.0, PAGES)]
    assert len(steps) == pytest.approx(200 * 60 / 5, rel=0.1)
    for begin in (0, 50):
        some_seconds = [step for step in steps if begin <= step.due < begin + 10]
        assert {step.action for step in some_seconds} == set(CIRCLE)
    shares = Counter(step.action for step in steps)
    assert shares["browse"] / len(steps) == pytest.approx(0.8, abs=0.03)
    assert {step.what for step in steps if step.action == "browse"} == set(PAGES)
