"""Readiness doubts slowly, trusts quickly, and asks no more often than it must."""

from __future__ import annotations

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


async def test_the_first_answer_decides_alone():
    async def probe():
        return "not there yet"

    assert await Readiness(probe, lambda _: None).verdict() == Verdict(False, "not there yet")
