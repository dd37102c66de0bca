"""The streams of a load: each request is sent when it is due, whatever became of those before."""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from tests.load import content
from tests.load.arrivals import IN_FLIGHT, Flight, arrive, steady
from tests.load.client import Client, Exchange, FailedError, Request
from tests.load.tally import Event, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.load.options import Options
    from tests.load.prepare import References

# What is still in flight when arrivals end may finish, beyond what it lasts on purpose; a signal is more urgent.
_GRACE_SECONDS = 5.0
_SIGNAL_SECONDS = 2.0
_REST_SECONDS = 0.5
_LOOK_SECONDS = 0.1
# Requests of different streams need not fall on the same instant.
_PAGE_OFFSET, _POST_OFFSET = 0.37, 0.71


@dataclass
class Load:
    """One run: `play()` once, then read `tally`, `posts` and the rest."""

    options: Options
    references: References
    run: str
    events: IO[str] | None = None
    posts: list[list[str]] = field(default_factory=list)
    skipped_posts: int = 0
    lag: float = 0.0
    seconds: float = 0.0
    stopped_by: str = "time"

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # The loop's clock is monotonic, here counted since 1970: no clock change can make a gap.
        self._epoch = time.time() - self._loop.time()
        self._stop = asyncio.Event()
        self._flight = Flight()
        self._posting = False
        self._random = random.Random(self.options.seed)  # noqa: S311 - the order of pages
        self.tally = Tally(self._epoch + self._loop.time())

    def stop(self, why: str) -> None:
        """End the arrivals; `why` is "file" or "signal". A signal after a file still counts."""
        self.stopped_by = why
        self._stop.set()

    async def play(self) -> None:
        """Let requests arrive until the time is over, or stop() is called; then let those in flight end."""
        options = self.options
        self._kept, self._new = Client(options.url), Client(options.url, keep=False)
        self._throttled = Client(options.url, keep=False, throttled=True)
        self._begun = self._loop.time()
        self.tally = Tally(self._epoch + self._begun)
        streams = [self._stream(options.rate, 0.0, self._light)]
        if options.page_rate:
            streams.append(self._stream(options.page_rate, _PAGE_OFFSET, self._page))
        if options.post_rate:
            streams.append(self._stream(options.post_rate, _POST_OFFSET, self._post))
        for path, again in ((options.slow, self._slow), (options.download, self._download)):
            if path:
                self._flight.start(self._repeat(again))
        look = asyncio.create_task(self._look())
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), options.seconds)
            self.seconds = self._loop.time() - self._begun
            for stream in streams if self._stop.is_set() else []:  # at their time they end by themselves
                stream.cancel()
            self._stop.set()
            await asyncio.gather(*streams, look, return_exceptions=True)
            await self._finish()
        finally:
            for client in (self._kept, self._new, self._throttled):
                client.close()

    async def _finish(self) -> None:
        """Let what is in flight end, as long as the reason to stop allows; it may become more urgent meanwhile."""
        begun = self._loop.time()
        grace = max(self.options.download_seconds, self.options.slow_seconds) + _GRACE_SECONDS
        while self._flight and self._loop.time() - begun < (
            _SIGNAL_SECONDS if self.stopped_by == "signal" else grace
        ):
            await self._flight.wait(_LOOK_SECONDS)
        await self._flight.cancel()

    async def _look(self) -> None:
        while not self._stop.is_set():
            if self.options.until_file and self.options.until_file.exists():
                self.stop("file")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _LOOK_SECONDS)

    def _stream(self, rate: float, offset: float, arrival: Callable[[int, float], None]) -> asyncio.Task[None]:
        due = steady(rate, self.options.seconds, offset)
        return asyncio.create_task(arrive(self._begun, due, arrival, self._late))

    def _late(self, seconds: float) -> None:
        self.lag = max(self.lag, seconds)

    async def _repeat(self, stream: Callable[[], Coroutine[Any, Any, str | None]]) -> None:
        """Run `stream` again and again, with a rest after a failure."""
        while not self._stop.is_set():
            if await stream():
                await asyncio.sleep(_REST_SECONDS)

    def _same_as(self, path: str) -> Callable[[Exchange], None]:
        return partial(content.same_shape, reference=self.references.shapes[path])

    def _client(self, number: int) -> Client:
        return self._kept if number % 2 else self._new

    def _light(self, number: int, due: float) -> None:
        path = self.options.light[number // 2 % len(self.options.light)]
        self._get("light", path, number, due)

    def _page(self, number: int, due: float) -> None:
        self._get("page", self._random.choice(self.options.pages), number, due)

    def _get(self, kind: str, path: str, number: int, due: float) -> None:
        if self._flight.full:
            self._account(kind, Exchange(due), "not_sent", f"{IN_FLIGHT} requests are in flight")
        else:
            request = Request("GET", path, fields=content.API if kind == "page" else {})
            self._flight.start(self._one(kind, self._client(number), request, due, self._same_as(path)))

    def _post(self, number: int, due: float) -> None:
        if self._posting:
            self.skipped_posts += 1
        else:
            self._posting = True
            self._flight.start(self._make(number, due))

    async def _make(self, number: int, due: float) -> None:
        name = content.document_id(self.run, number)
        request = content.make_document(self.options.post_path, name, self.run, self.references.credentials)
        entry = [name, "failed"]
        self.posts.append(entry)
        try:
            error = await self._one("post", self._client(number), request, due, partial(content.made, name=name))
            entry[1] = {None: "created", "connect": "not_sent"}.get(error, "failed")
        finally:
            self._posting = False

    async def _slow(self) -> str | None:
        path, seconds = self.options.slow, self.options.slow_seconds
        request = content.slowly(path, seconds)
        return await self._one("slow", self._new, request, self._loop.time(), self._same_as(path), extra=seconds)

    async def _download(self) -> str | None:
        seconds = self.options.download_seconds
        file = content.Download(self.references.file[0], seconds)
        request = Request("GET", self.options.download)
        return await self._one(
            "download", self._throttled, request, self._loop.time(), lambda _: file.is_like(self.references.file),
            extra=seconds, take=file.take,
        )  # fmt: skip

    async def _one(
        self,
        kind: str,
        client: Client,
        request: Request,
        due: float,
        check: Callable[[Exchange], None],
        *,
        extra: float = 0.0,
        take: Callable[[bytes], float] | None = None,
    ) -> str | None:
        """Send one request and account for it; return the class of its failure, or None.

        `extra` are the seconds it takes on purpose.
        """
        exchange, failure, detail = Exchange(due), None, ""
        try:
            await client.send(request, exchange, self.options.timeout + extra, take)
            check(exchange)
        except FailedError as error:
            failure, detail = error.error, str(error)
        except asyncio.CancelledError:
            self.tally.unfinished += 1
            raise
        self._account(kind, exchange, failure, detail)
        return failure

    def _account(self, kind: str, exchange: Exchange, error: str | None, detail: str) -> None:
        ended = self._loop.time()
        sent = exchange.due if exchange.sent is None else exchange.sent
        event = Event(
            sent=self._epoch + sent, kind=kind, connection=exchange.connection,
            status=exchange.status, slot=exchange.slot, release=exchange.release,
            ms=(ended - exchange.due) * 1000, error=error,
        )  # fmt: skip
        self.tally.add(event, self._epoch + ended, detail)
        if self.events:
            print(json.dumps(event.line()), file=self.events)
