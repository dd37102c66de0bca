"""Load by open arrivals over unix sockets, light enough to share two cores with what it measures.

Every latency counts from when the request was due, not from when it could be sent: a stall is seen by all who would
have come meanwhile, so nothing is omitted. `lag` says how late this program itself was.
"""

from __future__ import annotations

import asyncio
import gc
import selectors
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httptools

# What a select() can watch; more in flight than this is no load any more but a pile.
IN_FLIGHT = 800


class FailedError(Exception):
    """A request failed; `error` is a class of the witness (eduhub_pilot.witness), the text a detail."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error


@dataclass(frozen=True)
class Reply:
    """One answer, read to its last byte."""

    status: int
    body: bytes


@dataclass
class Samples:
    """What came of a load: latencies of good answers in ms since they were due, failures by class, lag in ms."""

    ms: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    lag: list[float] = field(default_factory=list)
    example: str = ""

    @property
    def requests(self) -> int:
        """How many ended."""
        return len(self.ms) + self.failures.total()

    def failed(self, error: FailedError) -> None:
        """Count a failure; the first one is the example."""
        self.failures[error.error] += 1
        self.example = self.example or str(error)


class _Connection(asyncio.Protocol):
    """One kept-alive connection with one request on it at a time."""

    def __init__(self) -> None:
        self.open = False
        self._waiting: asyncio.Future[Reply] | None = None
        self._parser: Any = None
        self._body: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self.open = True

    def send(self, request: bytes) -> asyncio.Future[Reply]:
        """Write a request; the future is its answer."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._parser, self._body = httptools.HttpResponseParser(self), []
        self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, AttributeError):
            self._end(FailedError("wrong_body", f"not HTTP: {data[:60]!r}"))
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        self._end(Reply(self._parser.get_status_code(), b"".join(self._body)))

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        name = "truncated" if self._body else "reset"
        self._end(FailedError(name, str(error or "the connection ended before the answer did")))

    def _end(self, result: Reply | FailedError) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        if isinstance(result, Reply):
            waiting.set_result(result)
        else:
            waiting.set_exception(result)

    def close(self) -> None:
        self.open = False
        self._transport.close()


class Door:
    """A unix socket, and the connections to it that are kept."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._idle: list[_Connection] = []

    async def ask(self, request: bytes, seconds: float = 30.0) -> Reply:
        """Return the answer to `request`; raise FailedError where none comes within `seconds`."""
        connection = await self._connection()
        try:
            async with asyncio.timeout(seconds):
                reply = await connection.send(request)
        except TimeoutError:
            connection.close()
            raise FailedError("timeout", f"not answered in full within {seconds:g} s") from None
        except asyncio.CancelledError:
            connection.close()
            raise
        if connection.open:
            self._idle.append(connection)
        return reply

    async def expect(self, request: bytes, status: int = 200, seconds: float = 30.0) -> Reply:
        """Return the answer to `request`, which must have `status`; raise FailedError otherwise."""
        reply = await self.ask(request, seconds)
        if reply.status != status:
            name = "5xx" if reply.status >= 500 else "wrong_status"
            raise FailedError(name, f"{reply.status} instead of {status}: {reply.body[:200]!r}")
        return reply

    async def _connection(self) -> _Connection:
        while self._idle:
            kept = self._idle.pop()
            if kept.open:
                return kept
        try:
            _, made = await asyncio.get_running_loop().create_unix_connection(_Connection, self._path)
        except OSError as error:
            raise FailedError("connect", error.strerror or str(error)) from None
        return made

    def close(self) -> None:
        """Close every kept connection."""
        while self._idle:
            self._idle.pop().close()


async def play(door: Door, request: bytes, due: Sequence[float], seconds: float = 30.0) -> Samples:
    """Send `request` when it is `due` (seconds from now), whatever became of those before; wait for all of them."""
    samples = Samples()
    begun = time.perf_counter()
    flying: set[asyncio.Task[None]] = set()

    async def one(at: float) -> None:
        try:
            await door.expect(request, seconds=seconds)
            samples.ms.append((time.perf_counter() - at) * 1000)
        except FailedError as error:
            samples.failed(error)

    for moment in due:
        at = begun + moment
        await until(at)
        samples.lag.append((time.perf_counter() - at) * 1000)
        if len(flying) >= IN_FLIGHT:
            samples.failed(FailedError("not_sent", f"{IN_FLIGHT} requests are in flight"))
            continue
        task = asyncio.create_task(one(at))
        flying.add(task)
        task.add_done_callback(flying.discard)
    await asyncio.gather(*flying)
    return samples


async def until(moment: float) -> None:
    """Wait until time.perf_counter() is `moment`."""
    if (early := moment - time.perf_counter()) > 0:
        await asyncio.sleep(early)


def precise_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that wakes up to the microsecond: epoll, the usual, rounds a wait up to the next millisecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


@contextmanager
def player() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Give a function that runs a coroutine in one precise loop, without our own garbage collector in between."""
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        gc.disable()
        try:
            yield runner.run
        finally:
            gc.enable()
