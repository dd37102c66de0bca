"""Readiness doubts slowly, trusts quickly, and asks no more often than it must."""

from __future__ import annotations

import asyncio

from eduhub_bridge.server.readiness import Readiness, Verdict


async def test_one_bad_answer_is_no_outage_and_one_good_answer_ends_it():
    now, said, told = [0.0], [None, "slow", "gone", "gone", None, "slow", None, "slow"], []
    asked = iter(said)

    async def probe():
        return next(asked)

    readiness = Readiness(probe, told.append, lambda: now[0])
    verdicts = []
    for _ in said:
        verdicts.append(await readiness.verdict())
        assert await readiness.verdict() == verdicts[-1]  # remembered, not asked again
        now[0] += 1.0
    well, gone = Verdict(True), Verdict(False, "gone")
    assert verdicts == [well, well, gone, gone, well, well, well, well]
    assert told == [1, 1, 0, 0, 1, 1, 1, 1]


async def test_what_was_good_long_ago_is_no_reason_to_call_plone_ready():
    """Who asks once, as `./invoke verify` does, is told what is true now; a single slow page is still no outage."""
    now, said = [0.0], [None, "gone", "gone", None, "slow", None]
    asked = iter(said)

    async def probe():
        return next(asked)

    readiness = Readiness(probe, lambda _: None, lambda: now[0])
    verdicts = []
    for _ in range(4):
        verdicts.append(await readiness.verdict())
        now[0] += 61
    assert (verdicts, list(asked)) == ([Verdict(True), Verdict(False, "gone"), Verdict(True), Verdict(True)], [])


async def test_the_first_answer_decides_alone():
    async def probe():
        return "not there yet"

    assert await Readiness(probe, lambda _: None).verdict() == Verdict(False, "not there yet")


async def test_a_look_asks_once_waits_for_nothing_and_can_be_ended():
    asked, told, answers = [], [], asyncio.Event()

    async def probe():
        asked.append(1)
        await answers.wait()

    readiness = Readiness(probe, told.append, lambda: float(len(told)))
    readiness.look()
    readiness.look()
    assert (asked, told) == ([], [])  # neither of them waited
    await asyncio.sleep(0)
    assert asked == [1]
    answers.set()
    assert await readiness.verdict() == Verdict(True)
    assert (asked, told) == ([1], [1.0])
    answers.clear()
    readiness.look()
    await asyncio.sleep(0)
    readiness.stop()
    answers.set()
    await asyncio.sleep(0)
    assert told == [1.0]
