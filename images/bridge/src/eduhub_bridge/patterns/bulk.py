"""Bulk runner: many pieces of work from a stream, a bounded number at a time, results as they end.

    async for result in bulk(lines(), store_one, limit=4):
        await client.send(result)

Back-pressure goes both ways. A piece is taken from the source only while the caller waits for a result and fewer
than `limit` are in work; a caller that is slow stops the taking, a source that is slow stops nothing else. At most
`limit` pieces and as many results exist at any time, however long the source is.
"""

from __future__ import annotations

import asyncio
from typing import AsyncIterable, AsyncIterator, Awaitable, Callable, Optional, Set, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def bulk(source: AsyncIterable[T], work: Callable[[T], Awaitable[R]], limit: int) -> AsyncIterator[R]:
    """Yield what `work` returns for each piece of `source` as it ends; with a `limit` of 1, in their order.

    What `work` or `source` raises is raised here. Whenever this ends, by that, by the caller leaving or by its
    cancellation, the work in flight is cancelled and waited for, and the source is closed.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}: at least one piece must be in work.")
    pieces = source.__aiter__()
    taking: Optional[asyncio.Task[T]] = None
    working: Set[asyncio.Task[R]] = set()
    exhausted = False
    try:
        while True:
            if taking is None and not exhausted and len(working) < limit:
                taking = asyncio.ensure_future(_next(pieces))
            waiting = {*working, taking} if taking else set(working)
            if not waiting:
                return
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if taking is not None and taking in done:
                try:
                    working.add(asyncio.ensure_future(work(taking.result())))
                except StopAsyncIteration:
                    exhausted = True
                taking = None
            for ended in working & done:
                working.discard(ended)
                yield ended.result()
    finally:
        left = [*working, *([taking] if taking else [])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def _next(pieces: AsyncIterator[T]) -> T:
    return await pieces.__anext__()
