"""One at a time in all processes, nobody twice while another waits, and a dead process holds nobody up."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from eduhub_bridge.patterns.turn import Turn, TurnTimeoutError
from tests.unit.bridge.process import INTERPRETER, environment

# Takes the turn and keeps it until it is killed.
KEEP = """
import asyncio, pathlib, sys
from eduhub_bridge.patterns.turn import Turn
async def main():
    await Turn(pathlib.Path(sys.argv[1])).take(5.0)
    print("mine", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_one_at_a_time_and_nobody_twice_while_another_waits(tmp_path):
    taken, inside = [], 0

    async def work(name: str, turn: Turn) -> None:
        nonlocal inside
        for _ in range(5):
            await turn.take(5.0)
            inside += 1
            assert inside == 1
            taken.append(name)
            await asyncio.sleep(0.02)  # longer than the other one takes to look
            inside -= 1
            turn.give_back()

    turns = [Turn(tmp_path), Turn(tmp_path)]
    await asyncio.gather(work("blue", turns[0]), work("green", turns[1]))
    assert taken[:8] == ["blue", "green"] * 4
    for turn in turns:
        turn.close()


async def test_who_waits_too_long_is_told_so_and_holds_nobody_up(tmp_path):
    one, other, third = (Turn(tmp_path) for _ in range(3))
    await one.take(1.0)
    with pytest.raises(TurnTimeoutError):
        await other.take(0.02)
    one.give_back()
    await third.take(0.0)


async def test_who_is_called_off_holds_nobody_up(tmp_path):
    one, other, third = (Turn(tmp_path) for _ in range(3))
    await one.take(1.0)
    waiting = asyncio.ensure_future(other.take(5.0))
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    one.give_back()
    await third.take(0.0)


async def test_to_give_back_what_was_not_taken_takes_it_from_nobody(tmp_path):
    one, other = Turn(tmp_path), Turn(tmp_path)
    await one.take(1.0)
    other.give_back()
    with pytest.raises(TurnTimeoutError):
        await other.take(0.0)


def test_a_process_that_is_killed_gives_back_its_turn(tmp_path):
    async def afterwards() -> None:
        turn = Turn(tmp_path)
        with pytest.raises(TurnTimeoutError):
            await turn.take(0.02)
        process.kill()
        await turn.take(5.0)

    argv = [INTERPRETER, "-c", KEEP, str(tmp_path)]
    with subprocess.Popen(argv, env=environment(""), stdout=subprocess.PIPE, stderr=sys.stderr) as process:
        assert process.stdout
        assert process.stdout.readline() == b"mine\n"
        asyncio.run(afterwards())
