"""The limits of Plone: every request passes here, and so is queued, refused and retried by the same rules.

    answer = await upstream.fetch("GET", path, fields)      # raises UpstreamError
    try:
        body = await answer.read()
    finally:
        answer.close()

Plone computes a few reads at a time and one write, so that is all it is given (the write by both slots of a host
together, see writes), and beside them a few logins, which wait for no write; the others wait, each client for its turn
(see fairness), and those who would wait too long are told so at once. People come before jobs and live changes, which
moreover begin no write while people wait to read. A place is held for as long as Plone is busy, which is neither when
the client is there nor when it is gone:

- A write that Plone takes longer for than the timeout has its place no more: one that hangs would end all writing. What
  is read before its end is as old then as what was read before it: see Transport.
- A read has its place until Plone's answer is whole. A client that leaves before leaves it to the bridge to wait:
  Plone computes on, and the next read would be one too many.
- An answer too long to be buffered here moves to a lane of its own. Zope hands all of a page to its server before
  the head leaves, and files are sent by the server alone, so Plone's thread is free while such a body takes as long
  as its client does. Where that lane is full, it is refused: keeping its read's place, a few who look at films would
  stop everybody else. A write that has been done is answered in any case.
- A body that is sent, likewise: Plone's server collects it before a thread sees it. Short ones are collected here
  too, so that a slow sender holds nothing; long ones are passed on as they come, in the same lane, and their write
  begins, and waits for its place, with the last piece.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, AsyncIterator, Callable, Coroutine, Optional

from aiohttp import ClientResponse

from eduhub_bridge.patterns.breaker import CLOSED, CircuitBreaker, CircuitOpenError
from eduhub_bridge.patterns.lane import Lane, LaneBusyError, Place, Together
from eduhub_bridge.patterns.retry import RetryBudget, retried
from eduhub_bridge.patterns.streams import hold_end
from eduhub_bridge.settings import Settings
from eduhub_bridge.telemetry.logs import say
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream import fairness, request_kind
from eduhub_bridge.upstream.request_kind import Kind
from eduhub_bridge.upstream.transport import Body, Transport, UpstreamError
from eduhub_bridge.upstream.writes import WriteLane, Written

__all__ = ["Body", "Upstream", "UpstreamError", "promise"]

# What aiohttp reads ahead of a slow client, so that an answer of this length ends whatever its client does.
BUFFERED_BYTES = 128 * 1024
# Bodies up to here are collected before Plone is asked.
COLLECTED_BYTES = 64 * 1024
# Of this many places one client gets all but one, so that its slow pages do not keep everybody waiting. With fewer, a
# site whose readers all share one address would lose too much.
_SHARED_PLACES = 3
# How long a request of a job waits at most before it joins the queue while people wait to read, and how often it looks.
# A write keeps Plone's processor from readers whatever lane it is in.
_YIELD_SECONDS, _LOOK_SECONDS = 1.0, 0.05
# What stands in front of Plone says that Plone is out of order. When Zope itself says so, it means a mistake in the
# code of one page: KeyError and NameError are 503 there.
_OUT_OF_ORDER = frozenset({502, 503, 504})


def promise() -> None:
    """Promise that the caller of this fetch is never cancelled, even if its client leaves: see Upstream.fetch."""


class Upstream:
    """Plone behind its lanes, its circuit breaker and its retry budget; made once for each application.

    Raises OSError where the directory of the store takes no files.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._written = Written(settings.state_dir)
        # What was read while Plone was still at a write is old when that ends, too.
        self._transport = Transport(settings, self._written.anew)
        queue, late = settings.plone_queue, settings.plone_write_wait_seconds
        whose = fairness.client
        places, wait = settings.plone_reads, settings.plone_read_wait_seconds
        share = _share(places, places - 1)
        self._reads = Lane(places, queue, wait, metrics.waited("reads"), whose, share, lambda: self._silent(wait))
        self._writes = WriteLane(settings.state_dir, queue, late, metrics.waited("writes"), whose)
        logins = settings.plone_logins
        share = _share(logins, logins - 1)
        self._sessions = Lane(logins, queue, late, metrics.waited("sessions"), whose, share)
        others = settings.plone_connections - places - 1
        share = _share(others, others * 3 // 4)
        self._transfers = Lane(others, queue, late, metrics.waited("transfers"), whose, share)
        self._lanes = {Kind.READ: self._reads, Kind.SESSION: self._sessions, Kind.WRITE: self._writes}
        for name, lane in (
            ("reads", self._reads), ("writes", self._writes), ("sessions", self._sessions),
            ("transfers", self._transfers),
        ):  # fmt: skip
            _watch(metrics, name, lane)
        self._breaker = CircuitBreaker(settings.plone_failures, settings.plone_pause_seconds, self._turned)
        self._resting = False
        metrics.watch_breaker(lambda: self._breaker.state)
        self._budget = RetryBudget()
        metrics.watch_budget(lambda: self._budget.left)
        self._last_answer = 0.0
        self._abandoned: set[asyncio.Task[ClientResponse]] = set()

    async def open(self) -> None:
        """Make the connections' pools, in the loop that will use them."""
        await self._transport.open()
        self._last_answer = time.monotonic()

    async def close(self) -> None:
        """Close every connection, also those that no request waits for any more."""
        abandoned = list(self._abandoned)
        for task in abandoned:
            task.cancel()
        await asyncio.gather(*abandoned, return_exceptions=True)
        await self._transport.close()
        self._writes.close()
        self._written.close()

    @property
    def writes(self) -> bytes:
        """Return another value after each request that may have changed content, through any slot of the host.

        What was read while it was another one is old.
        """
        return self._written.value

    @property
    def well(self) -> bool:
        """Return whether Plone answers, as far as is known: false while it is left alone."""
        return self._breaker.state == CLOSED

    @property
    def last_answer(self) -> float:
        """Return when Plone last answered anybody, in seconds of the monotonic clock."""
        return self._last_answer

    async def probe(self) -> Optional[str]:
        """Ask the cheap page once, past every lane; return None if it answered 200, else what happened, in words."""
        return await self._transport.probe()

    async def fetch(
        self,
        method: str,
        path: str,
        fields: list[tuple[str, str]],
        body: Body = None,
        *,
        seconds: Optional[float] = None,
        begins: Optional[Callable[[], None]] = None,
        feature: str = "pass_through",
        background: bool = False,
        together: Optional[Together] = None,
        whose: Optional[list[tuple[str, str]]] = None,
    ) -> ClientResponse:
        """Return Plone's answer, its body not read yet; raise UpstreamError, or what `body` raises.

        `path` goes out as it is, after the origin. `seconds` is the longest silence of Plone that is put up with,
        if not the usual; `feature` names, for the metrics, what of the bridge it is that asks. The caller reads the
        body to its end or closes the response: until then a place is taken.

        The request waits in the queue of the client that `fields` tell of, or of the one that `whose` does, fields that
        are not sent, or of those that ask `together`. One in the `background` lets those of people pass.

        The caller may be cancelled at any time. One that gives `begins`, which is called when Plone begins, promises
        not to be from then until the answer, and is spared the task that waits for Plone in its stead; `promise` is
        for those who are never cancelled.
        """
        kind = request_kind.kind(method, path, _content_type(fields) if method == "POST" else "", fields)
        lane = self._lanes[kind]
        seconds = seconds or self._settings.plone_seconds
        held = _Held(begins, together.whose[0] if together else whose or fields, background, together)
        if background and kind is not Kind.READ:
            await self._yield()
        if body is None or isinstance(body, bytes):
            self._admit()
            held.begin(await self._enter(lane, held))
        else:
            length = _length(fields)
            if length is not None and length <= COLLECTED_BYTES:
                body = b"".join([chunk async for chunk in body])
                self._admit()
                held.begin(await self._enter(lane, held))
            else:
                self._admit()
                held.add(await self._enter(self._transfers, held))
                body = self._paced(body, length, held, lane)
        exchange = self._exchange(method, path, fields, body, kind, seconds, held, feature)
        return await (self._shielded(exchange, held) if begins is None else exchange)

    def _silent(self, seconds: float) -> bool:
        return time.monotonic() - self._last_answer >= seconds

    def _admit(self) -> None:
        try:
            self._breaker.admit()
        except CircuitOpenError as refusal:
            detail = f"The bridge gives Plone a rest: {refusal}"
            raise self._counted(UpstreamError("breaker_open", 503, detail, refusal.retry_seconds)) from None

    async def _yield(self) -> None:
        """Wait while people do, for a while."""
        until = time.monotonic() + _YIELD_SECONDS
        # An event for each change of the queue would wake it more often than this.
        while self._reads.waiting > self._reads.waiting_in_background and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)

    async def _enter(self, lane: Lane, held: _Held) -> Place:
        try:
            return await lane.enter(held.whose, background=held.background, together=held.together)
        except LaneBusyError as busy:
            if lane is self._reads and not busy.full and self._silent(lane.seconds):
                # Every place was taken all that time and not one answer came: Plone hangs.
                silence = time.monotonic() - self._last_answer
                self._breaker.trip(f"Plone has answered nothing for {silence:.0f} s.")
            kind = "queue_full" if busy.full else "queue_late"
            if busy.crowded_out:
                detail = "The queue for Plone is full, and this client has more requests in it than others."
            elif busy.full:
                detail = "Too many requests wait for Plone already."
            else:
                detail = f"Plone was too busy to begin with this within {lane.seconds:g} s."
            raise self._counted(UpstreamError(kind, 503, detail, busy.retry_seconds)) from None

    async def _paced(
        self, body: AsyncIterator[bytes], length: Optional[int], held: _Held, lane: Lane
    ) -> AsyncIterator[bytes]:
        """Yield `body`, its end when there is a place in `lane`; what goes wrong here is not Plone's fault."""

        async def begin() -> None:
            held.begin(await self._enter(lane, held))

        try:
            async for chunk in hold_end(body, length, until=begin):
                yield chunk
        except Exception as error:
            held.error = error
            raise

    async def _shielded(self, exchange: Coroutine[Any, Any, ClientResponse], held: _Held) -> ClientResponse:
        """Await the exchange; called off, let what Plone has begun come to its end, and its place with it."""
        task: asyncio.Task[ClientResponse] = asyncio.get_running_loop().create_task(exchange)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not held.begun:
                task.cancel()
            self._abandoned.add(task)
            task.add_done_callback(self._close_abandoned)
            raise

    def _close_abandoned(self, task: asyncio.Task[ClientResponse]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled() and task.exception() is None:
            task.result().close()

    async def _exchange(
        self, method: str, path: str, fields: list[tuple[str, str]], body: Body, kind: Kind, seconds: float,
        held: _Held, feature: str,
    ) -> ClientResponse:  # fmt: skip
        started = time.perf_counter()
        changed = True
        self._budget.earn()
        try:
            try:
                answer = await self._attempt(method, path, fields, body, kind, seconds, held)
            except UpstreamError as failure:
                # Nothing special is paid for what goes well.
                attempt = partial(self._attempt, method, path, fields, body, kind, seconds, held)
                told = self._metrics.plone_retries.inc
                answer = await retried(attempt, self._again, self._budget, failure=failure, told=told)
            away = request_kind.turned_away(answer.status, answer.headers)
            changed = not away and not request_kind.refused(path, answer.status)
        except UpstreamError as error:
            held.free()
            changed = error.sent
            raise (held.error or self._counted(error)) from error
        except BaseException:
            held.free()
            raise
        finally:
            # Before anybody can know of it. Also when it failed: a lost answer is no proof that nothing was written.
            if kind is Kind.WRITE and held.begun and changed:
                self._written.anew()
        self._metrics.plone_answered(feature, method, answer.status, time.perf_counter() - started)
        self._last_answer = time.monotonic()
        self._keep(answer, kind, held, seconds)
        return answer

    def _keep(self, answer: ClientResponse, kind: Kind, held: _Held, seconds: float) -> None:
        """Free the places when the answer's body has come, or at once if that may take as long as its client likes.

        Raises UpstreamError where too many such bodies are on their way. A short body that drips in for `seconds` is
        the network's work by then, and not Plone's.
        """
        connection = answer.connection
        if connection is None:  # the end came with the head
            held.free()
            return
        length = answer.content_length
        if length is None or length > BUFFERED_BYTES:
            held.free()
            transfer = self._transfers.enter_now(held.whose, background=held.background)
            if transfer is not None:
                connection.add_callback(transfer.free)
            elif kind is not Kind.WRITE:
                answer.close()
                busy = self._transfers.busy
                detail = f"{busy} long answers are on their way already; one has to end first."
                if busy < self._transfers.places:
                    detail = "Too many long answers are on their way to this client already; one has to end first."
                raise self._counted(UpstreamError("queue_full", 503, detail, self._transfers.seconds))
            return
        dripping = asyncio.get_running_loop().call_later(seconds, held.free)

        def ended() -> None:
            dripping.cancel()
            held.free()

        connection.add_callback(ended)

    def _again(self, error: Exception) -> bool:
        """Return whether to ask again: nothing was sent, so all may be repeated, but not while others are refused."""
        return isinstance(error, UpstreamError) and error.kind == "connect" and self.well

    async def _attempt(
        self, method: str, path: str, fields: list[tuple[str, str]], body: Body, kind: Kind, seconds: float, held: _Held
    ) -> ClientResponse:
        # Zope sends a body after HEAD too. On a kept connection it would be taken for the answer to the next request,
        # and the client that uploads a file chooses what it says.
        kept = body is None and kind is Kind.READ and method != "HEAD" and not request_kind.may_write(fields)
        try:
            try:
                answer = await self._transport.ask(
                    method, path, fields, body, kept=kept, seconds=seconds, writes=kind is Kind.WRITE
                )
            except UpstreamError as error:
                # A kept connection may die at the very moment it is used again: that is no failure yet. A fresh one
                # takes an answer that its server has framed wrongly, too.
                if not kept or error.kind not in ("severed", "protocol") or not self._budget.spend():
                    raise
                self._metrics.plone_retries.inc()
                answer = await self._transport.ask(method, path, fields, None, kept=False, seconds=seconds)
        except UpstreamError as error:
            if error.kind == "protocol":  # an answer, and its view's own mistake
                self._breaker.succeeded()
            elif held.error is None:
                self._breaker.failed(str(error))
            raise
        away = request_kind.turned_away(answer.status, answer.headers)
        if answer.status in _OUT_OF_ORDER and not away and "Zope" not in answer.headers.get("x-powered-by", ""):
            self._breaker.failed(f"Plone answers {answer.status}.")
        else:
            self._breaker.succeeded()
        return answer

    def _counted(self, error: UpstreamError) -> UpstreamError:
        self._metrics.plone_errors.labels(error.kind).inc()
        return error

    def _turned(self, state: str, why: str) -> None:
        """Say when Plone is left alone and when that is over; the trials in between are in the metrics."""
        self._metrics.breaker_turned.labels(state).inc()
        if self._resting != (state != CLOSED):
            self._resting = not self._resting
            if self._resting:
                say("plone_left_alone", level="warning", why=why)
            else:
                say("plone_is_back", was=why)


class _Held:
    """The places of one request, and what is known of it: whether Plone may have begun, and whose fault an error is."""

    __slots__ = ("_begins", "_ended", "_places", "background", "begun", "error", "together", "whose")

    def __init__(
        self, begins: Optional[Callable[[], None]], whose: Any, background: bool, together: Optional[Together]
    ) -> None:
        self._begins = begins
        self.whose, self.background, self.together = whose, background, together
        self._places: list[Place] = []
        self._ended = False
        self.begun = False
        self.error: Optional[Exception] = None

    def add(self, place: Place) -> None:
        """Hold `place` too, unless all is over."""
        if self._ended:
            place.free()
        else:
            self._places.append(place)

    def begin(self, place: Place) -> None:
        """Hold the place at which Plone begins."""
        self.add(place)
        self.begun = True
        if self._begins is not None:
            self._begins()

    def free(self) -> None:
        """Give all places back."""
        self._ended = True
        for place in self._places:
            place.free()


def _share(places: int, share: int) -> Optional[int]:
    """Return how many of the places one client may hold; None for all."""
    return share if places >= _SHARED_PLACES else None


def _watch(metrics: Metrics, name: str, lane: Lane) -> None:
    metrics.watch_lane(name, lambda: lane.busy, lambda: lane.waiting, lambda: lane.waiting_in_background)


def _content_type(fields: list[tuple[str, str]]) -> str:
    return next((value for name, value in fields if name == "content-type"), "")


def _length(fields: list[tuple[str, str]]) -> Optional[int]:
    """Return how long a body will be; None if that is not known."""
    for name, value in fields:
        if name == "content-length" and value.isdigit():
            return int(value)
    return None
