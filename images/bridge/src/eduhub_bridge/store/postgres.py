"""The store in PostgreSQL, for slots that share no disk: the same tables, the same statements, the same promises."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any, Callable, Dict, List, Optional, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from eduhub_bridge.store import schema
from eduhub_bridge.store.database import Database, Row, StoreError, StoreFullError, Transaction, prepare
from eduhub_bridge.telemetry.logs import say

T = TypeVar("T")

# A writer holds this lock until its commit, so that a write sees no other one, as in SQLite.
_LOCK = 7_243_916_508
_TOLD = "-c statement_timeout=10000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=30000"
_CONNECT_SECONDS = 5
# A server that vanished without a word is given up after some ten seconds, not after the kernel's two hours.
_SILENCE: Dict[str, Any] = {
    "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10000
}  # fmt: skip
# A server that is not there is not asked again for so long.
_PAUSE_SECONDS = 1.0
# Where a server can be. A password that holds "@", ":" or "/" unencoded ends up in these two, and so in messages.
_HOSTS = re.compile(r"[A-Za-z0-9._:,/-]*")
_PORTS = re.compile(r"[0-9,]*")


class _Cursor(Transaction):
    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def all(self, sql: str, *values: Any) -> List[Row]:
        return self._connection.execute(_spelt(sql), values).fetchall()

    def change(self, sql: str, *values: Any) -> int:
        return self._connection.execute(_spelt(sql), values).rowcount


class Postgres(Database):
    """One connection, made when it is needed and made again when it broke; raises StoreError for no address."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        parts = _parts(dsn)
        self._dsn, self._password = dsn, str(parts.get("password") or "")
        self._options = f"{parts.get('options') or ''} {_TOLD}".strip()
        self._connection: Optional[psycopg.Connection[Row]] = None
        self._refused = 0.0

    def connect(self) -> None:
        """Connect; a server that is down now may be up later, and stops no bridge from passing requests on."""
        try:
            self._connected()
        except psycopg.Error as error:
            say("store_failed", level="error", detail=f"PostgreSQL cannot be reached: {self._why(error)}.")

    def disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def transact(self, work: Callable[[Transaction], T], writes: bool, reserved: bool) -> T:  # noqa: ARG002 - no bound
        try:
            connection = self._connected()
            with connection.transaction():
                if writes:
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                return work(_Cursor(connection))
        except psycopg.Error as error:
            kind = StoreFullError if isinstance(error, psycopg.errors.DiskFull) else StoreError
            raise kind(f"The store in PostgreSQL failed: {self._why(error)}.") from error

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
                options=self._options,
                prepare_threshold=None,
                client_encoding="UTF8",
                **_SILENCE,
            )
        except psycopg.Error:
            self._refused = time.monotonic()
            raise
        try:
            _ready(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _why(self, error: psycopg.Error) -> str:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        return first.replace(self._password, "…") if self._password else first


def _ready(connection: psycopg.Connection[Row]) -> None:
    """Make the tables that are missing; raise StoreError for those of another version."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        version = prepare(schema.POSTGRES)(_Cursor(connection))
    if version != schema.VERSION:
        raise StoreError(
            f"The store in PostgreSQL has version {version}, this bridge reads {schema.VERSION}: "
            "give it another database."
        )


def _parts(dsn: str) -> Dict[str, Any]:
    """Return the parts of an address by libpq's names; raise StoreError, repeating nothing of it, for no address."""
    parts: Dict[str, Any] = {}
    with contextlib.suppress(psycopg.Error, UnicodeDecodeError):  # their words repeat it
        parts = conninfo_to_dict(dsn)
    hosts, ports = str(parts.get("host", "")), str(parts.get("port", ""))
    if not parts or not _HOSTS.fullmatch(hosts) or not _PORTS.fullmatch(ports):
        raise StoreError(
            "EDUHUB_STATE_DSN_FILE holds no address of a PostgreSQL database: write one like "
            "postgresql://bridge:PASSWORD@db.example.edu/bridge, and %40, %3A and %2F for @, : and / in the password."
        )
    return parts


def _spelt(sql: str) -> "psycopg.sql.SQL":
    return psycopg.sql.SQL(sql.replace("?", "%s"))  # our own statements, never input
