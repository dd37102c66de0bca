"""A caller of Upstream may be called off at any time: what Plone has begun keeps its place until Plone is done."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from eduhub_bridge import settings
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream.limits import Upstream, UpstreamError
from tests.unit.bridge.fake_plone import Plone
from tests.unit.bridge.helpers import until


@asynccontextmanager
async def opened(plone, **told):
    upstream = Upstream(settings.read({"PLONE_URL": plone.url, "EDUHUB_PORT": "1", **told}), Metrics())
    await upstream.open()
    yield upstream
    await upstream.close()


@pytest.fixture
async def upstream(plone):
    async with opened(plone, EDUHUB_PLONE_READS="1") as upstream:
        yield upstream


def place(below):
    return f"/Plone/VirtualHostRoot/_vh_plone/{below}"


async def seen(plone, count):
    await asyncio.to_thread(until, lambda: len(plone.seen) >= count)


@pytest.mark.parametrize(("method", "writes"), [("GET", False), ("POST", True)])
async def test_called_off_while_plone_works(upstream, plone, method, writes):
    before = upstream.writes
    asking = asyncio.create_task(upstream.fetch(method, place("wait"), [], None))
    await seen(plone, 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    following = asyncio.create_task(upstream.fetch(method, place("x"), [], None))
    await asyncio.sleep(0.05)
    assert (len(plone.seen), upstream.writes) == (1, before)
    plone.release.set()
    answer = await asyncio.wait_for(following, 60)
    assert (await answer.read(), upstream.writes != before) == (b"hello", writes)
    assert plone.most[method] == 1


async def test_called_off_while_it_sends_a_long_body(upstream, plone):
    async def body():
        yield b"x" * 100_000
        await asyncio.sleep(60)

    fields = [("content-length", "200000")]
    before = upstream.writes
    asking = asyncio.create_task(upstream.fetch("PUT", place("digest"), fields, body()))
    await seen(plone, 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.05)
    assert upstream.writes == before  # the one that never ended was none
    answer = await asyncio.wait_for(upstream.fetch("POST", place("x"), [], b""), 60)
    assert (await answer.read(), upstream.writes != before) == (b"hello", True)


async def test_a_body_in_bytes_is_sent_as_it_is(upstream, plone):
    answer = await upstream.fetch("POST", place("digest"), [("content-length", "3")], b"abc")
    answer.close()
    assert plone.seen[0].body == b"abc"


async def test_closing_waits_for_nobody(upstream, plone):
    asking = asyncio.create_task(upstream.fetch("GET", place("wait"), [], None))
    await seen(plone, 1)
    asking.cancel()
    await asyncio.wait_for(upstream.close(), 30)
    plone.release.set()


@pytest.fixture
async def hasty(plone):
    """An upstream that waits for a moment only."""
    async with opened(plone, EDUHUB_PLONE_SECONDS="0.2") as upstream:
        yield upstream


async def outlasted(upstream, plone, method="POST"):
    """Let a request take longer than the bridge waits for it; return what Upstream.writes is then."""
    with pytest.raises(UpstreamError) as late:
        await upstream.fetch(method, place("wait"), [], None)
    assert (late.value.kind, len(plone.seen)) == ("timeout", 1)
    return upstream.writes


@pytest.mark.parametrize("body", [None, b"x", b"x" * 100_000])
async def test_what_is_read_while_plone_is_still_at_a_write_is_old_when_it_ends(hasty, plone, body):
    before = hasty.writes
    with pytest.raises(UpstreamError):
        await hasty.fetch("POST", place("wait"), [("content-length", str(len(body or b"")))], body)
    during = hasty.writes
    answer = await hasty.fetch("POST", place("refused"), [], b"")  # the next one does not wait for it
    await answer.read()
    await asyncio.sleep(0.3)
    assert (hasty.writes, during != before) == (during, True)
    plone.release.set()
    await asyncio.to_thread(until, lambda: hasty.writes != during)


async def test_a_plone_that_ends_with_the_write_that_it_was_at_is_noticed(plone_of_its_own):
    plone, upstream = plone_of_its_own
    during = await outlasted(upstream, plone)
    plone.stop()
    await asyncio.to_thread(until, lambda: upstream.writes != during)


async def test_a_read_that_took_too_long_ends_no_page(hasty, plone):
    during = await outlasted(hasty, plone, "GET")
    plone.release.set()
    await asyncio.sleep(0.1)
    assert hasty.writes == during


async def test_a_write_that_is_still_going_on_keeps_nothing_from_closing(hasty, plone):
    during = await outlasted(hasty, plone)
    await asyncio.wait_for(hasty.close(), 30)
    assert hasty.writes != during


@pytest.fixture
async def plone_of_its_own():
    plone = Plone().start()
    told = settings.read({"PLONE_URL": plone.url, "EDUHUB_PORT": "1", "EDUHUB_PLONE_SECONDS": "0.2"})
    upstream = Upstream(told, Metrics())
    await upstream.open()
    yield plone, upstream
    await upstream.close()
    if plone.running:
        plone.stop()
