"""Open arrivals tell the truth: a stall counts for every request that comes meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from tests.load import arrivals
from tests.load.arrivals import play, player, steady, until
from tests.load.client import Client, encode
from tests.unit.load.peer import GOOD, always, serving
from tests.unit.load.simulated import simulated


def load(path, answering, due):
    async def work():
        async with serving(path, answering):
            client = Client(f"unix:{path}")
            samples = await play(client, encode("/"), due)
            client.close()
            return samples

    return simulated(work())


def test_a_stall_is_seen_by_all_who_come_meanwhile(tmp_path):
    """A server busy for 0.3 s once: with open arrivals 15 of 20 requests wait for it, a closed loop would see one."""
    free = 0.0

    async def stalled(_, writer):
        nonlocal free
        now = asyncio.get_running_loop().time()
        free = free or now + 0.3
        await asyncio.sleep(max(0.0, free - now))
        writer.write(GOOD)
        return True

    samples = load(tmp_path / "peer.sock", stalled, [number * 0.02 for number in range(20)])
    expected = [300.0 - 20.0 * number for number in range(15)] + [0.0] * 5
    assert sorted(samples.ms, reverse=True) == pytest.approx(expected, abs=0.1)
    assert max(samples.lag) == pytest.approx(0.0, abs=0.1)


def test_failures_are_counted_with_the_first_as_example(tmp_path):
    answer = b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nOops"
    samples = load(tmp_path / "peer.sock", always(answer), [0.0, 0.001, 0.002])
    assert (dict(samples.failures), samples.ms) == ({"5xx": 3}, [])
    assert "Oops" in samples.example


def test_more_in_flight_than_can_be_watched_is_not_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(arrivals, "IN_FLIGHT", 3)

    async def slow(_, writer):
        await asyncio.sleep(1)
        writer.write(GOOD)
        return True

    samples = load(tmp_path / "peer.sock", slow, [number * 0.1 for number in range(8)])
    assert (len(samples.ms), dict(samples.failures)) == (3, {"not_sent": 5})


def test_steady_arrivals_are_evenly_spaced_and_end_in_time():
    assert list(steady(4.0, 1.0)) == [0.0, 0.25, 0.5, 0.75]
    assert list(steady(4.0, 1.0, 0.5)) == [0.125, 0.375, 0.625, 0.875]


def test_the_players_loop_runs_coroutines():
    async def wait() -> str:
        await until(0.0)  # long past
        return "done"

    with player() as run:
        assert run(wait()) == "done"
