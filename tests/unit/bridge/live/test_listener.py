"""A listener that does not keep up is told so, and its connection is cut a while later."""

from __future__ import annotations

import asyncio

from eduhub_bridge.live.listener import CUT_SECONDS, QUEUE, Listener, message


async def test_who_is_too_slow_is_told_and_cut(monkeypatch):
    timers = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda *timer: timers.append(timer))
    listener = Listener("/", None)
    for number in range(QUEUE):
        listener.put(message("changed", id=number))
    assert (listener.ended, timers) == ("", [])
    listener.put(message("changed", id=QUEUE))
    listener.put(message("changed", id=QUEUE + 1))
    assert (listener.ended, timers) == ("slow", [(CUT_SECONDS, listener.cut)])
    assert await listener._queue.get() is None  # the end is told at once: what waited before it is dropped
    assert listener._queue.empty()
