"""A file on its way from Plone to the caller, as fast as the slower of the two, and no longer than both want it."""

from __future__ import annotations

import asyncio
from typing import Mapping

import aiohttp
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eduhub_bridge.passthrough import AnswerCutError
from eduhub_bridge.plone import Plone


class Relay(Response):
    """Plone's answer as the response. It is given back to `plone` at the end, read to its end or not."""

    def __init__(self, plone: Plone, said: aiohttp.ClientResponse, headers: Mapping[str, str]) -> None:
        super().__init__(None, said.status, headers)
        if "content-length" not in headers:  # Plone's own framing then; not that of no content
            del self.headers["content-length"]
        self._plone, self._said = plone, said

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; raise AnswerCutError when Plone's answer breaks off."""
        # Starlette's own streaming notices late that the caller has left: all of a file was read for nobody.
        sending = asyncio.ensure_future(self._send(send, whole=scope["method"] != "HEAD"))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            self._plone.done(self._said)

    async def _send(self, send: Send, *, whole: bool) -> None:
        content = self._said.content
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if not whole:
            await send({"type": "http.response.body", "body": b""})
        more = whole
        try:
            while more:
                # One read of what is there: sending waits while the caller is slow, so reading does too.
                chunk = await content.readany()
                more = not content.at_eof()
                await send({"type": "http.response.body", "body": chunk, "more_body": more})
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            raise AnswerCutError from error


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
