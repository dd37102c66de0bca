"""A caller of Upstream may be called off at any time: what Plone has begun keeps its place until Plone is done."""

from __future__ import annotations

import asyncio

import pytest

from eduhub_bridge import settings
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream.limits import Upstream
from tests.unit.bridge.helpers import until


@pytest.fixture
async def upstream(plone):
    told = settings.read({"PLONE_URL": plone.url, "EDUHUB_PORT": "1", "EDUHUB_PLONE_READS": "1"})
    upstream = Upstream(told, Metrics())
    await upstream.open()
    yield upstream
    await upstream.close()


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
