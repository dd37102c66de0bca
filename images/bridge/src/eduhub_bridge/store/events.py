"""What changed, in one order for both slots, and who is where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from eduhub_bridge.store.database import Database, Transaction

_COLUMNS = "id, created, kind, path, old_path, author, uid, modified"
# What a listener can come back to: an hour, or this many changes.
KEPT_SECONDS, KEPT = 3600.0, 10_000
_LARGEST = 2**62


@dataclass(frozen=True)
class Event:
    """A change. `uid` and `modified` are empty until Plone was asked; `created` is in seconds since 1970."""

    id: int
    created: float
    kind: str
    path: str
    old_path: str
    author: str
    uid: str
    modified: str


class Events:
    """Every method is one transaction. Jobs cannot take the room of what is written here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wrote(self, kind: str, path: str, old_path: str, author: str, now: float) -> None:
        """Keep a change that was written through the bridge."""

        def work(do: Transaction) -> None:
            do.change(
                "INSERT INTO events (created, kind, path, old_path, author) VALUES (?, ?, ?, ?, ?)",
                now, kind, path, old_path, author,
            )  # fmt: skip

        await self._database.write(work, reserved=True)

    async def found(self, changes: Sequence[Tuple[str, str, str, str]], now: float) -> None:
        """Keep changes found in Plone (kind, path, uid, modified) that are not known yet."""

        def work(do: Transaction) -> None:
            for kind, path, uid, modified in changes:
                if do.one("SELECT 1 FROM events WHERE uid=? AND modified=?", uid, modified) is None:
                    do.change(
                        "INSERT INTO events (created, kind, path, uid, modified) VALUES (?, ?, ?, ?, ?)",
                        now, kind, path, uid, modified,
                    )  # fmt: skip

        await self._database.write(work, reserved=True)

    async def known(self, changes: Sequence[Tuple[int, str, str]]) -> None:
        """Keep what Plone says about changes (id, uid, modified), so that they are not found once more."""

        def work(do: Transaction) -> None:
            for event, uid, modified in changes:
                do.change("UPDATE events SET uid=?, modified=? WHERE id=?", uid, modified, event)

        await self._database.write(work, reserved=True)

    async def after(self, event: int, until: int, limit: int) -> List[Event]:
        """Return the changes after an id, up to another one."""

        def work(do: Transaction) -> List[Event]:
            sql = f"SELECT {_COLUMNS} FROM events WHERE id>? AND id<=? ORDER BY id LIMIT ?"
            return [Event(*row) for row in do.all(sql, event, until or _LARGEST, limit)]

        return await self._database.read(work)

    async def span(self) -> Tuple[int, int]:
        """Return the ids of the oldest and the newest change; (0, 0) if there is none."""

        def work(do: Transaction) -> Tuple[int, int]:
            row = do.one("SELECT min(id), max(id) FROM events")
            return (row[0], row[1]) if row and row[0] else (0, 0)

        return await self._database.read(work)

    async def moment(self, event: int) -> Optional[float]:
        """Return when a change was kept, or None."""

        def work(do: Transaction) -> Optional[float]:
            row = do.one("SELECT created FROM events WHERE id=?", event)
            return float(row[0]) if row else None

        return await self._database.read(work)

    async def tidy(self, now: float) -> None:
        """Forget what is old, or too much; always keep the newest, so that ids go on."""

        def work(do: Transaction) -> None:
            row = do.one("SELECT max(id) FROM events")
            newest = int(row[0] or 0) if row else 0
            do.change(
                "DELETE FROM events WHERE id<? AND (created<? OR id<=?)", newest, now - KEPT_SECONDS, newest - KEPT
            )
            do.change("DELETE FROM presence WHERE until<?", now)

        await self._database.write(work, reserved=True)

    # Presence

    async def be(self, session: str, path: str, name: str, mode: str, now: float, until: float) -> None:
        """Somebody is at an item until a time."""

        def work(do: Transaction) -> None:
            do.change(
                "INSERT INTO presence (session, path, name, mode, since, until) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (session, path) DO UPDATE SET mode=excluded.mode, until=excluded.until",
                session, path, name, mode, now, until,
            )  # fmt: skip

        await self._database.write(work, reserved=True)

    async def stay(self, sessions: Sequence[str], until: float) -> None:
        """They are still there."""

        def work(do: Transaction) -> None:
            for session in sessions:
                do.change("UPDATE presence SET until=? WHERE session=?", until, session)

        await self._database.write(work, reserved=True)

    async def leave(self, session: str, path: Optional[str] = None) -> None:
        """Somebody left an item, or all."""

        def work(do: Transaction) -> None:
            if path is None:
                do.change("DELETE FROM presence WHERE session=?", session)
            else:
                do.change("DELETE FROM presence WHERE session=? AND path=?", session, path)

        await self._database.write(work, reserved=True)

    async def people(self, paths: Sequence[str], now: float) -> Dict[str, List[Tuple[str, str, str, float]]]:
        """Return who is at each path: (session, name, mode, since), the first first.

        One statement for all: who is there at all are few, and a statement for each path is many, four times a second.
        """

        def work(do: Transaction) -> Dict[str, List[Tuple[str, str, str, float]]]:
            there: Dict[str, List[Tuple[str, str, str, float]]] = {path: [] for path in paths}
            sql = "SELECT path, session, name, mode, since FROM presence WHERE until>? ORDER BY since, session"
            for path, session, name, mode, since in do.all(sql, now):
                if path in there:
                    there[path].append((session, name, mode, since))
            return there

        return await self._database.read(work)
