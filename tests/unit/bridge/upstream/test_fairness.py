"""One client holds neither all places at Plone nor the queue; jobs let people pass."""

from __future__ import annotations

import asyncio
import time

import pytest

from eduhub_bridge import settings
from eduhub_bridge.cache.anonymous import AnonymousReads, Target
from eduhub_bridge.patterns.lane import TOGETHER_TIMES
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream import fairness, limits
from tests.unit.bridge.helpers import USER, is_problem, metric, send, until
from tests.unit.bridge.process import read_answer
from tests.unit.bridge.restapi import basic

HOG, OTHER = "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 198.51.100.9"


def waiting(bridge):
    return metric(bridge, "eduhub_bridge_plone_queue", lane="reads")


@pytest.mark.slow
@pytest.mark.parametrize("fields", [(USER,), ()], ids=["with a credential", "anonymous"])
def test_who_sends_three_hundred_slow_reads_keeps_no_other_client_from_reading(start, plone, fields):
    bridge = start(plone.url)
    hog = [send(bridge, f"/plone/wait?{number}", HOG, *fields) for number in range(300)]
    until(lambda: waiting(bridge) == 256)
    until(lambda: metric(bridge, "eduhub_bridge_plone_errors_total", kind="queue_full") == 41)
    assert metric(bridge, "eduhub_bridge_plone_in_flight", lane="reads") == 3  # one place is kept for others
    assert bridge.get("/plone/x", OTHER, *fields).body == b"hello"
    assert waiting(bridge) == 256
    plone.release.set()
    statuses = [read_answer(each).status for each in hog]
    assert (statuses.count(200), statuses.count(503)) == (259, 41)


@pytest.mark.slow
def test_in_a_full_queue_the_newest_of_the_longest_gives_way(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", EDUHUB_PLONE_QUEUE="2", EDUHUB_PLONE_READ_WAIT_SECONDS="60")
    first = send(bridge, "/plone/wait", HOG)
    until(lambda: plone.seen)
    older = send(bridge, "/plone/wait?2", HOG)
    until(lambda: waiting(bridge) == 1)
    newest = send(bridge, "/plone/wait?3", HOG)
    until(lambda: waiting(bridge) == 2)
    other = send(bridge, "/plone/wait?4", OTHER)
    refused = read_answer(newest)
    detail = is_problem(refused, 503)
    assert detail == "The queue for Plone is full, and this client has more requests in it than others."
    assert refused.field("retry-after") == ["60"]
    plone.release.set()
    assert [read_answer(each).body for each in (first, older, other)] == [b"late"] * 3


@pytest.mark.slow
def test_a_page_that_another_client_waits_for_too_comes_in_the_turn_of_that_one(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", EDUHUB_PLONE_READ_WAIT_SECONDS="60")
    hog = [send(bridge, "/plone/wait", HOG)]
    until(lambda: plone.seen)
    for number in range(5):
        hog.append(send(bridge, f"/plone/x?{number}", HOG))
        until(lambda number=number: waiting(bridge) == number + 1)
    hog.append(send(bridge, "/plone/page", HOG))
    until(lambda: waiting(bridge) == 6)
    other = send(bridge, "/plone/page", OTHER)
    until(lambda: metric(bridge, "eduhub_bridge_cache_total", result="collapsed") == 1)
    assert waiting(bridge) == 6
    plone.release.set()
    for each in (*hog, other):
        assert read_answer(each).status == 200
    targets = [seen.target.rpartition("/")[2] for seen in plone.seen]
    assert targets.index("page") <= 2
    assert targets.count("page") == 1


@pytest.mark.slow
def test_a_reader_is_not_refused_for_who_asked_first_and_has_too_many_in_the_queue(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", EDUHUB_PLONE_QUEUE="3", EDUHUB_PLONE_READ_WAIT_SECONDS="60")
    sent = [send(bridge, "/plone/wait", HOG)]
    until(lambda: plone.seen)
    for number, target in enumerate(("1", "2", "page"), start=1):
        sent.append(send(bridge, f"/plone/x/{target}", HOG))
        until(lambda number=number: waiting(bridge) == number)
    friend = send(bridge, "/plone/x/page", OTHER)
    until(lambda: metric(bridge, "eduhub_bridge_cache_total", result="collapsed") == 1)
    third = send(bridge, "/plone/x/3", "X-Forwarded-For: 192.0.2.1")
    assert [read_answer(sent.pop()).status for _ in range(2)] == [503, 503]
    plone.release.set()
    assert [read_answer(each).status for each in (*sent, friend, third)] == [200] * 4


@pytest.mark.slow
def test_a_reader_is_not_refused_because_who_asked_first_has_waited_its_time(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", EDUHUB_PLONE_READ_WAIT_SECONDS="4")
    send(bridge, "/plone/wait", HOG)
    until(lambda: plone.seen)
    send(bridge, "/plone/page", HOG)
    until(lambda: waiting(bridge) == 1)
    began = time.monotonic()
    time.sleep(2.5)
    # Plone answers others meanwhile: it does not hang.
    assert bridge.get("/plone/@login", "Content-Length: 0", method="POST").status == 200
    late = send(bridge, "/plone/page", OTHER)
    until(lambda: metric(bridge, "eduhub_bridge_cache_total", result="collapsed") == 1)
    time.sleep(max(0.0, began + 4.3 - time.monotonic()))
    plone.release.set()
    assert read_answer(late).status == 200


@pytest.mark.slow
def test_who_reads_long_answers_slowly_leaves_some_of_their_places_to_others(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", EDUHUB_PLONE_CONNECTIONS="6")
    slow = [send(bridge, "/plone/endless", USER, HOG) for _ in range(3)]
    until(lambda: metric(bridge, "eduhub_bridge_plone_in_flight", lane="transfers") == 3)
    refused = bridge.get("/plone/endless", USER, HOG)
    assert "Too many long answers are on their way to this client already" in is_problem(refused, 503)
    assert refused.field("retry-after")
    slow.append(send(bridge, "/plone/endless", USER, OTHER))
    until(lambda: metric(bridge, "eduhub_bridge_plone_in_flight", lane="transfers") == 4)
    for each in slow:
        each.close()


@pytest.mark.slow
def test_many_invented_credentials_of_a_listener_are_confirmed_in_the_turns_of_its_address(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", EDUHUB_PLONE_READ_WAIT_SECONDS="60")
    sent = [send(bridge, "/plone/wait", HOG)]
    until(lambda: plone.seen)
    for number in range(6):
        address, user = (OTHER, "ada") if number == 5 else (HOG, f"mallory{number}")
        sent.append(send(bridge, "/api/v1/events", address, f"Authorization: {basic(user)}"))
        until(lambda number=number: waiting(bridge) == number + 1)
    assert metric(bridge, "eduhub_bridge_plone_queue_background", lane="reads") == 6
    plone.release.set()
    until(lambda: len(plone.seen) == 7)
    asked = [seen.target.rpartition("/")[2] for seen in plone.seen]
    assert asked.index("ada") <= 2, asked
    for each in sent:
        each.close()


def place(below):
    return f"/Plone/VirtualHostRoot/_vh_plone/{below}"


@pytest.fixture
async def upstream(plone):
    told = settings.read({"PLONE_URL": plone.url, "EDUHUB_PORT": "1", "EDUHUB_PLONE_READS": "1"})
    upstream = limits.Upstream(told, Metrics())
    await upstream.open()
    yield upstream
    await upstream.close()


async def lines_up(upstream, waiting, *request, **more):
    """Send a request that has to wait; return it when so many do."""
    task = asyncio.create_task(upstream.fetch(*request, [], **more))
    await asyncio.to_thread(until, lambda: upstream._reads.waiting == waiting)
    return task


async def told(*answers):
    for answer in answers:
        await (await asyncio.wait_for(answer, 60)).read()


async def test_readers_of_one_page_wait_three_times_as_long_as_one_at_most_also_where_they_ask_anew(
    upstream, monkeypatch
):
    loop, now, waits = asyncio.get_running_loop(), asyncio.get_running_loop().time(), []
    monkeypatch.setattr(loop, "time", lambda: now)
    reads = AnonymousReads(upstream._settings, upstream, Metrics(), lambda _: Target(place("page"), []))
    scope = {"query_string": b"", "raw_path": b"/plone/page", "scheme": "http", "headers": []}

    async def read():
        begun = now
        with pytest.raises(limits.UpstreamError):
            await reads.fetch(reads.asked(scope), scope)
        waits.append(now - begun)

    busy, sent = await upstream._reads.enter(), []
    while len(waits) < len(sent) or not sent:
        if len(sent) < 100:
            sent.append(asyncio.create_task(read()))
        for _ in range(10):
            await asyncio.sleep(0)
        now += upstream._settings.plone_read_wait_seconds / 20
    busy.free()
    longest = max(waits) / upstream._settings.plone_read_wait_seconds
    assert 2 < longest < TOGETHER_TIMES + 0.01


async def test_a_read_of_a_job_comes_after_those_of_people(upstream, plone):
    first = asyncio.create_task(upstream.fetch("GET", place("wait"), []))
    await asyncio.to_thread(until, lambda: plone.seen)
    job = await lines_up(upstream, 1, "GET", place("job"), background=True)
    people = [await lines_up(upstream, 2 + number, "GET", place("x")) for number in range(3)]
    plone.release.set()
    await told(first, job, *people)
    assert [seen.target.rpartition("/")[2] for seen in plone.seen] == ["wait", "x", "x", "x", "job"]


@pytest.mark.parametrize("patience", [60.0, 0.0], ids=["until none waits", "but not for ever"])
async def test_a_job_writes_later_while_people_wait_to_read(upstream, plone, monkeypatch, patience):
    monkeypatch.setattr(limits, "_YIELD_SECONDS", patience)
    reading = asyncio.create_task(upstream.fetch("GET", place("wait"), []))
    await asyncio.to_thread(until, lambda: plone.seen)
    waiting = await lines_up(upstream, 1, "GET", place("x"))
    job = asyncio.create_task(upstream.fetch("POST", place("job"), [], b"", background=True))
    if patience:
        await told(asyncio.create_task(upstream.fetch("POST", place("person"), [], b"")))
    else:
        await told(job)
    methods = [seen.method for seen in plone.seen]
    assert (methods, job.done(), waiting.done()) == (["GET", "POST"], not patience, False)
    plone.release.set()
    await told(reading, waiting, job)
    assert sorted(seen.method for seen in plone.seen) == ["GET", "GET", *["POST"] * (2 if patience else 1)]


async def test_jobs_do_not_yield_to_each_other(upstream, plone, monkeypatch):
    monkeypatch.setattr(limits, "_YIELD_SECONDS", 3600.0)
    reading = asyncio.create_task(upstream.fetch("GET", place("wait"), [], background=True))
    await asyncio.to_thread(until, lambda: plone.seen)
    waiting = await lines_up(upstream, 1, "GET", place("x"), background=True)
    await told(asyncio.create_task(upstream.fetch("POST", place("job"), [], b"", background=True)))
    plone.release.set()
    await told(reading, waiting)


def test_a_client_is_its_address_and_inside_of_that_its_credential():
    address = ("x-forwarded-for", "203.0.113.7")
    ada, bob = ("authorization", "Bearer ada"), ("cookie", 'a=b; __ac="bob"; c=d')
    names = [fairness.client([address, *more]) for more in ([], [ada], [bob], [ada, bob])]
    assert {name for name, _ in names} == {"203.0.113.7"}
    assert len({user for _, user in names}) == 4
    assert names[0][1] == ""
    assert fairness.client([address, ("cookie", 'c=other; __ac="bob"')]) == names[2]
    assert not any("ada" in user or "bob" in user for _, user in names)


@pytest.mark.parametrize("told", ["127.0.0.1", "::1", ""])
def test_the_host_itself_and_who_is_not_the_public_has_no_share(told):
    assert fairness.client([("x-forwarded-for", told)]) == ("", "")
