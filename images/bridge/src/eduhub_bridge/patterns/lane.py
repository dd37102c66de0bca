"""Lane: at most so many at once, at most so many waiting, none longer than a deadline.

    lane = Lane(places=4, queue=256, seconds=10.0)
    place = await lane.enter()      # or: async with lane.place():
    try:
        ...
    finally:
        place.free()

A place is an object of its own, because who gives it back is often not who took it: here it is the end of an
answer's body. A caller that finds the queue full, or waits past the deadline, gets LaneBusyError at once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import AsyncIterator, Callable, Optional


class LaneBusyError(Exception):
    """No place was to be had. `full` tells a full queue from a deadline that passed in it."""

    def __init__(self, *, full: bool, retry_seconds: float) -> None:
        super().__init__("the queue is full" if full else "no place came free in time")
        self.full, self.retry_seconds = full, retry_seconds


class Place:
    """One place in a lane, until free(); giving it back twice gives it back once."""

    __slots__ = ("_lane",)

    def __init__(self, lane: Lane) -> None:
        self._lane: Optional[Lane] = lane

    def free(self) -> None:
        """Give the place to the one who waits longest, if anybody does."""
        lane, self._lane = self._lane, None
        if lane is not None:
            lane._left()


class Lane:
    """`places` at once, `queue` waiting in the order in which they came, each for at most `seconds`.

    `waited` is told, in seconds, how long each one waited that had to, whether or not it got in.
    """

    def __init__(
        self, places: int, queue: int, seconds: float, waited: Callable[[float], None] = lambda _: None
    ) -> None:
        self.places, self.queue, self.seconds = places, queue, seconds
        self._waited = waited
        self._busy = 0
        self._waiting: OrderedDict[asyncio.Future[bool], None] = OrderedDict()

    @property
    def busy(self) -> int:
        """Return how many places are taken."""
        return self._busy

    @property
    def waiting(self) -> int:
        """Return how many wait for one."""
        return len(self._waiting)

    def enter_now(self) -> Optional[Place]:
        """Return a place if one is free and no caller waits for it, else None."""
        if self._busy >= self.places or self._waiting:
            return None
        self._busy += 1
        return Place(self)

    async def enter(self) -> Place:
        """Return a place; raise LaneBusyError."""
        place = self.enter_now()
        if place is not None:
            return place
        if len(self._waiting) >= self.queue:
            # By the deadline everybody who waits now has got a place or given up.
            raise LaneBusyError(full=True, retry_seconds=self.seconds)
        await self._wait()
        return Place(self)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for the length of the block; raise LaneBusyError."""
        place = await self.enter()
        try:
            yield
        finally:
            place.free()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting[turn] = None
        begun = loop.time()
        deadline = loop.call_later(self.seconds, self._expire, turn)
        try:
            granted = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self._left()  # the place came in the very moment its taker was called off
            raise
        finally:
            deadline.cancel()
            self._waiting.pop(turn, None)
            self._waited(loop.time() - begun)
        if not granted:
            raise LaneBusyError(full=False, retry_seconds=self.seconds)

    @staticmethod
    def _expire(turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            turn.set_result(False)

    def _left(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(True)  # the place changes hands: it is never free in between
                return
        self._busy -= 1
