"""The store in PostgreSQL, for slots that share no disk: the same tables, the same statements, the same promises."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, List, Optional, TypeVar

import psycopg

from eduhub_bridge.logs import say
from eduhub_bridge.store import schema
from eduhub_bridge.store.database import Database, Row, StoreError, Transaction, prepare

T = TypeVar("T")

# Whoever writes has this lock until its commit, so that a write sees no other one, as in SQLite.
_LOCK = 7_243_916_508
_TOLD = "-c statement_timeout=10000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000"
_CONNECT_SECONDS = 5
# A server that is not there is not asked again for so long.
_PAUSE_SECONDS = 1.0


class _Cursor(Transaction):
    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def all(self, sql: str, *values: Any) -> List[Row]:
        return self._connection.execute(_spelt(sql), values).fetchall()

    def change(self, sql: str, *values: Any) -> int:
        return self._connection.execute(_spelt(sql), values).rowcount


class Postgres(Database):
    """One connection, made when it is needed and made again when it broke."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._dsn = dsn
        self._connection: Optional[psycopg.Connection[Row]] = None
        self._refused = 0.0

    def connect(self) -> None:
        """Connect; a server that is down now may be up later, and stops no bridge from passing requests on."""
        try:
            self._connected()
        except psycopg.Error as error:
            say("store_failed", level="error", detail=f"PostgreSQL cannot be reached: {_why(error)}.")

    def disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def transact(self, work: Callable[[Transaction], T], writes: bool) -> T:
        try:
            connection = self._connected()
            with connection.transaction():
                if writes:
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                return work(_Cursor(connection))
        except psycopg.Error as error:
            raise StoreError(f"The store in PostgreSQL failed: {_why(error)}.") from error

    def _connected(self) -> psycopg.Connection[Row]:
        if self._connection is not None and not self._connection.broken and not self._connection.closed:
            return self._connection
        if time.monotonic() - self._refused < _PAUSE_SECONDS:
            raise StoreError("The store in PostgreSQL cannot be reached.")
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
        try:
            # Nothing is prepared: a pooler in between may give each transaction another connection.
            connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=_CONNECT_SECONDS,
                options=_TOLD,
                prepare_threshold=None,
                client_encoding="UTF8",
            )
        except psycopg.Error:
            self._refused = time.monotonic()
            raise
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            version = prepare(schema.POSTGRES)(_Cursor(connection))
        if version != schema.VERSION:
            connection.close()
            raise StoreError(
                f"The store in PostgreSQL has version {version}, this bridge reads {schema.VERSION}: "
                "give it another database."
            )
        self._connection = connection
        return connection


def _spelt(sql: str) -> "psycopg.sql.SQL":
    return psycopg.sql.SQL(sql.replace("?", "%s"))  # our own statements, never input


def _why(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
