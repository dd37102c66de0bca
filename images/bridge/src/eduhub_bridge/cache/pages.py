"""Stored pages: the least recently used go first, by number and by bytes."""

from __future__ import annotations

from typing import Callable, Optional, Union

from cachetools import LRUCache

from eduhub_bridge.cache.freshness import Asked, Key, Life, of_unchanged, seconds, unchanged

# No page above this is stored: files are long, and few of them would push out everything else.
LONGEST_BYTES = 1024 * 1024
# What Python needs beside the bytes themselves, measured and rounded up: for a page, and for each of its fields.
_PAGE_BYTES = 1500
_FIELD_BYTES = 200


class Page:
    """An answer, whole; asked for at `asked_at`, in seconds of the monotonic clock, when `writes` was Upstream's."""

    __slots__ = (
        "age", "asked_at", "body", "etag", "fields", "fields_304", "life", "modified", "quiet_until", "size", "status",
        "writes",
    )  # fmt: skip

    def __init__(
        self, status: int, fields: list[tuple[bytes, bytes]], body: bytes, life: Life, asked_at: float, writes: bytes
    ) -> None:
        self.status, self.body, self.life, self.asked_at, self.writes = status, body, life, asked_at, writes
        named = dict(fields)
        # How old it was when it came: there may be a cache between Plone and us.
        self.age = seconds(named.pop(b"age", b""))
        self.fields = [field for field in fields if field[0] != b"age"]
        self.fields_304 = of_unchanged(self.fields)
        self.etag, self.modified = named.get(b"etag"), named.get(b"last-modified")
        # Plone was asked for it just now and failed: not again before this moment.
        self.quiet_until = 0.0
        self.size = len(body) + _PAGE_BYTES + sum(len(name) + len(value) + _FIELD_BYTES for name, value in fields)

    def unchanged(self, asked: Asked) -> bool:
        """Return whether the client has it already."""
        if asked.none_match is None and asked.since is None:
            return False
        return self.status == 200 and unchanged(asked, self.etag, self.modified)

    def renewed(self, fields: list[tuple[bytes, bytes]], life: Life, asked_at: float, writes: bytes) -> Page:
        """Return the page as a 304 with `fields` leaves it (RFC 9111, section 4.3.4)."""
        new = {name for name, _ in fields}
        kept = [field for field in self.fields if field[0] not in new]
        return Page(self.status, kept + fields, self.body, life, asked_at, writes)


class Solitary:
    """In a page's place: until this moment its answers are known to be good for one client only."""

    __slots__ = ("size", "until")

    def __init__(self, until: float) -> None:
        self.until, self.size = until, _PAGE_BYTES


Stored = Union[Page, Solitary]


class Pages:
    """At most `most` pages of at most `most_bytes` together, kept by what was asked."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self.longest = min(LONGEST_BYTES, most_bytes // 8)
        self._stored: LRUCache[Key, Stored] = LRUCache(most_bytes, getsizeof=_size)
        self.get: Callable[[Key], Optional[Stored]] = self._stored.get
        """Return what is stored under a key."""

    def __len__(self) -> int:
        return len(self._stored)

    @property
    def bytes(self) -> float:
        """Return how many bytes they take, those of Python's own housekeeping estimated."""
        return self._stored.currsize

    def put(self, key: Key, stored: Stored) -> None:
        """Store, and make room for it; what would take too much of it is not stored."""
        stored.size += sum(len(part) if isinstance(part, (bytes, str)) else sum(map(len, part)) for part in key)
        if stored.size > self._stored.maxsize // 4:
            self._stored.pop(key, None)
            return
        if key not in self._stored:
            while len(self._stored) >= self._most:
                self._stored.popitem()
        self._stored[key] = stored


def _size(stored: Stored) -> int:
    return stored.size
