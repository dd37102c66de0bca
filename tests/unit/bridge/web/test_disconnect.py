"""A client that leaves ends what was done for it, whatever happens in the same moment."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest

from eduhub_bridge.live.listener import Listener, message
from eduhub_bridge.web.disconnect import at_most, while_connected

SOURCE = Path("images/bridge/src/eduhub_bridge")


async def ended(task, turns=10):
    """Return whether a task has ended within so many turns of the loop; end it."""
    for _ in range(turns):
        await asyncio.sleep(0)
    try:
        return task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("turns", range(-4, 5))
async def test_a_listener_that_leaves_as_news_come_has_left(turns):
    """It would keep its place for ever: `turns` of the loop are between the client's end and the message."""
    listener, gone = Listener("/", None), asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def listen():
        while True:
            await listener.get(60.0)

    acts = [gone.set, lambda: listener.put(message("changed", id=1))]
    listening = asyncio.ensure_future(while_connected(listen(), receive))
    for _ in range(5):
        await asyncio.sleep(0)
    for act in acts if turns >= 0 else reversed(acts):
        act()
        for _ in range(abs(turns)):
            await asyncio.sleep(0)
    assert await ended(listening)


async def test_what_takes_too_long_is_cancelled():
    cancelled = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(True)

    with pytest.raises(asyncio.TimeoutError):
        await at_most(0.01, work())
    await asyncio.sleep(0)
    assert cancelled == [True]


async def test_what_ends_in_time_gives_its_result_or_its_error():
    async def fail():
        raise KeyError("x")

    assert await at_most(60.0, asyncio.sleep(0, "here")) == "here"
    with pytest.raises(KeyError):
        await at_most(60.0, fail())


async def test_a_cancellation_beside_the_timeout_is_not_lost():
    """The timeout's own turn of the loop cancels too: no later turn would bring that back."""

    async def wait():
        while True:
            try:
                await at_most(0.01, asyncio.Event().wait())
            except TimeoutError:
                continue

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, waiting.cancel)
    await asyncio.sleep(0.03)
    assert await ended(waiting)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_waits_with_what_loses_a_cancellation(path):
    tree = ast.walk(ast.parse(path.read_text("utf-8")))
    assert [node.lineno for node in tree if isinstance(node, ast.Attribute) and node.attr == "wait_for"] == []
