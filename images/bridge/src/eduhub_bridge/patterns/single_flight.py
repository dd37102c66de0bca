"""Single flight: a caller that asks for what is being fetched already waits for that answer.

    flights = SingleFlight()
    page = await flights.run("/news", fetch_news)

The first to ask fetches, in its own task, so a question that is not shared costs a dictionary entry and nothing
more. If the first is cancelled, one of those who waited fetches instead; what it raises is raised to all.
"""

from __future__ import annotations

import asyncio
from typing import Awaitable, Callable, Dict, Generic, Hashable, List, Optional, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """One fetch for each key at any time."""

    def __init__(self) -> None:
        self._flights: Dict[Hashable, List[asyncio.Future[Optional[_Landing[T]]]]] = {}

    def __contains__(self, key: Hashable) -> bool:
        """Return whether `key` is being fetched now."""
        return key in self._flights

    async def run(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        """Return what `fetch` returns, or what it returned to the one who asked first."""
        while True:
            followers = self._flights.get(key)
            if followers is None:
                return await self._lead(key, fetch)
            turn: asyncio.Future[Optional[_Landing[T]]] = asyncio.get_running_loop().create_future()
            followers.append(turn)
            landing = await turn
            if landing is not None:
                return landing.value()

    async def _lead(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> T:
        followers: List[asyncio.Future[Optional[_Landing[T]]]] = []
        self._flights[key] = followers
        landing: Optional[_Landing[T]] = None  # what a follower gets when the first was called off: its turn
        try:
            result = await fetch()
            landing = _Landing(result)
        except Exception as error:
            landing = _Landing(error=error)
            raise
        else:
            return result
        finally:
            del self._flights[key]
            for turn in followers:
                if not turn.done():
                    turn.set_result(landing)


class _Landing(Generic[T]):
    """What came of a flight."""

    __slots__ = ("_error", "_result")

    def __init__(self, result: Optional[T] = None, error: Optional[Exception] = None) -> None:
        self._result, self._error = result, error

    def value(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # None only if T allows it
