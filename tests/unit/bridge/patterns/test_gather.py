"""Bounded gather: all results in order, a few questions at a time, an end to all when one fails."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from eduhub_bridge.patterns.gather import gather


class Work:
    def __init__(self):
        self.inside = self.most = 0

    async def one(self, number):
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(0.001 * (number % 3))
            if number == 13:
                raise ValueError(number)
            return number * 2
        finally:
            self.inside -= 1

    def calls(self, count):
        for number in range(count):
            yield partial(self.one, number)


async def test_results_come_in_order_and_no_more_than_the_limit_are_under_way():
    work = Work()
    assert await gather(4, work.calls(13)) == [number * 2 for number in range(13)]
    assert work.most == 4
    assert await gather(4, work.calls(0)) == []


async def test_the_first_failure_ends_it_and_leaves_nothing_running():
    work = Work()
    with pytest.raises(ValueError, match="13"):
        await gather(4, work.calls(1000))
    assert work.inside == 0


async def test_what_comes_after_a_failure_is_never_made():
    made = []

    async def fail():
        raise ValueError("first")

    def calls():
        yield fail
        for number in range(100):
            made.append(number)
            yield asyncio.Event().wait

    with pytest.raises(ValueError, match="first"):
        await gather(4, calls())
    assert made == [0, 1, 2]


async def test_a_caller_called_off_leaves_nothing_running():
    work = Work()
    calling = asyncio.create_task(gather(4, work.calls(13)))
    await asyncio.sleep(0.002)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert work.inside == 0


async def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="limit is 0"):
        await gather(0, [])
