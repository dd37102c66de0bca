"""The load tells the truth: a stall counts for all who would have come meanwhile, and every failure has its class."""

from __future__ import annotations

import asyncio

import pytest

from tests.bench.arrivals import Door, FailedError, play, player, until
from tests.bench.operations import request

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


def always(answer: bytes, *, close: bool = False):
    async def serve(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)
            if close:
                writer.close()
                return

    async def quietly(reader, writer):
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return quietly


async def test_an_answer_is_read_to_its_end(serving):
    async with serving(always(GOOD)) as path:
        door = Door(path)
        reply = await door.expect(request("/"))
        assert (reply.status, reply.body) == (200, b"OK")
        door.close()


async def test_a_connection_is_used_again(serving):
    connections = 0
    answer = always(GOOD)

    async def counted(reader, writer):
        nonlocal connections
        connections += 1
        await answer(reader, writer)

    async with serving(counted) as path:
        door = Door(path)
        for _ in range(5):
            await door.expect(request("/"))
        door.close()
    assert connections == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "5xx"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "wrong_status"),
        (b"SSH-2.0-OpenSSH\r\n", "wrong_body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK", "truncated"),
        (b"", "reset"),
    ],
)
async def test_a_failure_has_its_class(serving, answer, error):
    async with serving(always(answer, close=True)) as path:
        with pytest.raises(FailedError) as failure:
            await Door(path).expect(request("/"))
    assert failure.value.error == error


async def test_silence_is_a_timeout(serving):
    async with serving(always(b"HTTP/1.1 200 OK\r\n")) as path:
        with pytest.raises(FailedError) as failure:
            await Door(path).expect(request("/"), seconds=0.05)
    assert failure.value.error == "timeout"


async def test_nobody_there_is_no_connection(tmp_path):
    with pytest.raises(FailedError) as failure:
        await Door(tmp_path / "none.sock").ask(request("/"))
    assert failure.value.error == "connect"


async def test_a_stall_is_seen_by_all_who_come_meanwhile(serving):
    """A server busy for 0.3 s once: with open arrivals 15 of 20 requests wait for it, a closed loop would see one."""
    loop, free = asyncio.get_running_loop(), 0.0

    async def stalled(reader, writer):
        nonlocal free
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                free = free or loop.time() + 0.3
                await asyncio.sleep(max(0.0, free - loop.time()))
                writer.write(GOOD)
        except asyncio.IncompleteReadError:
            writer.close()

    async with serving(stalled) as path:
        door = Door(path)
        samples = await play(door, request("/"), [number * 0.02 for number in range(20)])
        door.close()
    assert samples.requests == len(samples.ms) == 20
    waited = sorted(samples.ms, reverse=True)
    assert waited[0] > 200
    assert sum(ms > 50 for ms in waited) >= 8


async def test_failures_are_counted_with_the_first_as_example(serving):
    async with serving(always(b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nOops")) as path:
        samples = await play(Door(path), request("/"), [0.0, 0.001, 0.002])
    assert (dict(samples.failures), samples.ms) == ({"5xx": 3}, [])
    assert "Oops" in samples.example


def test_the_players_loop_runs_coroutines():
    async def wait() -> str:
        await until(0.0)  # long past
        return "done"

    with player() as run:
        assert run(wait()) == "done"
