"""HTTP to Plone: kept-alive connections where that is safe, and a name for every way in which it can fail."""

from __future__ import annotations

import asyncio
import math
import os
import ssl
import sys
from functools import partial
from typing import Any, AsyncIterator, Callable, Optional, Union

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession
from yarl import URL

from eduhub_bridge.settings import Settings
from eduhub_bridge.upstream.heads import FreshConnector, HeadConnector, WriteConnector
from eduhub_bridge.upstream.trust import trusting

if sys.version_info >= (3, 11):
    from asyncio import timeout as within
else:
    from async_timeout import timeout as within  # aiohttp's own, there

Body = Union[bytes, AsyncIterator[bytes], None]
# Shorter than the idle time of any common server (waitress: 120 s), so that it is we who close.
_IDLE_SECONDS = 30.0
# How long, and for how many writes at a time, it is listened for their end after their clients were answered.
_LATE_SECONDS, _MOST_LATE = 3600.0, 64
# What Plone may send; the edge in front of us has its own, lower limits.
_HEADER_BYTES = 65536
# After these no byte of a request has left: Plone cannot have changed anything.
_NOT_SENT = frozenset({"connect", "connect_timeout", "breaker_open", "queue_full", "queue_late", "turned_away"})
_CONNECT_ERRORS = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class UpstreamError(Exception):
    """Plone did not answer. `kind` is for the metrics, `status` for the client, the text says what happened.

    After a status of 503 Plone has begun nothing, and `retry_seconds` is when to come again.
    """

    def __init__(self, kind: str, status: int, detail: str, retry_seconds: Optional[float] = None) -> None:
        super().__init__(detail)
        self.kind, self.status, self.retry_seconds = kind, status, retry_seconds

    @property
    def sent(self) -> bool:
        """Return whether Plone may have got the request: false if none of it has left, or it was kept from Plone."""
        return self.kind not in _NOT_SENT

    @property
    def headers(self) -> dict[str, str]:
        """Return what a response about it says beside its problem document."""
        return {} if self.retry_seconds is None else {"retry-after": str(max(1, math.ceil(self.retry_seconds)))}


class _Severed(aiohttp.ClientError):
    """The connection broke between the request and the head of its answer."""


async def _no_hidden_retry(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from sending a request again by itself: it would do so with a body already consumed."""
    try:
        return await send(request)
    except _CONNECT_ERRORS:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Severed(str(error) or type(error).__name__) from error


class _Late(asyncio.Protocol):
    """The connection of a write that took too long, until Plone answers it or is gone; then it calls `ended`, once."""

    def __init__(self, transport: asyncio.Transport, ended: Callable[[_Late], None]) -> None:
        self._transport, self._ended = transport, ended
        self._over = False
        transport.set_protocol(self)
        self._deadline = asyncio.get_running_loop().call_later(_LATE_SECONDS, self.leave)

    def data_received(self, _: bytes) -> None:
        """Plone answers, so it is done."""
        self.leave()

    def connection_lost(self, _: Optional[Exception]) -> None:
        """Plone is gone, or nothing listens any more."""
        self.leave()

    def leave(self) -> None:
        """Listen no longer."""
        if not self._over:
            self._over = True
            self._deadline.cancel()
            self._transport.abort()
            self._ended(self)


class Transport:
    """Pools: kept-alive connections for what may be repeated, fresh ones for what may not and for HEAD.

    A kept-alive connection can break at the very moment it is used again. A request that may be repeated is then
    sent once more, on a fresh connection; any other never travels on a used one, so it cannot meet that fate.

    Plone goes on with a write that took too long: `wrote_late` is called when it has ended, however it did.
    """

    _kept: ClientSession
    _fresh: ClientSession
    _writing: ClientSession
    _heads: ClientSession
    _probe: ClientSession

    def __init__(self, settings: Settings, wrote_late: Callable[[], None]) -> None:
        self._settings, self._wrote_late = settings, wrote_late
        self._late: set[_Late] = set()
        self._timeout = self._timeouts(settings.plone_seconds)
        ca = settings.plone_ca
        # True: the public authorities.
        self._trust: Union[ssl.SSLContext, bool] = trusting(ca) if ca else True

    async def open(self) -> None:
        """Make the sessions, in the loop that will use them; nothing is connected yet."""
        limit = self._settings.plone_connections  # a second limit: the lanes are lower
        self._kept = self._session(aiohttp.TCPConnector, limit, keepalive_timeout=_IDLE_SECONDS)
        self._fresh = self._session(FreshConnector, limit)
        self._writing = self._session(partial(WriteConnector, self._outlast), limit)
        self._heads = self._session(HeadConnector, limit)
        # Readiness must not queue behind the requests whose fate it judges.
        self._probe = self._session(aiohttp.TCPConnector, 1, keepalive_timeout=_IDLE_SECONDS)

    async def close(self) -> None:
        """Close every connection."""
        for session in (self._kept, self._fresh, self._writing, self._heads, self._probe):
            await session.close()
        for late in list(self._late):
            late.leave()

    def _outlast(self, transport: asyncio.Transport) -> None:
        if len(self._late) < _MOST_LATE:
            self._late.add(_Late(transport, self._ended_late))
        else:
            transport.abort()

    def _ended_late(self, late: _Late) -> None:
        self._late.discard(late)
        self._wrote_late()

    def _session(self, kind: Callable[..., aiohttp.TCPConnector], limit: int, **more: Any) -> ClientSession:
        return ClientSession(
            connector=kind(limit=limit, ssl=self._trust, **more),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            middlewares=(_no_hidden_retry,),
        )

    def _timeouts(self, seconds: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=None, connect=seconds, sock_connect=self._settings.plone_connect_seconds, sock_read=seconds
        )

    async def ask(
        self, method: str, path: str, fields: list[tuple[str, str]], body: Body, *, kept: bool, seconds: float,
        writes: bool = False,
    ) -> ClientResponse:  # fmt: skip
        """Return Plone's answer, its body not read yet; raise UpstreamError.

        `path` goes out as it is, after the origin. `seconds` is the longest silence, `kept` allows a kept connection,
        `writes` lets the end of a request be noticed even if it comes after a longer silence.
        A head that drips in is no silence: it has to be whole within as long, unless a body is on its way meanwhile.
        """
        url = URL(self._settings.plone_origin + path, encoded=True)
        fresh = self._writing if writes else self._fresh
        session = self._heads if method == "HEAD" else self._kept if kept else fresh
        timeout = self._timeout if seconds == self._settings.plone_seconds else self._timeouts(seconds)
        try:
            whole = seconds + self._settings.plone_connect_seconds
            async with within(whole if body is None or isinstance(body, bytes) else None):
                answer = await session.request(
                    method, url, headers=fields, data=body, allow_redirects=False, timeout=timeout
                )
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
            raise self._named(error, seconds) from error
        if 200 <= answer.status <= 599:
            return answer
        # No final answer (a 101 to a request that asked for no other protocol), or none that HTTP knows.
        answer.close()
        raise UpstreamError("protocol", 502, f"Plone answered with the status {answer.status:03}.")

    async def probe(self) -> Optional[str]:
        """Ask the cheap page once; return None if it answered 200, else what happened, in words."""
        settings = self._settings
        path = f"{settings.plone_path}/{settings.ready_path}"
        try:
            async with self._probe.get(
                URL(settings.plone_origin + path, encoded=True), allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=settings.ready_seconds),
            ) as answer:  # fmt: skip
                return None if answer.status == 200 else f"Plone answers {answer.status} on {path}."
        except asyncio.TimeoutError:
            return f"Plone does not answer {path} within {settings.ready_seconds:g} s."
        except (aiohttp.ClientError, ValueError) as error:
            return str(self._named(error, settings.ready_seconds))

    def _named(self, error: Exception, seconds: float) -> UpstreamError:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return UpstreamError("connect_timeout", 504, "Plone accepted no connection in time.")
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            reason = getattr(error.certificate_error, "verify_message", "") or "it was refused"
            return UpstreamError("connect", 502, f"Plone's certificate is not trusted: {reason.rstrip('.')}.")
        if isinstance(error, aiohttp.ClientConnectorSSLError):
            return UpstreamError("connect", 502, "Plone does not speak TLS at its https address.")
        if isinstance(error, aiohttp.ClientConnectorError):
            # By its number: the text names addresses, which are none of the client's business.
            number = error.errno or 0
            why = os.strerror(number) if number > 0 else (error.strerror or "unknown address")
            return UpstreamError("connect", 502, f"Plone cannot be reached: {why.lower()}.")
        if isinstance(error, asyncio.TimeoutError):
            return UpstreamError("timeout", 504, f"Plone did not answer within {seconds:g} s.")
        if isinstance(error, (_Severed, aiohttp.ClientConnectionError)):
            return UpstreamError("severed", 502, "Plone closed the connection without an answer.")
        return UpstreamError("protocol", 502, "Plone answered with something that is not HTTP.")

