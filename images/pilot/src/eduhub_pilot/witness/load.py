"""The load itself: arrivals at their time, whatever became of those before."""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from eduhub_pilot.witness import content
from eduhub_pilot.witness.client import Ask, Client, Exchange, FailedError
from eduhub_pilot.witness.tally import Event, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from eduhub_pilot.witness.options import Options
    from eduhub_pilot.witness.prepare import References

# More than this is no load any more but a pile.
_IN_FLIGHT = 1000
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
        # Monotonic, but counted since 1970: no clock change can make a gap.
        self._epoch = time.time() - time.monotonic()
        self._stop = asyncio.Event()
        self._flying: set[asyncio.Task[Any]] = set()
        self._posting = False
        self._random = random.Random(self.options.seed)  # noqa: S311 - the order of pages
        self.tally = Tally(self._epoch + time.monotonic())

    def stop(self, why: str) -> None:
        """End the arrivals; `why` is "file" or "signal". A signal after a file is still heard."""
        self.stopped_by = why
        self._stop.set()

    async def play(self) -> None:
        """Let requests arrive until it is time, or stop() is called; then let those in flight end."""
        options = self.options
        self._kept, self._new = Client(options.url, keep=True), Client(options.url, keep=False)
        self._throttled = Client(options.url, keep=False, throttled=True)
        begun = time.monotonic()
        self._end = begun + options.seconds
        self.tally = Tally(self._epoch + begun)
        streams = [asyncio.create_task(self._arrive(options.rate, 0.0, self._light))]
        if options.page_rate:
            streams.append(asyncio.create_task(self._arrive(options.page_rate, _PAGE_OFFSET, self._page)))
        if options.post_rate:
            streams.append(asyncio.create_task(self._arrive(options.post_rate, _POST_OFFSET, self._post)))
        for path, again in ((options.slow, self._slow), (options.download, self._download)):
            if path:
                self._fly(self._repeat(again))
        look = asyncio.create_task(self._look())
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), options.seconds)
            self.seconds = time.monotonic() - begun
            for stream in streams if self._stop.is_set() else []:  # at their time they end by themselves
                stream.cancel()
            self._stop.set()
            await asyncio.gather(*streams, look, return_exceptions=True)
            await self._land()
        finally:
            for client in (self._kept, self._new, self._throttled):
                await client.close()

    async def _land(self) -> None:
        """Let what is in flight end, as long as the reason to stop allows; it may become more urgent meanwhile."""
        begun = time.monotonic()
        patience = max(self.options.download_seconds, self.options.slow_seconds) + _GRACE_SECONDS
        while self._flying and time.monotonic() - begun < (
            _SIGNAL_SECONDS if self.stopped_by == "signal" else patience
        ):
            await asyncio.wait(self._flying, timeout=_LOOK_SECONDS)
        for task in self._flying:
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)

    async def _look(self) -> None:
        while not self._stop.is_set():
            if self.options.until_file and self.options.until_file.exists():
                self.stop("file")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _LOOK_SECONDS)

    async def _arrive(self, rate: float, offset: float, arrival: Callable[[int, float], None]) -> None:
        """Call `arrival` with number and due time, `rate` times a second, never waiting for what it started."""
        begun = self._end - self.options.seconds + offset / rate
        number = 0
        while (due := begun + number / rate) < self._end:
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            self.lag = max(self.lag, time.monotonic() - due)
            arrival(number, due)
            number += 1

    async def _repeat(self, stream: Callable[[], Coroutine[Any, Any, str | None]]) -> None:
        """Run `stream` again and again, with a rest after a failure."""
        while not self._stop.is_set():
            if await stream():
                await asyncio.sleep(_REST_SECONDS)

    def _fly(self, request: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(request)
        self._flying.add(task)
        task.add_done_callback(self._flying.discard)

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
        if len(self._flying) >= _IN_FLIGHT:
            self._account(kind, Exchange(due), "not_sent", f"{_IN_FLIGHT} requests are in flight")
        else:
            ask = Ask("GET", path, fields=content.API if kind == "page" else {})
            self._fly(self._one(kind, self._client(number), ask, due, self._same_as(path)))

    def _post(self, number: int, due: float) -> None:
        if self._posting:
            self.skipped_posts += 1
        else:
            self._posting = True
            self._fly(self._make(number, due))

    async def _make(self, number: int, due: float) -> None:
        name = content.document_id(self.run, number)
        ask = content.make_document(self.options.post_path, name, self.run, self.references.credentials)
        entry = [name, "failed"]
        self.posts.append(entry)
        try:
            error = await self._one("post", self._client(number), ask, due, partial(content.made, name=name))
            entry[1] = {None: "created", "connect": "not_sent"}.get(error, "failed")
        finally:
            self._posting = False

    async def _slow(self) -> str | None:
        path, seconds = self.options.slow, self.options.slow_seconds
        ask = content.slowly(path, seconds)
        return await self._one("slow", self._new, ask, time.monotonic(), self._same_as(path), extra=seconds)

    async def _download(self) -> str | None:
        seconds = self.options.download_seconds
        file = content.Download(self.references.file[0], seconds)
        ask = Ask("GET", self.options.download)
        return await self._one(
            "download", self._throttled, ask, time.monotonic(), lambda _: file.is_like(self.references.file),
            extra=seconds, read=file.read,
        )  # fmt: skip

    async def _one(
        self,
        kind: str,
        client: Client,
        ask: Ask,
        due: float,
        check: Callable[[Exchange], None],
        *,
        extra: float = 0.0,
        read: Callable[[bytes], Any] | None = None,
    ) -> str | None:
        """Send one request and account for it; return the class of its failure, or None.

        `extra` are the seconds it takes on purpose.
        """
        exchange, failure, detail = Exchange(due), None, ""
        try:
            await client.send(ask, exchange, self.options.timeout + extra, read)
            check(exchange)
        except FailedError as error:
            failure, detail = error.error, str(error)
        except asyncio.CancelledError:
            self.tally.unfinished += 1
            raise
        self._account(kind, exchange, failure, detail)
        return failure

    def _account(self, kind: str, exchange: Exchange, error: str | None, detail: str) -> None:
        ended = time.monotonic()
        event = Event(
            sent=self._epoch + (exchange.sent or exchange.due), kind=kind, connection=exchange.connection,
            status=exchange.status, slot=exchange.slot, release=exchange.release,
            ms=(ended - exchange.due) * 1000, error=error,
        )  # fmt: skip
        self.tally.add(event, self._epoch + ended, detail)
        if self.events:
            print(json.dumps(event.line()), file=self.events)
