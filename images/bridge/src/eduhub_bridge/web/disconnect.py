"""Clients that leave: the one way to notice it, while their body still comes and while their answer is on its way."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Awaitable, Coroutine, Optional, Tuple, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

__all__ = ["ClientDisconnect", "ClientWatch", "at_most", "body", "gone", "while_connected"]

T = TypeVar("T")

# Before this, no request is watched: most are over by then.
_UNWATCHED_SECONDS = 0.25


async def body(receive: Receive) -> AsyncIterator[bytes]:
    """Yield a request's body as it comes; raise ClientDisconnect when the client leaves before its end."""
    async for chunk, _ in _pieces(receive):
        yield chunk


async def _pieces(receive: Receive) -> AsyncIterator[Tuple[bytes, bool]]:
    """Yield the pieces of a body that are not empty, and whether more is to come after each."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        if message.get("body"):
            yield message["body"], more


async def gone(receive: Receive) -> None:
    """Return when the client has left; its body must have been received."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_connected(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Do `work` until it ends or the client leaves, which cancels it; return whether it ended, or raise its error."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def at_most(seconds: float, work: Awaitable[T]) -> T:
    """Return what `work` gives; raise asyncio.TimeoutError, and cancel it, when that takes longer.

    Before Python 3.12, asyncio.wait_for loses a cancellation that comes when `work` has just ended, and async_timeout
    one that comes with the timeout: who has left would go on for ever. Here a cancellation is raised always.
    """
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait({working}, timeout=seconds)
        if working.done():
            return working.result()
        raise asyncio.TimeoutError
    finally:
        working.cancel()


class ClientWatch:
    """A request's client: its body, and whether it is still there. Cancels the current task when the client leaves."""

    def __init__(self, receive: Receive, has_body: bool) -> None:
        self.gone = False
        self._receive, self._sending = receive, has_body
        self._on_hold = False
        self._exchange = asyncio.current_task()
        self._watch: Optional[asyncio.Task[None]] = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_UNWATCHED_SECONDS, self._look)

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the request's body as it comes; raise ClientDisconnect."""
        try:
            async for chunk, more in _pieces(self._receive):
                self._sending = more
                yield chunk
        except ClientDisconnect:
            self.gone = True
            raise
        self._sending = False

    def _look(self) -> None:
        if self._sending:  # body() is the one who receives, and sees the client leave
            self._timer = self._loop.call_later(_UNWATCHED_SECONDS, self._look)
        else:
            self._watch = self._loop.create_task(self._wait())

    async def _wait(self) -> None:
        await gone(self._receive)
        # Waiting ends here, and so does a download, which would otherwise be read to its end for no client.
        self.gone = True
        if self._exchange and not self._on_hold:
            self._exchange.cancel()

    def hold(self) -> None:
        """From now on Plone works on this, whether its client is there or not."""
        self._on_hold = True

    def let_go(self) -> None:
        """Plone has answered."""
        self._on_hold = False

    def forget(self) -> None:
        """Stop watching."""
        self._timer.cancel()
        if self._watch:
            self._watch.cancel()
