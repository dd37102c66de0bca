"""A lane: so many at once, so many waiting, none past the deadline, each client in turn, no place lost or doubled."""

from __future__ import annotations

import asyncio
import random

import pytest

from eduhub_bridge.patterns.lane import BACKGROUND_TURN, TOGETHER_TIMES, Lane, LaneBusyError, Together


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


def of(whose):
    """Return the client of a call named "address" or "address/user"."""
    address, _, user = whose.partition("/")
    return address, user


async def entering(lane, *calls, **more):
    tasks = [asyncio.create_task(lane.enter(whose, **more)) for whose in calls]
    for _ in range(3):  # until the one that is crowded out knows
        await asyncio.sleep(0)
    return tasks


async def ends(*tasks):
    return await asyncio.gather(*tasks, return_exceptions=True)


async def order(places, tasks):
    """Free the places one after the other, and return which tasks got one, in which order."""
    places, came, names = list(places), [], {task: name for name, task in tasks.items()}
    while places:
        places.pop(0).free()
        for _ in range(3):
            await asyncio.sleep(0)
        for task in [task for task in names if task.done()]:
            came.append(names.pop(task))
            places.append(task.result())
    assert not names
    return came


async def test_three_hundred_calls_of_one_client_keep_another_one_call_waiting_for_one_turn():
    lane = Lane(4, 256, 60.0, client=of)
    places = [await lane.enter("hog") for _ in range(4)]
    hog = await entering(lane, *["hog"] * 300)
    refused = [task for task in hog if task.done()]
    assert len(refused) == 44
    (other,) = await entering(lane, "other")
    crowded_out = [task for task in hog if task.done() and task not in refused]
    assert (await ends(*crowded_out), lane.waiting) == ([crowded_out[0].exception()], 256)
    assert crowded_out == [hog[255]]  # its newest
    error = crowded_out[0].exception()
    assert (error.full, error.crowded_out, error.retry_seconds) == (True, True, 60.0)
    places[0].free()
    places[1].free()
    (await asyncio.wait_for(other, 60)).free()
    assert sum(task.done() and task.exception() is None for task in hog) >= 1
    for task in hog:
        task.cancel()
    ended = await ends(*hog)
    for place in [*places, *(each for each in ended if not isinstance(each, BaseException))]:
        place.free()
    assert (lane.busy, lane.waiting) == (0, 0)


async def test_a_client_that_waits_no_less_than_others_makes_no_one_give_way():
    lane = Lane(1, 2, 60.0, client=of)
    place = await lane.enter("a")
    waiting = await entering(lane, "a", "b")
    with pytest.raises(LaneBusyError) as refusal:
        await lane.enter("c")
    assert (refusal.value.full, refusal.value.crowded_out) == (True, False)
    place.free()
    for task in waiting:
        (await task).free()


async def test_a_client_gets_no_more_than_its_share_and_the_next_one_a_place_at_once():
    lane = Lane(4, 256, 60.0, client=of, share=3)
    held = [await lane.enter("hog") for _ in range(3)]
    waiting = await entering(lane, "hog", "hog")
    assert (lane.busy, lane.waiting) == (3, 2)
    assert lane.enter_now("hog") is None
    other = lane.enter_now("other")
    assert other is not None
    assert lane.enter_now("third") is None
    other.free()
    assert (lane.busy, lane.waiting) == (3, 2)
    held.pop().free()
    assert (lane.busy, lane.waiting) == (3, 1)
    for place in held:
        place.free()
    for task in waiting:
        (await task).free()
    assert (lane.busy, lane.waiting) == (0, 0)


async def test_who_has_no_known_address_may_have_all_places():
    lane = Lane(4, 256, 60.0, client=of, share=3)
    places = [lane.enter_now("") for _ in range(4)]
    assert None not in places


async def test_the_background_waits_for_people_but_not_for_ever():
    lane = Lane(1, 256, 60.0, client=of)
    place = await lane.enter("a")
    jobs = await entering(lane, "", "", background=True)
    people = await entering(lane, *["a"] * 20)
    assert (lane.waiting, lane.waiting_in_background) == (22, 2)
    tasks = {**{f"job {n}": task for n, task in enumerate(jobs)}, **dict(enumerate(people))}
    came = await order([place], tasks)
    first = BACKGROUND_TURN - 1
    assert came[: first + 1] == [*range(first), "job 0"]
    assert came[first + 1 : 2 * BACKGROUND_TURN] == [*range(first, 2 * first), "job 1"]
    assert (lane.waiting, lane.waiting_in_background, lane.busy) == (0, 0, 0)


async def test_the_background_leaves_the_last_place_and_a_full_queue_to_people():
    lane = Lane(4, 2, 60.0, client=of, share=3)
    for _ in range(3):
        assert lane.enter_now(background=True)
    jobs = await entering(lane, "", "", background=True)
    assert lane.enter_now("a") is not None
    (person,) = await entering(lane, "b")
    assert [task.done() for task in jobs] == [False, True]
    assert jobs[1].exception().crowded_out
    for task in (person, jobs[0]):
        task.cancel()
    await ends(person, *jobs)
    assert lane.waiting == 0


async def test_calls_that_wait_for_one_thing_have_the_first_turn_of_any_of_them():
    lane = Lane(1, 256, 60.0, client=of)
    place = await lane.enter("hog")
    hog = await entering(lane, *["hog"] * 5)
    together = Together("hog")
    (shared,) = await entering(lane, "hog", together=together)
    together.join("other")
    together.join("other")
    assert lane.waiting == 6
    tasks = {**dict(enumerate(hog)), "shared": shared}
    assert (await order([place], tasks))[:2] == [0, "shared"]
    together.join("third")  # too late to matter
    assert (lane.busy, lane.waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(30))
async def test_no_place_is_lost_and_no_share_passed_whatever_happens(seed):
    dice = random.Random(seed)  # noqa: S311 - a test that can be repeated
    lane, inside = Lane(4, 12, 0.01, client=of, share=3), []

    async def one(whose, background):
        together = Together(whose) if dice.random() < 0.3 else None
        if together and dice.random() < 0.5:
            together.join("c")
        place = await lane.enter(whose, background=background, together=together)
        name = "job" if background else "shared" if together else of(whose)[0]
        inside.append(name)
        try:
            assert len(inside) <= 4
            assert max(inside.count(each) for each in ("a", "b", "c", "job")) <= 3
            await asyncio.sleep(dice.random() * 0.004)
        finally:
            inside.remove(name)
            place.free()

    tasks = []
    for _ in range(120):
        whose = dice.choice(["a/x", "a/y", "a/x", "b/x", "c", ""])
        tasks.append(asyncio.create_task(one(whose, dice.random() < 0.2)))
        await asyncio.sleep(dice.random() * 0.001)
        if dice.random() < 0.3:
            dice.choice(tasks).cancel()
    ended = await ends(*tasks)
    assert (lane.busy, lane.waiting, lane.waiting_in_background, lane._held) == (0, 0, 0, set())
    assert not any(lane._queues)
    assert {type(end) for end in ended} <= {type(None), LaneBusyError, asyncio.CancelledError}


@pytest.fixture
async def later(monkeypatch):
    """Lets seconds pass on the clock of the loop."""
    loop = asyncio.get_running_loop()
    real, passed = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + passed)

    async def _later(seconds):
        nonlocal passed
        passed += seconds
        for _ in range(5):
            await asyncio.sleep(0)

    return _later


async def shared_turn(lane):
    """Return a call that waits with others, and who these are."""
    together = Together("first")
    task = asyncio.create_task(lane.enter("first", together=together))
    await asyncio.sleep(0)
    return task, together


async def test_calls_together_wait_as_long_as_the_last_to_come_may_and_keep_their_turn(later):
    lane = Lane(1, 10, 1000.0)
    place = await lane.enter()
    task, together = await shared_turn(lane)
    alone = asyncio.create_task(lane.enter("alone"))
    await asyncio.sleep(0)
    await later(900)
    together.join("second")
    await later(200)
    assert (task.done(), alone.done(), lane.waiting) == (False, True, 1)
    assert isinstance(alone.exception(), LaneBusyError)
    last = asyncio.create_task(lane.enter("last"))
    await asyncio.sleep(0)
    place.free()
    (await task).free()
    assert await last is not None


async def test_calls_together_are_refused_when_the_last_has_waited_its_time_or_where_it_would_be_in_vain(later):
    lane = Lane(1, 10, 1000.0)
    await lane.enter()
    task, together = await shared_turn(lane)
    await later(900)
    together.join("first")  # another client at the same address
    await later(900)
    assert not task.done()
    await later(200)
    assert (task.exception().full, lane.waiting) == (False, 0)
    lane = Lane(1, 10, 1000.0, hopeless=lambda: True)
    await lane.enter()
    task, together = await shared_turn(lane)
    together.join("second")
    await later(900)
    together.join("third")
    await later(200)
    assert isinstance(task.exception(), LaneBusyError)


async def test_calls_together_do_not_wait_for_ever_although_more_and_more_come(later):
    lane, waited = Lane(1, 10, 1000.0), 0
    await lane.enter()
    task, together = await shared_turn(lane)
    while not task.done() and waited < 10_000:
        waited += 500
        await later(500)
        together.join("next")
    assert (isinstance(task.exception(), LaneBusyError), waited) == (True, TOGETHER_TIMES * 1000)


@pytest.mark.parametrize("older", ["first", "next"])
async def test_calls_that_waited_elsewhere_before_have_the_rest_of_their_time_together(later, older):
    lane, since = Lane(1, 10, 1000.0), asyncio.get_running_loop().time() - 900
    await lane.enter()
    together, waited = Together("first", since if older == "first" else None), 0
    task = asyncio.create_task(lane.enter("first", together=together))
    await asyncio.sleep(0)
    together.join("next", since if older == "next" else None)
    while not task.done() and waited < 10_000:
        waited += 500
        await later(500)
        together.join("next")
    assert (isinstance(task.exception(), LaneBusyError), waited) == (True, 2500)
