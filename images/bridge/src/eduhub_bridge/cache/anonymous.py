"""What anonymous clients read: from a stored page where one will do, from Plone once for all who ask at a time.

A page is as good as Plone's own answer for a moment (fresh). For a while longer it is given out at once while Plone is
asked behind the client's back (stale-while-revalidate), and for much longer if Plone gives no answer (stale-if-error,
RFC 5861). A write through this bridge, by whichever slot, ends all that: a page that was asked for before the last
write ended is never used again, not even for want of anything better, because that write may have withdrawn it.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Callable, NamedTuple, Optional, Tuple, Union

import aiohttp
from aiohttp import ClientResponse
from starlette.types import Scope

from eduhub_bridge.cache import freshness
from eduhub_bridge.cache.freshness import Asked, Key, Limits
from eduhub_bridge.cache.negotiation import Rules
from eduhub_bridge.cache.pages import Page, Pages, Solitary
from eduhub_bridge.patterns.lane import Together
from eduhub_bridge.patterns.single_flight import SingleFlight
from eduhub_bridge.settings import Settings
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream import headers
from eduhub_bridge.upstream.addresses import RefusedError
from eduhub_bridge.upstream.limits import Upstream, UpstreamError, promise

# While Plone answers anybody, a client waits for a new page as long as it takes. A Plone that has answered no one for
# the longer time is taken to hang: then each new page has the shorter time to come, and old ones are given out.
_SILENCE_SECONDS, _HANGING_SECONDS = 5.0, 1.0
# After a failure that page is not asked for again for so long, while there is an old one.
_QUIET_SECONDS = 1.0
# New pages that are asked for while no client waits for them. One at a time renews fifty pages a second of an idle
# Plone, and leaves the other places of a busy one to those who do wait.
_REFRESHES = 1
# For so long it is remembered that an address has answers for one client only, so that no client waits for another's.
_SOLITARY_SECONDS = 10.0

# Refusals that say nothing of those who wait with the one who is refused.
_OF_THE_FIRST = frozenset({"queue_full", "queue_late"})

# Who has an old page hears only whether there is a better one: nothing for those who have none.
_FROM_NOTHING, _FROM_OLD = "from nothing", "from an old one"

# Cache-Status (RFC 9211), as far as it is the same each time.
BY_METHOD = b"eduhub-bridge; fwd=method"
BYPASS = b"eduhub-bridge; fwd=bypass"
MISS = b"eduhub-bridge; fwd=uri-miss"


class Target(NamedTuple):
    """What goes to Plone for a request."""

    path: str
    fields: list[tuple[str, str]]


class Found(NamedTuple):
    """A page to answer with, its age in seconds, and its Cache-Status."""

    page: Page
    age: int
    status: bytes


class Alone:
    """An answer that is good for one client only; the first client to take it has it, the others ask for themselves.

    `unheard` are the fields that Plone was not sent, and would have answered differently with.
    """

    def __init__(self, answer: ClientResponse, begun: bytes = b"", unheard: frozenset[bytes] = frozenset()) -> None:
        self._answer: Optional[ClientResponse] = answer
        self._unheard = unheard
        self.begun = begun
        """What was read of its body already."""

    def suits(self, asked: Asked, scope: Scope) -> bool:
        """Return whether it is what this request would be answered by itself."""
        if asked.trimmed and freshness.PARAMETERS in self._unheard:
            return False
        return self._unheard.isdisjoint(name for name, _ in scope["headers"])

    def take(self) -> Optional[ClientResponse]:
        """Return the answer, to be read or closed; None if somebody has it."""
        answer, self._answer = self._answer, None
        return answer

    def close(self) -> None:
        """Close the answer if no client has taken it."""
        answer = self.take()
        if answer is not None:
            answer.close()


class _Refresh(NamedTuple):
    """A new page on its way: None comes if Plone failed, a closed Alone if there is no page any more."""

    task: asyncio.Task[Union[Page, Alone, None]]
    begun: float


# A page's key, its writes, and whether there is an old one.
_Flight = Tuple[Key, bytes, str]


class _FailedError(Exception):
    """Plone answered with an error, where there is an old page."""


class AnonymousReads:
    """The stored pages of one application. `target` makes what goes to Plone, or raises RefusedError."""

    def __init__(
        self, settings: Settings, upstream: Upstream, metrics: Metrics, target: Callable[[Scope], Target]
    ) -> None:
        self._limits = Limits(
            settings.cache_seconds, settings.cache_stale_seconds, settings.cache_error_seconds,
            settings.cache_blanket_expires,
        )  # fmt: skip
        self._rules = Rules(
            settings.cache_cookies, settings.cache_languages, settings.cache_ignored_fields,
            settings.cache_ignored_parameters,
        )  # fmt: skip
        self._upstream, self._target = upstream, target
        self._wait_seconds = settings.plone_read_wait_seconds
        self._cut = metrics.plone_errors.labels("cut")
        self._pages = Pages(settings.cache_pages, settings.cache_mb * 1024 * 1024)
        self._flights: SingleFlight[Union[Page, Alone]] = SingleFlight()
        self._together: dict[_Flight, Together] = {}
        # By the page's key and its writes: what was begun before a write is no answer to who asks after it.
        self._refreshes: dict[tuple[Key, bytes], _Refresh] = {}
        self._count = {
            name: metrics.cache.labels(name)
            for name in ("hit", "stale", "error", "revalidated", "miss", "collapsed", "bypass")
        }
        metrics.watch_cache(lambda: len(self._pages), lambda: self._pages.bytes)

    async def close(self) -> None:
        """Cancel the refreshes that no client waits for."""
        tasks = [refresh.task for refresh in self._refreshes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def asked(self, scope: Scope) -> Optional[Asked]:
        """Return what a GET asks for; None if it is for Plone alone to answer, which is counted."""
        asked = freshness.asked(scope, self._rules)
        if asked is None:
            self._count["bypass"].inc()
        return asked

    def at_hand(self, asked: Asked, scope: Scope) -> Optional[Found]:
        """Return a page that will do without asking Plone first, None if there is none."""
        page = self._pages.get(asked.key)
        if not isinstance(page, Page) or page.writes != self._upstream.writes or asked.again:
            return None
        if not asked.answered_by(page.status):
            return None
        now = time.monotonic()
        seconds = now - page.asked_at
        left = page.life.fresh - seconds
        if left > 0:
            self._count["hit"].inc()
        elif seconds < page.life.stale or (now < page.quiet_until and seconds < page.life.error):
            self._count["stale"].inc()
            if now >= page.quiet_until and len(self._refreshes) < _REFRESHES:
                self._refresh(asked.key, page, scope)
        else:
            return None
        return Found(page, page.age + int(seconds), b"eduhub-bridge; hit; ttl=%d" % (left // 1))

    async def fetch(self, asked: Asked, scope: Scope) -> Union[Found, Alone, None]:
        """Return a page, or an answer for this client alone, or None: then the client has to ask for itself.

        Raises UpstreamError and RefusedError.
        """
        page = self._pages.get(asked.key)
        if isinstance(page, Solitary):
            if time.monotonic() < page.until:
                self._count["bypass"].inc()
                return None
            page = None
        if page is None or not self._usable(page):
            found = await self._first(asked, scope)
        elif asked.answered_by(page.status):
            found = await self._renewed(asked, page, scope)
        else:
            self._count["bypass"].inc()
            return None
        return None if isinstance(found, Found) and not asked.answered_by(found.page.status) else found

    async def _first(self, asked: Asked, scope: Scope) -> Union[Found, Alone, None]:
        flight = (asked.key, self._upstream.writes, _FROM_NOTHING)
        joined = flight in self._flights
        self._count["collapsed" if joined else "miss"].inc()
        loop = asyncio.get_running_loop()
        since = loop.time()
        while True:
            try:
                got = await self._flown(flight, scope, None, since)
                break
            except UpstreamError as error:
                # The client that asked first has too much in the queue, or has waited its time, which is not the fault
                # of this one. All that it waits is counted from the beginning.
                if not joined or error.kind not in _OF_THE_FIRST or loop.time() >= since + self._wait_seconds:
                    raise
            joined = flight in self._flights
        if isinstance(got, Alone):
            if got.suits(asked, scope):
                return got
            got.close()
            return None
        how = b"collapsed" if joined else b"fwd-status=%d; stored" % got.status
        return Found(got, got.age, MISS + b"; " + how)

    async def _renewed(self, asked: Asked, page: Page, scope: Scope) -> Union[Found, Alone, None]:
        refresh = self._refreshes.get((asked.key, page.writes))
        if refresh is None:
            refresh = self._refresh(asked.key, page, scope)
        else:
            self._join((asked.key, page.writes, _FROM_OLD), scope)
        while not refresh.task.done() and (seconds := self._patience(refresh)) > 0:
            # Not cancelled with this client: others, and the next one, gain from it.
            await asyncio.wait({refresh.task}, timeout=seconds)
        got = refresh.task.result() if refresh.task.done() and not refresh.task.cancelled() else None
        if isinstance(got, Alone):
            return None
        if got is None:
            if not self._usable(page):  # any more
                return await self._first(asked, scope)
            self._count["error"].inc()
            seconds = time.monotonic() - page.asked_at
            status = b"eduhub-bridge; hit; ttl=%d; detail=stale-if-error" % ((page.life.fresh - seconds) // 1)
            return Found(page, page.age + int(seconds), status)
        self._count["revalidated"].inc()
        why = b"request" if asked.again else b"stale"
        return Found(got, got.age, b"eduhub-bridge; fwd=%s; stored" % why)

    def _patience(self, refresh: _Refresh) -> float:
        """Return for how many seconds to wait for a new page while there is an old one; then ask again."""
        if not self._upstream.well:
            return 0.0
        # A Plone that is not asked is not heard from.
        heard = max(self._upstream.last_answer, min(each.begun for each in self._refreshes.values()))
        return max(refresh.begun + _HANGING_SECONDS, heard + _SILENCE_SECONDS) - time.monotonic()

    def _usable(self, page: Page) -> bool:
        """Return whether the page may be given out for want of a better one."""
        return page.writes == self._upstream.writes and time.monotonic() - page.asked_at < page.life.error

    def _refresh(self, key: Key, page: Page, scope: Scope) -> _Refresh:
        task = asyncio.get_running_loop().create_task(self._ask_again(key, page, scope))
        refresh = self._refreshes[key, page.writes] = _Refresh(task, time.monotonic())
        task.add_done_callback(lambda _: self._refreshes.pop((key, page.writes), None))
        return refresh

    async def _ask_again(self, key: Key, page: Page, scope: Scope) -> Union[Page, Alone, None]:
        """Return the new page, an Alone that is closed if there is none any more, or None if Plone failed."""
        try:
            got = await self._flown((key, self._upstream.writes, _FROM_OLD), scope, page)
        except (UpstreamError, RefusedError, _FailedError):
            return None
        finally:
            page.quiet_until = time.monotonic() + _QUIET_SECONDS
        if isinstance(got, Alone):
            got.close()
        return got

    async def _flown(
        self, flight: _Flight, scope: Scope, page: Optional[Page], since: Optional[float] = None
    ) -> Union[Page, Alone]:
        """Return what Plone answers to all who ask for this at a time; raise UpstreamError or _FailedError."""
        target = self._target(_everybodys(flight[0], scope))
        self._join(flight, scope, since)
        return await self._flights.run(flight, partial(self._lead, flight, scope, target, page, since))

    def _join(self, flight: _Flight, scope: Scope, since: Optional[float] = None) -> None:
        """Let the one request to Plone have this client's turn, too, if it still waits."""
        together = self._together.get(flight)
        if together is not None:
            together.join(headers.forwarded(scope["headers"]), since)

    async def _lead(
        self, flight: _Flight, scope: Scope, target: Target, page: Optional[Page], since: Optional[float]
    ) -> Union[Page, Alone]:
        together = self._together[flight] = Together(headers.forwarded(scope["headers"]), since)
        try:
            return await self._ask(flight[0], target, page, together)
        finally:
            del self._together[flight]

    async def _ask(
        self, key: Key, target: Target, page: Optional[Page], together: Together
    ) -> Union[Page, Alone]:
        """Ask Plone, on condition if there is a `page`, and store what may be; raise UpstreamError or _FailedError."""
        asked_at, writes = time.monotonic(), self._upstream.writes
        fields = list(target.fields)
        if page is not None and page.etag:
            fields.append(("if-none-match", page.etag.decode("latin-1")))
        elif page is not None and page.modified:
            fields.append(("if-modified-since", page.modified.decode("latin-1")))
        answer = await self._upstream.fetch(
            "GET", target.path, fields, begins=promise, feature="pages", together=together
        )
        try:
            return await self._made(key, page, answer, asked_at, writes)
        except BaseException:
            answer.close()
            raise

    async def _made(
        self, key: Key, page: Optional[Page], answer: ClientResponse, asked_at: float, writes: bytes
    ) -> Union[Page, Alone]:
        fields = headers.response(answer.raw_headers, answer.status)
        old = page if answer.status == 304 else None
        if old is not None:
            fields = old.updated(fields)  # with what Plone said of the page, and does not repeat
        life = freshness.life(old.status if old else answer.status, fields, self._limits)
        if page is not None and answer.status >= 500:
            raise _FailedError
        if old is not None and life is not None:
            answer.close()
            return self._store(key, Page(old.status, fields, old.body, life, asked_at, writes))
        body = b""
        if life is not None:
            whole, body = await self._body(answer)
            if whole:
                return self._store(key, Page(answer.status, _framed(fields, body), body, life, asked_at, writes))
        if answer.status < 500:
            self._pages.put(key, Solitary(asked_at + _SOLITARY_SECONDS))
        return Alone(answer, body, freshness.unheard(answer.status, fields, shared=life is not None))

    def _store(self, key: Key, page: Page) -> Page:
        # A write that ended meanwhile may have changed it: good enough for those who asked before, and for no others.
        if page.writes == self._upstream.writes:
            self._pages.put(key, page)
        return page

    async def _body(self, answer: ClientResponse) -> tuple[bool, bytes]:
        """Return whether the body is short enough to be stored, and it, or what was read of it; raise UpstreamError."""
        longest = self._pages.longest
        if answer.content_length is not None and answer.content_length > longest:
            return False, b""
        chunks: list[bytes] = []
        size = 0
        content = answer.content
        try:
            while not content.at_eof():
                chunk = await content.readany()
                chunks.append(chunk)
                size += len(chunk)
                if size > longest:
                    return False, b"".join(chunks)
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            self._cut.inc()
            raise UpstreamError("cut", 502, "Plone's answer broke off.") from error
        return True, b"".join(chunks)


def _everybodys(key: Key, scope: Scope) -> Scope:
    """Return one client's request without what is its own."""
    return {**scope, "query_string": key[1], "headers": freshness.for_everybody(key, scope["headers"])}


def _framed(fields: list[tuple[bytes, bytes]], body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields with the length that is known now."""
    if any(name == b"content-length" for name, _ in fields):
        return fields
    return [*fields, (b"content-length", b"%d" % len(body))]
