"""The scenario is the same every time, all of it happens, and what Plone is asked is HAProxy's own count."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.bench import VoidError, cpu
from tests.bench.scenario import CIRCLE, timetable
from tests.bench.site import requests_in

PAGES = ("/courses/a", "/courses/b")


@given(some.integers(0, 500))
def test_nobody_hands_in_before_logging_in(user):
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


def test_haproxys_count_of_requests_is_read():
    text = "# pxname,svname,stot,req_tot\ndoor,FRONTEND,3,17\nbehind,one,4,\nbehind,BACKEND,4,\n\n"
    assert requests_in(text) == 17
    with pytest.raises(VoidError, match="HAProxy"):
        requests_in("# pxname,svname,stot,req_tot\nbehind,one,4,\n")


def test_cpu_time_of_another_process_is_its_own():
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    work = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 0.2 <= cpu.seconds(child.pid) < 1.0
        child.communicate(b"\n")


def test_cpu_time_of_nobody_is_an_error():
    with pytest.raises(ProcessLookupError):
        cpu.seconds(2**22 + 1)
