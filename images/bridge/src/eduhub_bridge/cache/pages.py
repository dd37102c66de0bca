"""Stored pages: the least recently used go first, by number and by bytes.

What is found at an address where there is no page (nothing, a redirect, an answer for one client only) has a budget of
its own: there are endless such addresses, and asking for many of them must not cost anybody a page.
"""

from __future__ import annotations

from typing import Optional, Union

from cachetools import LRUCache

from eduhub_bridge.cache.freshness import Asked, Key, Life, of_unchanged, seconds, unchanged

# No page above this is stored: files are long, and few of them would push out everything else.
LONGEST_BYTES = 1024 * 1024
# What Python needs beside the bytes themselves, measured and rounded up: for a page, and for each of its fields.
_PAGE_BYTES = 1500
_FIELD_BYTES = 200
# One part in so many of both budgets is for what is no page, and at least so many of those.
_OTHERS, _LEAST_OTHERS = 8, 16


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

    def updated(self, fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the page's fields as a 304 with `fields` leaves them (RFC 9111, section 4.3.4)."""
        new = {name for name, _ in fields}
        return [*(field for field in self.fields if field[0] not in new), *fields]


class Solitary:
    """In a page's place: until this moment its answers are known to be good for one client only."""

    __slots__ = ("size", "until")

    def __init__(self, until: float) -> None:
        self.until, self.size = until, _PAGE_BYTES


Stored = Union[Page, Solitary]


class Pages:
    """At most `most` pages, and an eighth of that of what is none, of `most_bytes` together, kept by what was asked."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.longest = min(LONGEST_BYTES, most_bytes // 8)
        others = most_bytes // _OTHERS
        self._pages = _Budget(most, most_bytes - others)
        self._others = _Budget(max(_LEAST_OTHERS, most // _OTHERS), others)

    def __len__(self) -> int:
        return len(self._pages) + len(self._others)

    @property
    def bytes(self) -> float:
        """Return how many bytes they take, those of Python's own housekeeping estimated."""
        return self._pages.currsize + self._others.currsize

    def get(self, key: Key) -> Optional[Stored]:
        """Return what is stored under a key."""
        return self._pages.get(key) or self._others.get(key)

    def put(self, key: Key, stored: Stored) -> None:
        """Store, and make room for it; what would take too much of it is not stored."""
        stored.size += sum(len(part) if isinstance(part, (bytes, str)) else sum(map(len, part)) for part in key)
        page = isinstance(stored, Page) and stored.status == 200
        (self._others if page else self._pages).pop(key, None)
        (self._pages if page else self._others).put(key, stored)


class _Budget(LRUCache[Key, Stored]):
    def __init__(self, most: int, most_bytes: int) -> None:
        super().__init__(most_bytes, getsizeof=_size)
        self._most = most

    def put(self, key: Key, stored: Stored) -> None:
        if stored.size > self.maxsize // 4:
            self.pop(key, None)
            return
        if key not in self:
            while len(self) >= self._most:
                self.popitem()
        self[key] = stored


def _size(stored: Stored) -> int:
    return stored.size
