"""Plone, called over bounded, kept-alive connections; every way it can fail has a name."""

from __future__ import annotations

import asyncio
import os
import time
from typing import AsyncIterator, Optional

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession
from yarl import URL

from eduhub_bridge.metrics import Metrics
from eduhub_bridge.settings import Settings

# May be sent again when the connection broke before an answer: asking twice changes nothing.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
# Shorter than the idle time of any common server (waitress: 120 s), so that it is we who close.
_IDLE_SECONDS = 30.0
# What Plone may send; the edge in front of us has its own, lower limits.
_HEADER_BYTES = 65536
_CONNECT_ERRORS = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class UpstreamError(Exception):
    """Plone did not answer. `kind` is for the metrics, `status` for the client, the text says what happened."""

    def __init__(self, kind: str, status: int, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.status = kind, status


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


class Upstream:
    """Two pools: kept-alive connections for what may be repeated, fresh ones for what may not.

    A kept-alive connection can break at the very moment it is used again. A repeatable request is then sent
    once more, on a fresh connection; any other never travels on a used one, so it cannot meet that fate.
    """

    _pooled: ClientSession
    _fresh: ClientSession
    _probe: ClientSession

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics

    async def open(self) -> None:
        """Make the sessions, in the loop that will use them; nothing is connected yet."""
        fresh = max(1, self._settings.plone_connections // 4)
        self._pooled = self._session(self._settings.plone_connections - fresh, force_close=False)
        self._fresh = self._session(fresh, force_close=True)
        # Readiness must not queue behind the requests whose fate it judges.
        self._probe = self._session(1, force_close=False)

    async def close(self) -> None:
        """Close every connection."""
        for session in (self._pooled, self._fresh, self._probe):
            await session.close()

    def _session(self, limit: int, *, force_close: bool) -> ClientSession:
        settings = self._settings
        keep = {} if force_close else {"keepalive_timeout": _IDLE_SECONDS}
        return ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, force_close=force_close, **keep),  # type: ignore[arg-type]
            timeout=aiohttp.ClientTimeout(
                total=None, connect=settings.plone_seconds, sock_connect=settings.plone_connect_seconds,
                sock_read=settings.plone_seconds,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            middlewares=(_no_hidden_retry,),
        )  # fmt: skip

    async def fetch(
        self, method: str, path: str, fields: list[tuple[str, str]], body: Optional[AsyncIterator[bytes]]
    ) -> ClientResponse:
        """Return Plone's answer, its body not read yet; raise UpstreamError.

        `path` goes out as it is, after the origin. The caller reads the body to its end or closes the response.
        """
        url = URL(self._settings.plone_origin + path, encoded=True)
        repeatable = body is None and method in _REPEATABLE
        started = time.perf_counter()
        try:
            try:
                answer = await _ask(self._pooled if repeatable else self._fresh, method, url, fields, body)
            except _Severed:
                if not repeatable:
                    raise
                self._metrics.plone_retries.inc()
                answer = await _ask(self._fresh, method, url, fields, None)
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
            failure = self._named(error)
            self._metrics.plone_errors.labels(failure.kind).inc()
            raise failure from error
        self._metrics.plone_answered(method, answer.status, time.perf_counter() - started)
        return answer

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
            return str(self._named(error))

    def _named(self, error: Exception) -> UpstreamError:
        settings = self._settings
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return UpstreamError("connect_timeout", 504, "Plone accepted no connection in time.")
        if isinstance(error, aiohttp.ClientConnectorError):
            # By its number: the text names addresses, which are none of the client's business.
            number = error.errno or 0
            why = os.strerror(number) if number > 0 else (error.strerror or "unknown address")
            return UpstreamError("connect", 502, f"Plone cannot be reached: {why.lower()}.")
        if isinstance(error, asyncio.TimeoutError):
            return UpstreamError("timeout", 504, f"Plone did not answer within {settings.plone_seconds:g} s.")
        if isinstance(error, (_Severed, aiohttp.ClientConnectionError)):
            return UpstreamError("severed", 502, "Plone closed the connection without an answer.")
        return UpstreamError("protocol", 502, "Plone answered with something that is not HTTP.")


async def _ask(
    session: ClientSession, method: str, url: URL, fields: list[tuple[str, str]], body: Optional[AsyncIterator[bytes]]
) -> ClientResponse:
    return await session.request(method, url, headers=fields, data=body, allow_redirects=False)
