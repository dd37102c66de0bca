"""Streaming generators: bodies on their way, never whole.

    async for chunk in hold_end(body, length, until=take_a_place):
        await send(chunk)
"""

from __future__ import annotations

from typing import AsyncIterable, AsyncIterator, Awaitable, Callable, Optional


async def hold_end(
    body: AsyncIterable[bytes], length: Optional[int], until: Callable[[], Awaitable[object]]
) -> AsyncIterator[bytes]:
    """Yield `body` as it comes, but await `until()` before its end: once, and before anybody can know that it is whole.

    With a `length` that is before the chunk that completes it; without one, before the generator ends, which is what
    makes the last chunk of a chunked body.
    """
    sent = 0
    held = False
    async for chunk in body:
        sent += len(chunk)
        if not held and length is not None and sent >= length:
            held = True
            await until()
        yield chunk
    if not held:
        await until()
