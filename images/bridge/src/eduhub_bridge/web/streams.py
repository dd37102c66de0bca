"""Answers that are sent as they come: no faster than the client takes them, and no longer than it is there."""

from __future__ import annotations

import asyncio
from typing import AsyncIterator, Awaitable, Callable, List, Mapping, Optional

import aiohttp
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eduhub_bridge.web.disconnect import while_connected

NDJSON = "application/x-ndjson"
# No stream is silent for longer: the edge, and other proxies on the way, cut what is.
HEARTBEAT_SECONDS = 15.0


class AnswerCutError(Exception):
    """The source of an answer broke off. Raised to the server, which cuts the client's connection: no clean end."""


async def forward(content: aiohttp.StreamReader, send: Send) -> None:
    """Send the rest of Plone's answer as the rest of ours; raise what reading it raises."""
    more = True
    while more:
        # One read of what is there: sending waits while the client is slow, so reading does too.
        chunk = await content.readany()
        more = not content.at_eof()
        await send({"type": "http.response.body", "body": chunk, "more_body": more})


class Stream(Response):
    """Sends what `chunks` yields as it comes; `left` is awaited when the client goes before the end.

    Sending waits while the client is slow, so `chunks` is asked for no more than the client takes.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        media_type: str,
        left: Optional[Callable[[], Awaitable[None]]] = None,
        more: Optional[Mapping[str, str]] = None,
    ) -> None:
        self.status_code, self.media_type, self.background, self.body = 200, media_type, None, b""
        self._chunks, self._left = chunks, left
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no", **(more or {})})
        self.raw_headers: List[tuple[bytes, bytes]] = [
            field for field in self.raw_headers if field[0] != b"content-length"
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a client that leaves ends it quietly."""
        if scope["method"] == "HEAD":
            await self._start(send)
            await send({"type": "http.response.body", "body": b""})
            return
        whole = False
        try:
            whole = await while_connected(self._send(send), receive)
        finally:
            await self._chunks.aclose()  # type: ignore[attr-defined]
            if not whole and self._left is not None:
                await asyncio.shield(self._left())

    async def _send(self, send: Send) -> None:
        await self._start(send)
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


class Relay(Response):
    """Plone's answer as the response; it is closed at the end, read to its end or not."""

    def __init__(self, answer: aiohttp.ClientResponse, headers: Mapping[str, str]) -> None:
        super().__init__(None, answer.status, headers)
        if "content-length" not in headers:  # Plone's own framing then; not that of no content
            del self.headers["content-length"]
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; raise AnswerCutError when Plone's answer breaks off."""
        # Starlette's own streaming notices late that the caller has left: all of a file was read for no client.
        try:
            await while_connected(self._send(send, whole=scope["method"] != "HEAD"), receive)
        finally:
            self._answer.close()

    async def _send(self, send: Send, *, whole: bool) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if not whole:
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            await forward(self._answer.content, send)
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            raise AnswerCutError from error
