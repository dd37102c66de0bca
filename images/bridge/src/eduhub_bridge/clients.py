"""What an API request says of its client: where it calls from, as whom, and whether it is still there."""

from __future__ import annotations

import asyncio
from typing import AsyncIterator, Awaitable, Callable, List, Mapping, Optional

from fastapi import Request
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eduhub_bridge import headers, paths
from eduhub_bridge.calls import Caller, NoAnswerError, Origin, Site
from eduhub_bridge.identity import Identities, UnknownUserError
from eduhub_bridge.problems import problem

NDJSON = "application/x-ndjson"


class GoneError(Exception):
    """The client left before its request was whole."""


class ProblemError(Exception):
    """An answer to be given instead of the one that was asked for."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Clients:
    """Makes, of a request, the Plone that its client sees."""

    def __init__(self, caller: Caller, site_path: str, identities: Identities) -> None:
        self.caller, self.identities = caller, identities
        self._site_path = site_path

    def site(self, connection: HTTPConnection, authorization: Optional[str] = None) -> Site:
        """Return Plone with the client's own authority; raise ProblemError for a request that contradicts itself."""
        given = authorization or connection.headers.get("authorization")
        if authorization is None and connection.scope["type"] == "websocket":
            # No script can set this field, so it is the browser's idea; one of our own site could ask all the same.
            given = None if headers.foreign(connection.scope["headers"]) else given
        return Site(self.caller, self._site_path, self.origin(connection), given)

    def origin(self, connection: HTTPConnection) -> Origin:
        """Return where the client believes to be; raise ProblemError."""
        try:
            scheme = {"ws": "http", "wss": "https"}.get(connection.url.scheme, connection.url.scheme)
            request = headers.request(connection.scope["headers"], scheme)
            paths.prefix(request.scheme, request.host, self._site_path)
        except paths.RefusedError as refusal:
            raise ProblemError(problem(400, str(refusal))) from None
        return Origin(request.scheme, request.host)

    async def user(self, site: Site) -> str:
        """Return who the client is; raise ProblemError if it is nobody, or cannot be told."""
        try:
            return await self.identities.user(site)
        except UnknownUserError as error:
            challenge = {"www-authenticate": 'Bearer realm="plone", Basic realm="plone"'}
            raise ProblemError(problem(401, str(error), challenge)) from None
        except NoAnswerError as error:
            again = {"retry-after": "1"} if error.status == 503 else {}
            raise ProblemError(problem(error.status, str(error), again)) from None


async def body(request: Request) -> AsyncIterator[bytes]:
    """Yield the request's body as it comes; raise GoneError."""
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        more = message.get("more_body", False)
        if message.get("body"):
            yield message["body"]


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
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
            return
        gone = asyncio.ensure_future(_gone(receive))
        whole = False
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while not gone.done():
                chunk = await _next(self._chunks, gone)
                if chunk is None:
                    whole = not gone.done()
                    break
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if whole:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await self._chunks.aclose()  # type: ignore[attr-defined]
            if not whole and self._left is not None:
                await asyncio.shield(self._left())


async def _next(chunks: AsyncIterator[bytes], gone: "asyncio.Task[None]") -> Optional[bytes]:
    """Return the next chunk, or None at the end or when the client goes."""

    async def step() -> bytes:
        return await chunks.__anext__()

    taking = asyncio.ensure_future(step())
    try:
        await asyncio.wait({taking, gone}, return_when=asyncio.FIRST_COMPLETED)
        return taking.result() if taking.done() else None
    except StopAsyncIteration:
        return None
    finally:
        if not taking.done():
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
