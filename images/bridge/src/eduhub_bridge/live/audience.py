"""All listeners with one authority: what they may know is asked of Plone, with that authority, once for all of them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple
from urllib.parse import quote

from eduhub_bridge.live.changes import CHANGED, CREATED, DELETED
from eduhub_bridge.live.listener import Listener, Message, message
from eduhub_bridge.patterns.gather import gather
from eduhub_bridge.plone.client import Site
from eduhub_bridge.store.events import Event, Events
from eduhub_bridge.upstream.addresses import path_of
from eduhub_bridge.upstream.limits import UpstreamError

BATCH = 50
_POLLED = 100
# Half of the reads that Plone is asked at once: listeners are no hurry.
_SEARCHES = 2
# Beyond this a request line is refused by somebody on the way.
_LONGEST_QUERY = 4000
# How far Plone's clock may be from ours before a change is told twice to who comes back.
_SKEW_SECONDS = 2.0
_SETTLE_SECONDS = 0.3
_KNOWN_PATHS, _KNOWN_CHANGES = 2048, 1024
# The most missed changes that are sent again; a listener that missed more reloads.
_MOST_MISSED = 1000


# Path, uid, modification time in UTC, and whether it is new or changed.
_Found = Tuple[str, str, str, str]


class _Recent:
    """Remembers the newest few."""

    def __init__(self, most: int) -> None:
        self._most, self._kept = most, OrderedDict[Any, None]()

    def add(self, thing: Any) -> None:
        self._kept[thing] = None
        self._kept.move_to_end(thing)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def drop(self, thing: Any) -> None:
        self._kept.pop(thing, None)

    def __contains__(self, thing: object) -> bool:
        return thing in self._kept


class _Paths(_Recent):
    """Remembers the newest few paths."""

    def hold(self, path: str) -> bool:
        """Return whether the path, or one below it, is among them."""
        return path in self or next(self._below(path), None) is not None

    def drop_all(self, path: str) -> None:
        """Forget the path and all below it."""
        for each in [path, *self._below(path)]:
            self.drop(each)

    def _below(self, path: str) -> Iterator[str]:
        return (each for each in self._kept if each.startswith(f"{path}/"))


class Audience:
    """`user` is empty for the anonymous one. Its methods raise UpstreamError when Plone does not answer."""

    def __init__(self, site: Site, user: str, events: Events) -> None:
        self.site, self.user, self.listeners = site, user, set[Listener]()
        self.polled = 0.0
        self._events = events
        self._at: Optional[int] = None
        self._since: Optional[str] = None
        # Items that this authority has been seen to see: only of those it may learn that they are gone.
        self._seen = _Paths(_KNOWN_PATHS)
        self._told = _Recent(_KNOWN_CHANGES)

    async def sees(self, path: str) -> bool:
        """Return whether Plone shows the item to this authority."""
        return bool(await self._visible([path]))

    async def hidden(self, paths: Set[str]) -> Set[str]:
        """Return those of the paths that Plone does not show to this authority."""
        return paths - (await self._visible(sorted(paths))).keys() if paths else set()

    async def deliver(self) -> bool:
        """Tell what has happened since the last time; return whether there is more."""
        back = [each for each in self.listeners if each.last is not None]
        first, newest = await self._events.span()
        if self._at is None:
            self._at = newest
        await self._place([each for each in self.listeners if not each.placed])
        # Who heard in the other slot what this one has yet to tell gets what comes after that, with all others.
        ahead = {each: each.last for each in back if each.last is not None and self._at < each.last <= newest}
        for listener in back:
            if listener not in ahead:
                await self._catch_up(listener, first, self._at)
        news = await self._events.after(self._at, 0, BATCH)
        if not news:
            return False
        for event, text in await self._judged(news):
            for listener in self.listeners:
                told = listener.last is None or ahead.get(listener, event.id) < event.id
                if told and listener.wants_event(event.kind, event.path, event.old_path):
                    listener.put(text)
        self._at = news[-1].id
        for listener, last in ahead.items():
            listener.last = None if last <= self._at else last
        return len(news) == BATCH or any(each.last is not None for each in self.listeners)

    async def _place(self, listeners: Sequence[Listener]) -> None:
        """See what is there where they listen: only so can they be told that it is gone."""
        if listeners:
            await self._visible(sorted({each.path for each in listeners}))
            for each in listeners:
                each.placed = True

    async def _catch_up(self, listener: Listener, first: int, until: int) -> None:
        """Tell a listener that came back what it missed, or that it cannot be told."""
        at = listener.last or 0
        if at + 1 < first or until - at > _MOST_MISSED or at > until:
            listener.put(message("reset", id=until, detail="Some changes were missed: load again what you show."))
            at = until
        while at < until:
            missed = await self._events.after(at, until, BATCH)
            if not missed:
                break
            for event, text in await self._judged(missed):
                if listener.wants_event(event.kind, event.path, event.old_path):
                    listener.put(text)
            at = missed[-1].id
        listener.last = None

    async def _judged(self, events: Sequence[Event]) -> List[Tuple[Event, Message]]:
        """Return the events that this authority may know, as messages.

        What was gone again before it could be judged is told as deleted, if at all.
        """
        visible = await self._visible(sorted({event.path for event in events if event.kind != DELETED}))
        may: List[Tuple[Event, Message]] = []
        new: List[Tuple[int, str, str]] = []
        for event in events:
            if event.kind == DELETED:
                self._gone(event, may)
            elif event.path in visible:
                uid, modified = visible[event.path]
                if not event.uid:
                    new.append((event.id, uid, modified))
                may.append((event, self._text(event, {"uid": uid, "modified": modified})))
                self._told.add((uid, modified))
                if event.old_path:
                    self._seen.drop_all(event.old_path)
            elif event.old_path:  # moved to where this authority may not look
                self._gone(replace(event, kind=DELETED, path=event.old_path, old_path=""), may)
        if new:
            await self._events.known(new)
        return may

    def _gone(self, event: Event, may: List[Tuple[Event, Message]]) -> None:
        if self._knew(event, event.path):
            may.append((event, self._text(event, {})))
        self._seen.drop_all(event.path)

    def _knew(self, event: Event, path: str) -> bool:
        """Return whether this authority has seen the item there, or something in it, or has done this itself."""
        return bool(self.user and event.author == self.user) or self._seen.hold(path)

    def _text(self, event: Event, more: Mapping[str, str]) -> Message:
        known: Dict[str, Any] = {**more, "time": _moment(event.created)}
        if event.old_path and self._knew(event, event.old_path):
            known["old_path"] = event.old_path
        if event.author and self.user:
            known["by"] = event.author
        return message(event.kind, id=event.id, path=event.path, **known)

    async def _visible(self, paths: Sequence[str]) -> Dict[str, Tuple[str, str]]:
        """Return uid and modification time of those of the paths that Plone shows."""
        visible: Dict[str, Tuple[str, str]] = {}
        # The site itself has no path below the site: it is what a search without one stands on.
        root: List[List[str]] = [[]] if "/" in paths else []
        portions = [*root, *_portions([path for path in paths if path != "/"])]
        for found in await gather(_SEARCHES, (partial(self._at_paths, some) for some in portions)):
            visible.update({path: (uid, modified) for path, uid, modified, _ in found})
        for path in visible:
            self._seen.add(path)
        return visible

    async def poll(self, first: Optional[float]) -> None:
        """Look in Plone's catalogue for what was not written through the bridge, since `first` the first time."""
        new = self._since is None
        # A minute back: Plone's clock is not ours, and its index knows minutes only.
        since = self._since or _moment((first or time.time()) - 60)[:16] + "Z"
        pairs = [
            ("sort_on", "modified"), ("sort_order", "descending"), ("b_size", str(_POLLED)),
            ("modified.query", since), ("modified.range", "min"),
        ]  # fmt: skip
        found = await self._search(pairs)
        self._since = max([modified for _, _, modified, _ in found] or [since])[:16] + "Z"
        if new:
            self._no_news(found, first)
        if self._fresh(found):
            # What was written through the bridge a moment ago is on its way to the store: let it come first.
            await asyncio.sleep(_SETTLE_SECONDS)
            while await self.deliver():
                pass
        fresh = self._fresh(found)
        for path, uid, modified, _ in found:
            self._told.add((uid, modified))
            self._seen.add(path)
        if len(fresh) >= _POLLED:
            for listener in self.listeners:
                listener.put(message("reset", detail="There are more changes than are told one by one: load again."))
        elif fresh:
            changes = [(kind, path, uid, modified) for path, uid, modified, kind in reversed(fresh)]
            await self._events.found(changes, time.time())

    def _no_news(self, found: Sequence[_Found], first: Optional[float]) -> None:
        """What was there before anybody listened, or before he left, is told already."""
        before = _moment(first - _SKEW_SECONDS) if first is not None else None
        for _, uid, modified, _ in found:
            if before is None or modified < before:
                self._told.add((uid, modified))

    def _fresh(self, found: Sequence[_Found]) -> List[_Found]:
        return [each for each in found if (each[1], each[2]) not in self._told]

    async def _at_paths(self, paths: Sequence[str]) -> List[_Found]:
        """Return what Plone shows at these paths; at none of them, what it says of the site itself."""
        pairs = [("path.query", path) for path in paths]
        return await self._search([*pairs, ("path.depth", "0"), ("b_size", str(len(paths) or 1))])

    async def _search(self, pairs: List[Tuple[str, str]]) -> List[_Found]:
        """Return what a search finds."""
        fields = [("metadata_fields", name) for name in ("UID", "modified", "created")]
        reply = await self.site.ask("GET", "/", "/@search", query=[*pairs, *fields])
        document = reply.document() if reply.status == 200 else None
        if not isinstance(document, dict):
            raise UpstreamError("refused", 502, f"Plone answered {reply.status} to a search.")
        found: List[_Found] = []
        for item in document.get("items") or []:
            path = path_of(item["@id"]) or "/"
            modified, created = _utc(item.get("modified") or ""), _utc(item.get("created") or "")
            found.append((path.rstrip("/") or "/", item.get("UID") or "", modified, _kind(created, modified)))
        return found


def _portions(paths: Sequence[str]) -> Iterator[List[str]]:
    """Yield the paths in portions that fit into a request line; one that never fits is no path of an item."""
    portion: List[str] = []
    length = 0
    for path in paths:
        size = len(quote(path)) + len("path.query=&")
        if portion and length + size > _LONGEST_QUERY:
            yield portion
            portion, length = [], 0
        if size <= _LONGEST_QUERY:
            portion.append(path)
            length += size
    if portion:
        yield portion


def _kind(created: str, modified: str) -> str:
    # Making an item modifies it a moment later.
    return CREATED if created[:18] == modified[:18] else CHANGED


def _utc(moment: str) -> str:
    try:
        zone = moment.replace("Z", "+00:00")  # Python 3.9 does not read Z
        return datetime.fromisoformat(zone).astimezone(timezone.utc).isoformat()
    except ValueError:
        return ""


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
