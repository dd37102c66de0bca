"""A strict HTTP/1.1 client: each request is sent once, read to its last byte, and every way it can end has a class.

It is light enough to share two cores with what it measures: one parser in C, one protocol object a connection, no
redirects, no cookies, no decompression and no retries.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools

# A connection that was idle for longer is closed: a server may be about to close it too.
IDLE_SECONDS = 15.0
CONNECT_SECONDS = 5.0
# So small that a throttled download is held back by the sender, not in the buffers of the receiver.
_THROTTLED_BYTES = 65536
# Answers without a body have no stated length.
_NO_BODY = (204, 304)


class FailedError(Exception):
    """A request failed; `error` is its class (`tally.CLASSES`), the text a detail."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error


@dataclass
class Exchange:
    """One request and its answer. Times are those of the event loop's clock, in seconds."""

    due: float = 0.0
    sent: float | None = None
    connection: str = "new"
    status: int | None = None
    slot: str | None = None
    release: str | None = None
    content_type: str = ""
    body: bytes = b""
    length: int = 0


@dataclass(frozen=True)
class Request:
    """What to send, and the expected status. `fields` are header fields.

    A body that is a function gives an iterator of pieces, sent as they come; `fields` then state the Content-Length.
    """

    method: str
    path: str
    expected: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    body: Callable[[], AsyncIterator[bytes]] | bytes | None = None

    def encoded(self, host: str, *, keep: bool) -> bytes:
        """Return the head, and the body where it is known beforehand."""
        fields = {"Host": host, "User-Agent": "eduhub-load", "Accept": "*/*", **self.fields}
        if not keep:
            fields["Connection"] = "close"
        body = self.body if isinstance(self.body, bytes) else b""
        if body:
            fields["Content-Length"] = str(len(body))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Address:
    """Where to connect: a unix socket, or a host and a port, with TLS where `tls` is set. `host` is also sent."""

    host: str
    port: int = 80
    tls: ssl.SSLContext | None = None
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Return the address in `http://host:port`, `https://host` or `unix:/path`; raise ValueError."""
        if url.startswith("unix:/"):
            return cls("localhost", path=url.removeprefix("unix:"))
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no http, https or unix address")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls)

    @property
    def name(self) -> str:
        """The value of the Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.path or self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    async def connect(self, *, throttled: bool = False) -> _Connection:
        """Return a new connection; raise FailedError "connect"."""
        loop = asyncio.get_running_loop()

        def protocol() -> _Connection:
            return _Connection(throttled=throttled)

        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if self.path:
                    return (await loop.create_unix_connection(protocol, self.path))[1]
                return (await loop.create_connection(protocol, self.host, self.port, ssl=self.tls))[1]
        except TimeoutError:
            raise FailedError("connect", f"not connected within {CONNECT_SECONDS:g} s") from None
        except OSError as error:
            raise FailedError("connect", error.strerror or str(error)) from None


class _Connection(asyncio.Protocol):
    """One connection with one request on it at a time."""

    def __init__(self, *, throttled: bool = False) -> None:
        self.open = False
        self.idle_since = 0.0
        self._throttled = throttled
        self._waiting: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self.open = True
        if self._throttled and (made := transport.get_extra_info("socket")):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _THROTTLED_BYTES)

    def send(
        self, message: bytes, exchange: Exchange, take: Callable[[bytes], float] | None
    ) -> asyncio.Future[None]:
        """Write a request; the future ends with its answer, which goes to `exchange`.

        `take` is given the blocks of a body that is good instead, and returns for how many seconds to read no further.
        """
        self._waiting = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._exchange, self._take, self._body = exchange, take, list[bytes]()
        self._headed = self._bounded = self._complete = self._keeps = False
        self._pause = 0.0
        self._transport.write(message)
        return self._waiting

    async def write_all(self, pieces: AsyncIterator[bytes]) -> None:
        """Write a body as it comes."""
        async for piece in pieces:
            if not self.open:
                return
            self._transport.write(piece)

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:
            self.close()  # an answer that nothing asked for
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("wrong_body", f"not HTTP: {data[:60]!r}")
            return
        if self._headed and not self._bounded:
            self._fail("truncated", "the answer has no stated length")
        elif self._pause > 0:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(self._pause, self._read_on)
            self._pause = 0.0
        elif self._complete:
            self._succeed()

    def _read_on(self) -> None:
        if self._complete:
            self._succeed()
        if self.open:
            self._transport.resume_reading()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"x-eduhub-slot":
            self._exchange.slot = value.decode("latin-1")
        elif name == b"x-eduhub-release":
            self._exchange.release = value.decode("latin-1")
        elif name == b"content-type":
            self._exchange.content_type = value.decode("latin-1").partition(";")[0].strip()
        elif name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower()):
            self._bounded = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._exchange.status, self._headed = status, True
            self._bounded = self._bounded or status in _NO_BODY

    def on_body(self, body: bytes) -> None:
        self._exchange.length += len(body)
        if self._take and (self._exchange.status or 0) < 300:
            self._pause = self._take(body)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._headed:
            self._bounded = False  # an interim answer, such as 103; the real one follows
            return
        self._complete, self._keeps = True, self._parser.should_keep_alive()
        self._exchange.body = b"".join(self._body)

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._waiting is None:
            return
        if self._complete:
            self._succeed()
        else:
            reason = str(error or "the connection ended before the answer did")
            self._fail("truncated" if self._headed else "reset", reason)

    def _succeed(self) -> None:
        waiting, self._waiting = self._waiting, None
        if not self._keeps:
            self.close()
        if waiting and not waiting.done():
            waiting.set_result(None)

    def _fail(self, error: str, detail: str) -> None:
        waiting, self._waiting = self._waiting, None
        self.close()
        if waiting and not waiting.done():
            waiting.set_exception(FailedError(error, detail))

    def close(self) -> None:
        self.open = False
        self._transport.abort()


class Client:
    """Sends to one address: on kept-alive connections where `keep` is set, otherwise each time on a new one."""

    def __init__(self, url: str, *, keep: bool = True, throttled: bool = False) -> None:
        self._address = Address.parse(url)
        self._keep, self._throttled = keep, throttled
        self._idle: deque[_Connection] = deque()

    async def send(
        self, request: Request, exchange: Exchange, seconds: float, take: Callable[[bytes], float] | None = None
    ) -> None:
        """Do the exchange within `seconds`; raise FailedError unless a whole answer of the expected status came.

        The body goes to `exchange.body`, or block by block to `take`, which returns for how many seconds to read no
        further.
        """
        message = request.encoded(self._address.name, keep=self._keep)
        pieces = request.body() if callable(request.body) else None
        await self._exchange(message, exchange, seconds, pieces, take)
        _check(exchange, request.expected)

    async def ask(self, message: bytes, seconds: float = 30.0) -> Exchange:
        """Return the answer to an encoded request; raise FailedError where none comes within `seconds`."""
        exchange = Exchange(asyncio.get_running_loop().time())
        await self._exchange(message, exchange, seconds)
        return exchange

    async def expect(self, message: bytes, status: int = 200, seconds: float = 30.0) -> Exchange:
        """Return the answer to an encoded request, which must have `status`; raise FailedError otherwise."""
        exchange = await self.ask(message, seconds)
        _check(exchange, status)
        return exchange

    def close(self) -> None:
        """Close every idle connection; those in use close with their requests."""
        self._keep = False
        while self._idle:
            self._idle.popleft().close()

    async def _exchange(
        self, message: bytes, exchange: Exchange, seconds: float, pieces: AsyncIterator[bytes] | None = None,
        take: Callable[[bytes], float] | None = None,
    ) -> None:  # fmt: skip
        loop = asyncio.get_running_loop()
        connection, sender, whole = None, None, False
        try:
            async with asyncio.timeout(seconds):
                connection = self._kept(exchange) or await self._address.connect(throttled=self._throttled)
                answered = connection.send(message, exchange, take)
                exchange.sent = loop.time()
                sender = asyncio.create_task(connection.write_all(pieces)) if pieces else None
                await answered
            whole = True
        except TimeoutError:
            raise FailedError("timeout", f"not answered in full within {seconds:g} s") from None
        finally:
            if sender:
                whole = whole and sender.done()
                sender.cancel()
            if connection:
                self._put_back(connection, whole, loop.time())

    def _kept(self, exchange: Exchange) -> _Connection | None:
        """Return an idle connection, the one that is idle for longest first, as `exchange` then says; None for none."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            kept = self._idle.popleft()
            if kept.open and now - kept.idle_since < IDLE_SECONDS:
                exchange.connection = "reused"
                return kept
            kept.close()
        return None

    def _put_back(self, connection: _Connection, whole: bool, now: float) -> None:
        if whole and self._keep and connection.open:
            connection.idle_since = now
            self._idle.append(connection)
        else:
            connection.close()


def _check(exchange: Exchange, expected: int) -> None:
    if exchange.status != expected:
        name = "5xx" if (exchange.status or 0) >= 500 else "wrong_status"
        raise FailedError(name, f"{exchange.status} instead of {expected}: {exchange.body[:200]!r}")


def encode(path: str, document: Any = None, **fields: str) -> bytes:
    """Return the bytes of a GET request, or of a POST of `document` as JSON; `fields` are further header fields."""
    body = b"" if document is None else json.dumps(document).encode()
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", "Host: localhost", "Accept: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
