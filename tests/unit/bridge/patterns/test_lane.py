"""A lane: so many at once, so many waiting, nobody past the deadline, and no place lost or doubled."""

from __future__ import annotations

import asyncio
import random

import pytest

from eduhub_bridge.patterns.lane import Lane, LaneBusyError


async def test_no_more_than_its_places_are_inside_and_who_waits_comes_in_in_order():
    lane, inside, most, came = Lane(3, 100, 5.0), 0, 0, []

    async def one(number):
        nonlocal inside, most
        async with lane.place():
            came.append(number)
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(one(number) for number in range(50)))
    assert (most, came, lane.busy, lane.waiting) == (3, list(range(50)), 0, 0)


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_again():
    lane = Lane(1, 1, 7.0)
    place = await lane.enter()
    waiting = asyncio.create_task(lane.enter())
    await asyncio.sleep(0)
    with pytest.raises(LaneBusyError) as refusal:
        await lane.enter()
    assert (refusal.value.full, refusal.value.retry_seconds) == (True, 7.0)
    place.free()
    (await waiting).free()
    assert lane.busy == 0


async def test_who_waits_past_the_deadline_is_told_so_and_the_next_gets_the_place():
    waits = []
    lane = Lane(1, 10, 0.02, waits.append)
    place = await lane.enter()
    with pytest.raises(LaneBusyError) as refusal:
        await lane.enter()
    assert (refusal.value.full, lane.waiting, lane.busy) == (False, 0, 1)
    assert [0.015 < waited < 1 for waited in waits] == [True]
    place.free()
    (await lane.enter()).free()


async def test_a_place_given_back_twice_is_given_back_once():
    lane = Lane(2, 0, 1.0)
    first, _second = await lane.enter(), await lane.enter()
    first.free()
    first.free()
    assert lane.busy == 1


async def test_nobody_overtakes_those_who_wait():
    lane = Lane(1, 10, 1.0)
    place = await lane.enter()
    waiting = asyncio.create_task(lane.enter())
    await asyncio.sleep(0)
    place.free()
    assert lane.enter_now() is None  # the place is the other's, though it has not run yet
    (await waiting).free()
    assert lane.enter_now() is not None


async def test_who_is_called_off_in_the_moment_of_its_turn_passes_the_place_on():
    lane = Lane(1, 10, 1.0)
    place = await lane.enter()
    first, second = asyncio.create_task(lane.enter()), asyncio.create_task(lane.enter())
    await asyncio.sleep(0)
    place.free()
    first.cancel()
    (await asyncio.wait_for(second, 60)).free()
    assert (first.cancelled(), lane.busy, lane.waiting) == (True, 0, 0)


@pytest.mark.parametrize("seed", range(20))
async def test_no_place_is_lost_whatever_happens(seed):
    dice = random.Random(seed)  # noqa: S311 - a test that can be repeated
    lane, inside = Lane(2, 8, 0.005), 0

    async def one():
        nonlocal inside
        place = await lane.enter()
        inside += 1
        assert inside <= 2
        try:
            await asyncio.sleep(dice.random() * 0.004)
        finally:
            inside -= 1
            place.free()

    tasks = []
    for _ in range(60):
        tasks.append(asyncio.create_task(one()))
        await asyncio.sleep(dice.random() * 0.001)
        if dice.random() < 0.3:
            dice.choice(tasks).cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert (lane.busy, lane.waiting) == (0, 0)
    assert {type(end) for end in ends} <= {type(None), LaneBusyError, asyncio.CancelledError}
