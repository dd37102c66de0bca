"""One strict HTTP request: sent once, read to its last byte, every way it can end named."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_IDLE_SECONDS = 15.0
# So small that a throttled download is held back where it comes from, not in our own buffers.
_RECEIVE_BYTES = 65536


class FailedError(Exception):
    """A request failed; `error` is the class, the text the detail."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error


class _ResetError(aiohttp.ClientError):
    """The connection ended before the head of the answer."""


@dataclass
class Exchange:
    """One request on its way, and what came of it. Times are of time.monotonic()."""

    due: float
    sent: float | None = None
    connection: str = "new"
    status: int | None = None
    slot: str | None = None
    release: str | None = None
    content_type: str = ""
    body: bytes = b""
    length: int = 0


@dataclass(frozen=True)
class Ask:
    """What to send, and the status that is right. `fields` are header fields."""

    method: str
    path: str
    expected: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    body: Callable[[], AsyncIterator[bytes]] | bytes | None = None


async def _once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from repeating a request by itself when a kept-alive connection turns out to be dead."""
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ResetError(str(error) or type(error).__name__) from error


def _tracing() -> aiohttp.TraceConfig:
    async def reused(_: ClientSession, context: Any, __: object) -> None:
        context.trace_request_ctx["exchange"].connection = "reused"

    async def written(_: ClientSession, context: Any, __: object) -> None:
        context.trace_request_ctx["exchange"].sent = time.monotonic()

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(reused)
    tracing.on_request_headers_sent.append(written)
    return tracing


def _small_socket(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    return made


class Client:
    """Sends to one address, on kept-alive connections or each time on a new one."""

    def __init__(self, url: str, *, keep: bool, throttled: bool = False) -> None:
        options: dict[str, Any] = {"keepalive_timeout": _IDLE_SECONDS} if keep else {"force_close": True}
        if throttled:
            options["socket_factory"] = _small_socket
        self._url = url
        self._session = ClientSession(
            connector=aiohttp.TCPConnector(limit=0, **options),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "eduhub-witness", "Accept": "*/*"},
            auto_decompress=False,
            read_bufsize=_RECEIVE_BYTES,
            middlewares=(_once,),
            trace_configs=[_tracing()],
            skip_auto_headers=("Accept-Encoding",),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def send(
        self, ask: Ask, exchange: Exchange, seconds: float, read: Callable[[bytes], Any] | None = None
    ) -> None:
        """Do the exchange within `seconds`; raise FailedError unless a whole answer of the right status came.

        The body goes to `exchange.body`, or block by block to `read`, which may be awaited and so slow it down.
        """
        data = ask.body() if callable(ask.body) else ask.body
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(seconds, 5.0))
        try:
            async with asyncio.timeout(seconds), self._session.request(
                ask.method, URL(self._url + ask.path, encoded=True), headers=ask.fields, data=data,
                allow_redirects=False, timeout=timeout, trace_request_ctx={"exchange": exchange},
            ) as answer:  # fmt: skip
                _note(answer, exchange)
                await _read(answer, exchange, read)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise FailedError("connect", str(error)) from None
        except TimeoutError:
            raise FailedError("timeout", f"not answered in full within {seconds:g} s") from None
        except _ResetError as error:
            raise FailedError("reset", str(error)) from None
        except aiohttp.ClientPayloadError as error:
            raise FailedError("truncated", str(error)) from None
        except aiohttp.ClientConnectionError as error:
            raise FailedError("reset", str(error)) from None
        except aiohttp.ClientError as error:
            raise FailedError("wrong_body", f"not HTTP: {error}") from None
        if exchange.status != ask.expected:
            name = "5xx" if (exchange.status or 0) >= 500 else "wrong_status"
            raise FailedError(name, f"{exchange.status} instead of {ask.expected}: {exchange.body[:200]!r}")


def _note(answer: ClientResponse, exchange: Exchange) -> None:
    exchange.status = answer.status
    exchange.slot = answer.headers.get("X-EduHub-Slot")
    exchange.release = answer.headers.get("X-EduHub-Release")
    exchange.content_type = answer.content_type


async def _read(answer: ClientResponse, exchange: Exchange, read: Callable[[bytes], Any] | None) -> None:
    bounded = "Content-Length" in answer.headers or "chunked" in answer.headers.get("Transfer-Encoding", "").lower()
    if not bounded and answer.status not in (204, 304):
        raise aiohttp.ClientPayloadError("the answer has no stated length")
    if read is None or answer.status >= 300:
        exchange.body = await answer.read()
        exchange.length = len(exchange.body)
        return
    async for block in answer.content.iter_any():
        exchange.length += len(block)
        if (wait := read(block)) is not None:
            await wait
