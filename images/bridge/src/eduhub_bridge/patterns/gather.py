"""Bounded gather: asyncio.gather for many questions, a few of them at a time.

    sizes = await gather(4, (partial(size, name) for name in names))

The questions may come from a generator: each is made only when its turn comes.
"""

from __future__ import annotations

import asyncio
from typing import Awaitable, Callable, Dict, Iterable, Iterator, List, Tuple, TypeVar

T = TypeVar("T")


async def gather(limit: int, calls: Iterable[Callable[[], Awaitable[T]]]) -> List[T]:
    """Return the results of all `calls` in their order, at most `limit` of them under way at once.

    The first that fails ends it: the others are cancelled and waited for, and its error is raised. The same
    happens to all of them when the caller is cancelled.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}: at least one call must be under way.")
    results: Dict[int, T] = {}
    turns = enumerate(calls)

    async def work(turns: Iterator[Tuple[int, Callable[[], Awaitable[T]]]]) -> None:
        for number, call in turns:
            results[number] = await call()

    workers = [asyncio.ensure_future(work(turns)) for _ in range(limit)]
    try:
        await asyncio.gather(*workers)
    except BaseException:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        raise
    return [results[number] for number in sorted(results)]
