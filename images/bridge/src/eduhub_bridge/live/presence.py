"""Who is at which item, in both slots: told to those who are there too."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Dict, List, Set, Tuple

from eduhub_bridge.live.listener import Listener, message
from eduhub_bridge.store.events import Events

# A slot that dies takes its people with it this much later.
_STAY_SECONDS = 15.0
_BEAT_SECONDS = 5.0
MOST_PATHS = 16

_People = List[Tuple[str, str, str, float]]


class Presence:
    """The sessions of this process. Every one at a path is told of every other, at once and whenever that changes."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._at: Dict[str, Tuple[Listener, Set[str]]] = {}
        self._told: Dict[Tuple[str, str], _People] = {}
        self._beat = 0.0

    async def join(self, session: str, listener: Listener, path: str, name: str, mode: str) -> bool:
        """Somebody is at an item; return False if he is at too many already."""
        _, paths = self._at.setdefault(session, (listener, set()))
        if path not in paths and len(paths) >= MOST_PATHS:
            return False
        paths.add(path)
        now = time.time()
        await self._events.be(session, path, name, mode, now, now + _STAY_SECONDS)
        await self.tick()
        return True

    def places(self, listeners: Set[Listener]) -> Set[str]:
        """Return where these are."""
        return {path for listener, paths in self._at.values() if listener in listeners for path in paths}

    def at(self, path: str, listeners: Set[Listener]) -> List[Tuple[str, Listener]]:
        """Return the sessions of these that are at an item."""
        everybody = self._at.items()
        return [(each, who) for each, (who, paths) in everybody if path in paths and who in listeners]

    async def leave(self, session: str, path: str) -> None:
        """Somebody left an item."""
        _, paths = self._at.get(session, (None, set()))
        paths.discard(path)
        self._told.pop((session, path), None)
        await self._events.leave(session, path)
        await self.tick()

    async def gone(self, session: str) -> None:
        """Somebody left altogether."""
        _, paths = self._at.pop(session, (None, set()))
        if paths:
            for path in paths:
                self._told.pop((session, path), None)
            await self._events.leave(session)
            await self.tick()

    async def tick(self) -> None:
        """Tell what has changed."""
        if not self._at:
            return
        now = time.time()
        if now - self._beat > _BEAT_SECONDS:
            self._beat = now
            await self._events.stay(list(self._at), now + _STAY_SECONDS)
        everywhere = sorted({path for _, paths in self._at.values() for path in paths})
        people = await self._events.people(everywhere, now)
        for session, (listener, paths) in list(self._at.items()):
            for path in paths:
                there = people.get(path, [])
                if path in people and self._told.get((session, path)) != there:
                    self._told[session, path] = there
                    listener.put(message("presence", path=path, people=[_shown(each, session) for each in there]))


def _shown(person: Tuple[str, str, str, float], session: str) -> Dict[str, object]:
    who, name, mode, since = person
    moment = datetime.fromtimestamp(since, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"name": name, "mode": mode, "since": moment, "you": who == session}
