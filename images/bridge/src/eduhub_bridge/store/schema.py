"""The tables, in words that SQLite and PostgreSQL share; what they spell differently is filled in."""

from __future__ import annotations

from typing import Mapping

# Raised with any change of the tables; a store of another version is refused, never changed under a running slot.
VERSION = 1

SQLITE = {"blob": "BLOB", "real": "REAL", "serial": "INTEGER PRIMARY KEY AUTOINCREMENT"}
POSTGRES = {"blob": "BYTEA", "real": "DOUBLE PRECISION", "serial": "BIGSERIAL PRIMARY KEY"}

_TABLES = (
    "CREATE TABLE IF NOT EXISTS eduhub_version (version INTEGER NOT NULL)",
    # `sealed` is the client's credential, encrypted; `seal` names the key. `lease` is a time: until then the job is
    # `worker`'s. `orders` is what the worker shall do at the next operation: '', 'pause' or 'cancel'.
    """CREATE TABLE IF NOT EXISTS jobs (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL, idempotency_key TEXT, fingerprint TEXT,
        state TEXT NOT NULL, why TEXT NOT NULL DEFAULT '', options TEXT NOT NULL, place TEXT NOT NULL DEFAULT '',
        sealed {blob}, seal TEXT NOT NULL DEFAULT '', attached INTEGER NOT NULL DEFAULT 0,
        total INTEGER, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
        orders TEXT NOT NULL DEFAULT '', worker TEXT NOT NULL DEFAULT '', lease {real} NOT NULL DEFAULT 0,
        not_before {real} NOT NULL DEFAULT 0, created {real} NOT NULL, changed {real} NOT NULL
    )""",
    "CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_key ON jobs (owner, idempotency_key)",
    "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, lease)",
    # One operation and its result. `state`: 0 new, 1 begun, 2 ended. `note` is what has to be known to find out
    # whether a begun one was written. `ended` counts the results of a job in the order of their ends.
    """CREATE TABLE IF NOT EXISTS lines (
        job TEXT NOT NULL, seq INTEGER NOT NULL, body {blob}, state INTEGER NOT NULL DEFAULT 0, note TEXT,
        ended INTEGER, ok INTEGER, doubt INTEGER NOT NULL DEFAULT 0, ref TEXT, result {blob}, PRIMARY KEY (job, seq)
    )""",
    "CREATE INDEX IF NOT EXISTS lines_by_end ON lines (job, ended)",
    "CREATE INDEX IF NOT EXISTS lines_by_ref ON lines (job, ref)",
    # Which line carries out the operation that a client has given this key.
    """CREATE TABLE IF NOT EXISTS idempotency_keys (
        owner TEXT NOT NULL, name TEXT NOT NULL, fingerprint TEXT NOT NULL, job TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (owner, name)
    )""",
    "CREATE INDEX IF NOT EXISTS keys_by_job ON idempotency_keys (job)",
    # `uid` and `modified` are empty until Plone was asked; then they tell that two findings are one change.
    """CREATE TABLE IF NOT EXISTS events (
        id {serial}, created {real} NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL, old_path TEXT NOT NULL DEFAULT '',
        author TEXT NOT NULL DEFAULT '', uid TEXT NOT NULL DEFAULT '', modified TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX IF NOT EXISTS events_by_change ON events (uid, modified)",
    """CREATE TABLE IF NOT EXISTS presence (
        session TEXT NOT NULL, path TEXT NOT NULL, name TEXT NOT NULL, mode TEXT NOT NULL, since {real} NOT NULL,
        until {real} NOT NULL, PRIMARY KEY (session, path)
    )""",
    "CREATE INDEX IF NOT EXISTS presence_by_path ON presence (path)",
)


def statements(dialect: Mapping[str, str]) -> list[str]:
    """Return the statements that make what is missing."""
    return [text.format_map(dialect) for text in _TABLES]
