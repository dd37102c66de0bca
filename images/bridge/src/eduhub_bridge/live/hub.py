"""Brings listeners together with what happens: in this process, in the other slot, and in Plone itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Awaitable, Callable, Dict, List, Optional, Sequence, Set, Union

from eduhub_bridge.live.audience import Audience
from eduhub_bridge.live.changes import Change
from eduhub_bridge.live.listener import Listener, message
from eduhub_bridge.live.presence import Presence
from eduhub_bridge.plone.client import Site
from eduhub_bridge.plone.identity import Identities, UnknownUserError
from eduhub_bridge.store.database import StoreError
from eduhub_bridge.store.events import Events
from eduhub_bridge.telemetry.logs import Seldom
from eduhub_bridge.upstream.limits import UpstreamError
from eduhub_bridge.web.disconnect import at_most

MOST_LISTENERS = 1000
# From one address: a school may be behind it, but it must not be all who listen.
MOST_OF_ONE_CLIENT = 250
# With a credential: each is polled for on its own. The public is one more, and has its place. One user has one for each
# token, and could have any number of those.
MOST_AUDIENCES = 64
AUDIENCES_OF_ONE_CLIENT = 32
AUDIENCES_OF_ONE_USER = 8
# How soon changes of the other slot are seen.
_TICK_SECONDS = 0.25
_IDLE_SECONDS = 5.0
_TIDY_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 2.0


class CrowdedError(Exception):
    """No more can listen here."""


@dataclass(eq=False)
class _Room:
    """An audience, and the task that serves it; `news` is set when there may be something to tell."""

    audience: Audience
    news: asyncio.Event
    task: List["asyncio.Task[None]"] = field(default_factory=list)
    # When the first of those left who came back before the first poll.
    since: Optional[float] = None


class Hub:
    """`start` and `stop` belong to the application's lifespan; `drain` to the signal."""

    def __init__(
        self, events: Events, identities: Identities, poll_seconds: float, lost: Callable[[], object]
    ) -> None:
        self.events = events
        self.presence = Presence(events)
        self._identities, self._poll_seconds, self._lost = identities, poll_seconds, lost
        self._rooms: Dict[bytes, _Room] = {}
        self._where: Dict[Listener, bytes] = {}
        self._of_client = Counter[str]()
        self._writing: Set[asyncio.Future[None]] = set()
        self._last: Optional[asyncio.Future[None]] = None
        self._log = Seldom()
        self._stopping = False

    def start(self) -> None:
        """Begin to look at the store."""
        self._ticking = asyncio.ensure_future(self._tick())

    def drain(self) -> None:
        """Tell every listener that this process stops."""
        self._stopping = True
        for listener in list(self._where):
            listener.end("stopping")

    def goodbye(self) -> int:
        """Tell every listener to connect again, since traffic has moved to another slot; return how many there were."""
        listeners = [each for each in self._where if not each.ended]  # others leave already
        for listener in listeners:
            listener.end("moved")
        return len(listeners)

    async def stop(self) -> None:
        """End what is going on; what was written is kept first."""
        tasks = [self._ticking, *(task for room in self._rooms.values() for task in room.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._writing, return_exceptions=True)

    def listeners(self) -> int:
        """Return how many listen here."""
        return len(self._where)

    # What happens

    def wrote(self, changes: Sequence[Change], author: Union[str, Awaitable[str]]) -> None:
        """A write through the bridge succeeded; tell it without waiting here, as soon as it is known whose it was."""
        self._last = self._later(self._wrote(changes, author, self._last))

    async def _wrote(
        self, changes: Sequence[Change], author: Union[str, Awaitable[str]], before: "Optional[asyncio.Future[None]]"
    ) -> None:
        name = author if isinstance(author, str) else await author
        if before is not None:
            await asyncio.wait([before])  # what was written first is told first
        for kind, path, old_path in changes:
            await self.events.wrote(kind, path, old_path, name, time.time())
        self._news()

    def _later(self, work: Awaitable[None]) -> "asyncio.Future[None]":
        future = asyncio.ensure_future(work)
        self._writing.add(future)
        future.add_done_callback(self._written)
        return future

    def _written(self, future: "asyncio.Future[None]") -> None:
        self._writing.discard(future)
        if not future.cancelled() and future.exception() is not None:
            self._log.say("event_lost", detail=str(future.exception()))

    def _news(self) -> None:
        for room in self._rooms.values():
            room.news.set()

    async def _tick(self) -> None:
        newest, tidied = 0, time.monotonic()
        while True:
            try:
                if self._where:
                    at = (await self.events.span())[1]
                    if at != newest:
                        newest = at
                        self._news()
                    await self.presence.tick()
                if time.monotonic() - tidied > _TIDY_SECONDS:
                    await self.events.tidy(time.time())
                    tidied = time.monotonic()
            except StoreError as error:
                self._log.say("store_failed", detail=str(error))
            except Exception as error:  # a fault of ours must not end the loop
                self._log.say("live_failed", detail=repr(error))
            await asyncio.sleep(_TICK_SECONDS if self._where else _IDLE_SECONDS / 5)

    # Who listens

    async def join(self, site: Site, user: str, listener: Listener) -> Audience:
        """Let somebody listen with an authority; raise CrowdedError."""
        digest = self._identities.digest(site.authorization) if site.authorization else b""
        moment = await self.events.moment(listener.last) if listener.last is not None else None
        # From here on without a pause: who is let in counts before another is looked at.
        if len(self._where) >= MOST_LISTENERS or self._stopping:
            raise CrowdedError
        if listener.client and self._of_client[listener.client] >= MOST_OF_ONE_CLIENT:
            raise CrowdedError
        room = self._rooms.get(digest)
        if room is None:
            if digest and not self._has_room(user, listener.client):
                raise CrowdedError
            room = self._rooms[digest] = _Room(Audience(site, user, self.events), asyncio.Event())
        if moment is not None:
            room.since = moment if room.since is None else min(room.since, moment)
        room.audience.listeners.add(listener)
        self._where[listener] = digest
        self._of_client[listener.client] += 1
        if not room.task:
            room.task.append(asyncio.ensure_future(self._serve(digest, room)))
        room.news.set()
        return room.audience

    def _has_room(self, user: str, client: str) -> bool:
        """Return whether there may be one more audience, of this user and from this address."""
        users = [room.audience.user for digest, room in self._rooms.items() if digest]
        of_client = len({digest for listener, digest in self._where.items() if listener.client == client})
        return (
            len(users) < MOST_AUDIENCES
            and (not user or users.count(user) < AUDIENCES_OF_ONE_USER)
            and (not client or of_client < AUDIENCES_OF_ONE_CLIENT)
        )

    def leave(self, listener: Listener) -> None:
        """Somebody listens no more; the last one of an audience takes its polls with him."""
        digest = self._where.pop(listener, None)
        room = self._rooms.get(digest) if digest is not None else None
        if digest is not None:
            self._of_client -= Counter([listener.client])  # and forget whom it has none of
            if listener.ended == "slow":
                self._lost()
        if room is None or digest is None:
            return
        room.audience.listeners.discard(listener)
        if not room.audience.listeners:
            del self._rooms[digest]
            for task in room.task:
                task.cancel()

    async def _serve(self, digest: bytes, room: _Room) -> None:
        audience, pause = room.audience, _TICK_SECONDS
        while self._rooms.get(digest) is room:  # else none of them listens any more
            try:
                await self._told(room)
                pause = _TICK_SECONDS
            except UnknownUserError:
                for listener in list(audience.listeners):
                    listener.end("unknown user")
                self._rooms.pop(digest, None)
                return
            except Exception as error:
                # Nothing is lost: what could not be judged now is judged when Plone answers again, or answers with
                # sense. Ended here, its listeners would hear heartbeats for ever and nothing else.
                expected = isinstance(error, (UpstreamError, StoreError))
                detail, level = (str(error), "warning") if expected else (repr(error), "error")
                self._log.say("live_waits", level=level, detail=detail)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            with contextlib.suppress(asyncio.TimeoutError):
                await at_most(self._interval(), room.news.wait())

    async def _told(self, room: _Room) -> None:
        audience = room.audience
        room.news.clear()
        if audience.user:
            await self._identities.user(audience.site)
        while await audience.deliver():
            pass
        if time.monotonic() - audience.polled >= self._interval():
            await audience.poll(room.since)
            await self._recheck(audience)
            audience.polled = time.monotonic()
            while await audience.deliver():
                pass

    async def _recheck(self, audience: Audience) -> None:
        """End the presence of those who may not look there any more: names of people are told there."""
        for path in await audience.hidden(self.presence.places(audience.listeners)):
            for session, listener in self.presence.at(path, audience.listeners):
                await self.presence.leave(session, path)
                listener.put(message("left", path=path, detail=f"There is no item {path} for you any more."))

    def _interval(self) -> float:
        """Return how often each audience is polled for: all together no more than one poll a second."""
        return max(self._poll_seconds, float(len(self._rooms)) if self._poll_seconds >= 1 else 0.0)
