"""Single flight: one fetch at a time for a key, its result for all, and nobody left behind."""

from __future__ import annotations

import asyncio

import pytest

from eduhub_bridge.patterns.single_flight import SingleFlight


class Source:
    def __init__(self):
        self.asked, self.go = 0, asyncio.Event()

    async def __call__(self):
        self.asked += 1
        number = self.asked
        await self.go.wait()
        return number


async def test_all_who_ask_meanwhile_get_the_one_answer_and_who_asks_later_a_new_one():
    flights, source = SingleFlight(), Source()
    asking = [asyncio.create_task(flights.run("a", source)) for _ in range(10)]
    await asyncio.sleep(0)
    assert "a" in flights
    source.go.set()
    assert await asyncio.gather(*asking) == [1] * 10
    assert ("a" in flights, await flights.run("a", source)) == (False, 2)


async def test_keys_do_not_wait_for_each_other():
    flights, source, other = SingleFlight(), Source(), Source()
    other.go.set()
    waiting = asyncio.create_task(flights.run("a", source))
    await asyncio.sleep(0)
    assert await flights.run("b", other) == 1
    waiting.cancel()


async def test_what_is_raised_is_raised_to_all():
    flights = SingleFlight()

    async def fail():
        await asyncio.sleep(0)
        raise LookupError("gone")

    ends = await asyncio.gather(*(flights.run("a", fail) for _ in range(3)), return_exceptions=True)
    assert [str(end) for end in ends] == ["gone"] * 3
    with pytest.raises(LookupError):
        await flights.run("a", fail)


async def test_when_the_first_is_called_off_one_of_the_others_fetches():
    flights, source = SingleFlight(), Source()
    asking = [asyncio.create_task(flights.run("a", source)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0.01)
    assert source.asked == 2
    asking[2].cancel()  # one that only waits changes nothing
    source.go.set()
    assert await asyncio.gather(asking[1], *asking[3:]) == [2] * 3
