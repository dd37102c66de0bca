"""Whatever befalls Plone, the bridge says what happened, and readers of stored pages notice nothing.

It costs a bounded time and a bounded memory; once Plone answers again, the bridge does within five seconds.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from tests.bridge import stack
from tests.bridge.memory import MIB, Resident
from tests.bridge.wire import SLOW_SECONDS, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

PLONE_SECONDS = 1.0
SETTINGS = {
    "EDUHUB_PLONE_SECONDS": f"{PLONE_SECONDS:g}", "EDUHUB_PLONE_CONNECT_SECONDS": "1", "EDUHUB_PLONE_QUEUE": "8",
    "EDUHUB_PLONE_READ_WAIT_SECONDS": "1", "EDUHUB_PLONE_WRITE_WAIT_SECONDS": "1",
}  # fmt: skip
BACK_SECONDS = 5.0
# Then a stored page is no longer fresh, and Plone is asked whether it changed.
STALE_SECONDS = 1.1
# A reader waits a second for a new page before the old one does; the rest is for a busy machine.
READER_SECONDS = 2.0
GROWTH = 32 * MIB
# What is said of Plone to whoever asks for what is not stored.
TROUBLES = {
    "refused": (502, "Plone cannot be reached: connection refused."),
    "silent": (504, "Plone did not answer within 1 s."),
    "garbage": (502, "Plone answered with something that is not HTTP."),
    "flood": (502, "Plone answered with something that is not HTTP."),
    "reset": (502, "Plone closed the connection without an answer."),
}
# It was answered, soon: such a Plone is in no need of rest, and other addresses may be answered well.
NONSENSE = {"garbage", "flood"}
PAGE = "/plone/courses"


@pytest.fixture(scope="module")
def wire(classic) -> Iterator[Wire]:
    wire = Wire(int(classic.url.rpartition("/")[0].rpartition(":")[2]), stack.SITE)
    yield wire
    wire.close()


@pytest.fixture(scope="module", params=stack.PYTHONS, ids=lambda python: f"py{python}")
def before_the_wire(request, engine, classic, wire) -> Iterator[tuple[stack.Server, Resident, int]]:
    """A bridge, its memory, and how many bytes that was before any trouble."""
    wire.trouble = ""
    with stack.bridge(engine, stack.Server(wire.url, None, classic.admin), request.param, **SETTINGS) as server:
        memory = Resident(server.container)
        yield server, memory, memory.begin()


@pytest.fixture
def bridge(before_the_wire, wire) -> Iterator[stack.Server]:
    """A bridge that has the reader's page, before a Plone that is well."""
    wire.trouble = ""
    bridge, _, _ = before_the_wire
    back(bridge)
    assert bridge.ask("GET", PAGE).status_code == 200
    yield bridge
    wire.trouble = ""


def ask(bridge: stack.Server, method: str = "GET", path: str = PAGE) -> requests.Response:
    """Ask as somebody: for this no page is stored."""
    return bridge.ask(method, path, bridge.admin)


def said(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["detail"]


def back(bridge: stack.Server) -> float:
    """Return how long it takes until Plone's own answers come through again, at most some seconds too long."""
    started = time.monotonic()
    while ask(bridge).status_code != 200 and time.monotonic() < started + 2 * BACK_SECONDS:
        time.sleep(0.1)
    return time.monotonic() - started


def unharmed(bridge: stack.Server) -> None:
    """Assert that readers of a stored page get it, whole, and soon."""
    for _ in range(20):
        started = time.monotonic()
        answer = bridge.ask("GET", PAGE)
        assert answer.status_code == 200, answer.text
        assert answer.json()["title"] == "Courses"
        assert time.monotonic() - started < READER_SECONDS, answer.headers


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_plone_in_trouble_is_named_and_left_alone(bridge, wire, trouble):
    wire.trouble = trouble
    assert said(ask(bridge)) == TROUBLES[trouble]
    unharmed(bridge)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ask(bridge), range(8)))
    started = time.monotonic()
    refused = [ask(bridge) for _ in range(3)]
    if trouble in NONSENSE:
        assert [said(answer) for answer in refused] == [TROUBLES[trouble]] * 3
    else:
        # One attempt a second goes through; the others are told at once.
        left_alone = [answer for answer in refused if answer.status_code == 503]
        assert len(left_alone) >= 2
        assert {answer.headers["retry-after"] for answer in left_alone} == {"1"}
    assert time.monotonic() - started < PLONE_SECONDS + 1
    time.sleep(STALE_SECONDS)
    unharmed(bridge)
    wire.trouble = ""
    assert back(bridge) < BACK_SECONDS


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_write_that_fails_is_said_to_have_failed(bridge, wire, trouble):
    wire.trouble = trouble
    assert said(ask(bridge, "POST")) == TROUBLES[trouble]
    if trouble == "refused":  # the others may have been carried out: after those no page is good any more
        unharmed(bridge)


def test_a_slow_plone_slows_only_those_who_need_it(bridge, wire):
    wire.trouble = "slow"
    started = time.monotonic()
    assert ask(bridge).status_code == 200
    assert SLOW_SECONDS <= time.monotonic() - started < SLOW_SECONDS + READER_SECONDS
    unharmed(bridge)
    time.sleep(STALE_SECONDS)
    unharmed(bridge)


def test_an_answer_that_breaks_off_is_no_success(bridge, wire):
    wire.trouble = "cut"
    with pytest.raises(requests.exceptions.RequestException):
        ask(bridge)
    time.sleep(STALE_SECONDS)
    unharmed(bridge)
    wire.trouble = ""
    assert back(bridge) < BACK_SECONDS


def test_a_full_queue_turns_away_at_once(bridge, wire):
    wire.trouble = "silent"
    started = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        took = list(pool.map(lambda _: (ask(bridge), time.monotonic() - started), range(40)))
    refused = [(answer, seconds) for answer, seconds in took if "wait for Plone already" in answer.text]
    # Four are with Plone and eight wait.
    assert len(refused) >= 28
    assert {(answer.status_code, answer.headers["retry-after"].isdigit()) for answer, _ in refused} == {(503, True)}
    assert max(seconds for _, seconds in took) < 2 * PLONE_SECONDS + 2
    assert {answer.status_code for answer, _ in took} == {503, 504}
    unharmed(bridge)
    wire.trouble = ""
    assert back(bridge) < BACK_SECONDS


def test_a_paused_plone_is_missed_and_comes_back(bridge, classic):
    classic.container.pause()
    try:
        assert said(ask(bridge)) == TROUBLES["silent"]
        unharmed(bridge)
    finally:
        classic.container.unpause()
    assert back(bridge) < BACK_SECONDS


def test_all_that_took_little_memory(before_the_wire):
    _, memory, before = before_the_wire
    assert memory.peak - before < GROWTH


def test_a_plone_that_is_restarted_is_missed_by_no_reader_and_found_again(sides, classic):
    bridges = sides.bridges.values()
    assert {bridge.ask("GET", PAGE).status_code for bridge in bridges} == {200}
    classic.container.stop(timeout=20)
    try:
        for bridge in bridges:
            assert said(ask(bridge)) == TROUBLES["refused"]
            unharmed(bridge)
    finally:
        classic.container.start()
    until = time.monotonic() + stack.PLONE_SECONDS
    while not _answers(classic):
        assert time.monotonic() < until, classic.log[-2000:]
        time.sleep(0.1)
    with ThreadPoolExecutor(len(bridges)) as pool:
        assert max(pool.map(back, bridges)) < BACK_SECONDS
    sides.close()  # the connections to the Plone that was


def _answers(plone: stack.Server) -> bool:
    try:
        return plone.ask("GET", "/courses").status_code == 200
    except requests.ConnectionError:
        return False
