"""One transaction at a time on one connection, in a thread of its own so that a slow disk stops no request."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping, Optional, Tuple, TypeVar

from eduhub_bridge.store import schema

T = TypeVar("T")
Row = Tuple[Any, ...]

FILE = "bridge.sqlite3"
LOCK = "bridge.lock"
# How long a slot waits for the other one's transaction; each takes milliseconds.
_BUSY_SECONDS = 10.0
_LOOK_SECONDS = 0.005
# Kept free of jobs: all the changes that are kept fit, with paths of a thousand characters, and who is where.
_RESERVED_BYTES = 32 * 1024 * 1024
_LARGEST_RESERVED_PART = 1 / 4


class StoreError(Exception):
    """The store cannot be used; the text is one sentence for the operator."""


class StoreFullError(StoreError):
    """There is no room left in it."""


class Transaction:
    """What a piece of work may do: `?` stands for a value, in both databases."""

    def all(self, sql: str, *values: Any) -> List[Row]:
        """Return the rows."""
        raise NotImplementedError

    def change(self, sql: str, *values: Any) -> int:
        """Return how many rows were changed."""
        raise NotImplementedError

    def one(self, sql: str, *values: Any) -> Optional[Row]:
        """Return the first row, or None."""
        return next(iter(self.all(sql, *values)), None)


class Database:
    """Runs pieces of work. A write sees no other write from its beginning to its end, in any process."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.told: Callable[[str, float], object] = lambda *_: None
        """Told of each piece of work that succeeded: "read" or "write", and its seconds, with the wait for its turn."""
        self.trouble: Optional[str] = None
        """Why the last piece of work could not be done, in a sentence; None if it could."""

    async def write(self, work: Callable[[Transaction], T], *, reserved: bool = False) -> T:
        """Return what `work` returns, once it is on disk; raise StoreError, or what `work` raises, undoing it.

        Only what is `reserved` may use the room that is kept free of jobs, however many bytes these would keep.
        """
        return await self._done(work, writes=True, reserved=reserved)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Return what `work` returns; raise StoreError."""
        return await self._done(work, writes=False)

    async def _done(self, work: Callable[[Transaction], T], *, writes: bool, reserved: bool = False) -> T:
        started = time.perf_counter()
        try:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._thread, self.transact, work, writes, reserved)
        except StoreError as error:
            self.trouble = str(error)
            raise
        self.trouble = None
        self.told("write" if writes else "read", time.perf_counter() - started)
        return result

    def transact(self, work: Callable[[Transaction], T], writes: bool, reserved: bool) -> T:
        """Do it, in the thread."""
        raise NotImplementedError

    def connect(self) -> None:
        """Connect, in the thread, and make the tables that are missing."""
        raise NotImplementedError

    def disconnect(self) -> None:
        """Close the connection, in the thread."""
        raise NotImplementedError

    def open(self) -> None:
        """Connect before any event loop runs; raise StoreError."""
        self._thread.submit(self.connect).result()

    def close(self) -> None:
        """Close, once what was begun has ended."""
        self._thread.submit(self.disconnect).result()
        self._thread.shutdown()


class _Cursor(Transaction):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self, sql: str, *values: Any) -> List[Row]:
        return self._connection.execute(sql, values).fetchall()

    def change(self, sql: str, *values: Any) -> int:
        return self._connection.execute(sql, values).rowcount


class Sqlite(Database):
    """A file in a directory that both slots share.

    Write-ahead log, so that readers and the writer do not wait for each other; `synchronous=FULL`, so that what was
    recorded before a write to Plone is still there after a power cut. A few hundred bytes a time: milliseconds.

    A writer holds a lock of the operating system until its checkpoint is over too: SQLite before 3.51.3, that
    is, both of Debian's, can lose a commit when two processes checkpoint at the same instant ("WAL-reset bug").
    """

    _connection: sqlite3.Connection
    _most_pages: int

    def __init__(self, folder: Path, megabytes: int) -> None:
        super().__init__()
        self._path, self._lock, self._bytes = folder / FILE, folder / LOCK, megabytes * 1024 * 1024

    def connect(self) -> None:
        try:
            with self._alone():
                self._path.touch(mode=0o600)
                self._connection = sqlite3.connect(
                    str(self._path), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                    self._connection.execute(f"PRAGMA {pragma}").fetchall()
                size = self._pragma("page_size")
                self._pragma(f"max_page_count={self._bytes // size}")
                reserved = min(_RESERVED_BYTES, self._bytes * _LARGEST_RESERVED_PART)
                self._most_pages = (self._bytes - int(reserved)) // size
            version = self.transact(prepare(schema.SQLITE), writes=True, reserved=True)
        except (sqlite3.Error, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise StoreError(f"The store {str(self._path)!r} cannot be opened: {why}.") from None
        if version != schema.VERSION:
            raise StoreError(
                f"The store {str(self._path)!r} has version {version}, this bridge reads {schema.VERSION}: "
                "give it another EDUHUB_STATE_DIR."
            )

    def disconnect(self) -> None:
        with contextlib.suppress(OSError), self._alone():
            self._connection.close()

    def transact(self, work: Callable[[Transaction], T], writes: bool, reserved: bool) -> T:
        connection = self._connection
        try:
            with self._alone() if writes else contextlib.nullcontext():
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                try:
                    with self._bounded() if writes and not reserved else contextlib.nullcontext():
                        result = work(_Cursor(connection))
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:  # a full disk has ended it already
                        connection.execute("ROLLBACK")
                    raise
        except (sqlite3.Error, OSError) as error:
            # Python 3.9 tells sqlite's codes apart by their words only.
            kind = StoreFullError if str(error) == "database or disk is full" else StoreError
            raise kind(f"The store {str(self._path)!r} failed: {error}.") from error
        return result

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        """Raise StoreFullError where the block took room that is reserved.

        What needs no more room than before, such as the end of a job, is done in a full store too.
        """
        used = self._used_pages()
        yield
        if self._used_pages() > max(used, self._most_pages):
            raise StoreFullError(f"The store {str(self._path)!r} is full.")

    def _used_pages(self) -> int:
        return self._pragma("page_count") - self._pragma("freelist_count")

    def _pragma(self, words: str) -> int:
        return int(self._connection.execute(f"PRAGMA {words}").fetchone()[0])

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        number = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + _BUSY_SECONDS
            while True:
                try:
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_LOOK_SECONDS)
            yield
        finally:
            os.close(number)


def prepare(dialect: Mapping[str, str]) -> Callable[[Transaction], int]:
    """Return the work that makes the missing tables and returns the version of those that are there."""

    def work(transaction: Transaction) -> int:
        for statement in schema.statements(dialect):
            transaction.change(statement)
        row = transaction.one("SELECT version FROM eduhub_version")
        if row is None:
            transaction.change("INSERT INTO eduhub_version VALUES (?)", schema.VERSION)
        return int(row[0]) if row else schema.VERSION

    return work
