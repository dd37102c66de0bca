"""The bulk runner is bounded, streams, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from eduhub_bridge.patterns.bulk import bulk


class Source:
    """Counts what was taken, and says whether it was closed."""

    def __init__(self, size: int) -> None:
        self.size, self.taken, self.closed = size, 0, False

    async def pieces(self):
        try:
            for number in range(self.size):
                self.taken += 1
                yield number
        finally:
            self.closed = True


async def test_every_piece_has_its_result_and_no_more_than_the_limit_are_in_work():
    working = most = 0

    async def work(number):
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.001 * (number % 3))
        working -= 1
        return number * 2

    results = [result async for result in bulk(Source(50).pieces(), work, 4)]
    assert sorted(results) == [number * 2 for number in range(50)]
    assert most == 4


async def test_one_at_a_time_keeps_the_order():
    async def work(number):
        await asyncio.sleep(0.001 * (3 - number % 3))
        return number

    assert [result async for result in bulk(Source(10).pieces(), work, 1)] == list(range(10))


async def test_a_result_does_not_wait_for_a_slow_source():
    never = asyncio.Event()

    async def source():
        yield 1
        await never.wait()

    async def work(number):
        return number

    results = bulk(source(), work, 2)
    assert await asyncio.wait_for(results.__anext__(), 60) == 1
    await results.aclose()


async def test_a_slow_caller_stops_the_taking():
    source = Source(1000)

    async def work(number):
        return number

    results = bulk(source.pieces(), work, 3)
    await results.__anext__()
    await asyncio.sleep(0.02)
    assert source.taken <= 4
    await results.aclose()


async def test_a_failure_ends_it_cancels_the_others_and_closes_the_source():
    source, cancelled = Source(100), []

    async def work(number):
        if number == 2:
            raise ValueError(number)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(ValueError, match="2"):
        async for _ in bulk(source.pieces(), work, 3):
            pass
    assert (sorted(cancelled), source.closed) == ([0, 1], True)


async def test_a_caller_that_leaves_or_is_cancelled_leaves_nothing_running():
    source = Source(100)

    async def work(_):
        await asyncio.sleep(10)

    async def consume():
        async for _ in bulk(source.pieces(), work, 3):
            pass

    before = asyncio.all_tasks()
    task = asyncio.create_task(consume())
    await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert source.closed
    assert asyncio.all_tasks() == before


async def test_no_limit_is_a_mistake():
    with pytest.raises(ValueError, match="limit is 0"):
        async for _ in bulk(Source(1).pieces(), asyncio.sleep, 0):
            pass
