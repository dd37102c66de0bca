"""What the environment says, checked. Only the standard library: the health check imports this too.

Each setting may also be given as a file: `NAME_FILE` holds the path of a file whose content, stripped, is
the value of `NAME`. Seconds and counts are numbers.

    PLONE_URL                      the site as Zope itself serves it, e.g. http://plone:8080/Plone; required
    EDUHUB_SOCKET                  unix socket to listen on                        (/run/eduhub/bridge.sock)
    EDUHUB_PORT                    TCP port to listen on instead of the socket
    EDUHUB_ADDRESS                 address for that port                           (0.0.0.0)
    EDUHUB_GRACE_SECONDS           how long requests in flight may take after SIGTERM       (25)
    EDUHUB_PLONE_CONNECT_SECONDS   for Plone to accept a connection                (5)
    EDUHUB_PLONE_SECONDS           longest silence of Plone                        (60)
    EDUHUB_PLONE_READS             reads that Plone is given at a time             (4)
    EDUHUB_PLONE_CONNECTIONS       connections to Plone; what reads and the one write leave of them is for long bodies,
                                   so at least two more than reads                 (16)
    EDUHUB_PLONE_QUEUE             requests that may wait for Plone, reads and writes each; more are answered 503  (256)
    EDUHUB_PLONE_READ_WAIT_SECONDS   how long a read may wait for its turn, then it is answered 503     (10)
    EDUHUB_PLONE_WRITE_WAIT_SECONDS  how long a write may                          (30)
    EDUHUB_PLONE_FAILURES          failures in a row after which Plone is left alone  (5)
    EDUHUB_PLONE_PAUSE_SECONDS     between two attempts then                       (1)
    EDUHUB_CACHE_SECONDS           for which an anonymous reader's page serves others too; 0 stores nothing. Sites that
                                   know their users by address must set 0          (1)
    EDUHUB_CACHE_STALE_SECONDS     after that it still serves while Plone is asked for a new one       (10)
    EDUHUB_CACHE_ERROR_SECONDS     and while Plone gives none                      (3600)
    EDUHUB_CACHE_MB                memory for such pages, in MiB                   (32)
    EDUHUB_CACHE_PAGES             number of such pages                            (4096)
    EDUHUB_READY_PATH              cheap page below the site that answers 200 when it works          (ok)
    EDUHUB_READY_SECONDS           for that page to answer                         (3)
    EDUHUB_BODY_BYTES              longest JSON body that the typed endpoints take (4194304)
    EDUHUB_UPLOAD_BYTES            longest file that they take                     (1073741824)
    EDUHUB_STATE_DIR               directory for jobs and keys, the same for both slots, by which they also take turns
                                   to write and end each other's pages; without it /var/lib/eduhub-bridge if that can
                                   be written, else a temporary one
    EDUHUB_STATE_MB                most that the store there may take, in MiB      (2048)
    EDUHUB_STATE_DSN_FILE          file with the address of a PostgreSQL database to use instead of that directory, such
                                   as postgresql://bridge:…@db.example.edu/bridge
    EDUHUB_STATE_KEY_FILE          file of at least 32 bytes, the same for both slots: seals the credentials of jobs;
                                   without it nobody but the process that took a job can carry it out
    EDUHUB_BULK_MB                 longest body of a bulk request, in MiB          (64)
    EDUHUB_JOBS                    jobs carried out in the background at a time    (2)
    EDUHUB_JOB_LEASE_SECONDS       after which a silent slot's jobs are the other's (15)
    EDUHUB_JOB_KEEP_SECONDS        how long ended jobs, results and keys are kept  (86400)
    EDUHUB_LIVE_POLL_SECONDS       how often Plone is asked for changes, for each user who listens  (5)
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Mapping, Optional, TypeVar, Union
from urllib.parse import urlsplit

DEFAULT_SOCKET = "/run/eduhub/bridge.sock"
NAMES = frozenset(
    {"PLONE_URL", "EDUHUB_SOCKET", "EDUHUB_PORT", "EDUHUB_ADDRESS", "EDUHUB_GRACE_SECONDS", "EDUHUB_READY_PATH"}
    | {"EDUHUB_PLONE_CONNECTIONS", "EDUHUB_PLONE_CONNECT_SECONDS", "EDUHUB_PLONE_SECONDS", "EDUHUB_READY_SECONDS"}
    | {"EDUHUB_PLONE_READS", "EDUHUB_PLONE_QUEUE", "EDUHUB_PLONE_READ_WAIT_SECONDS", "EDUHUB_PLONE_WRITE_WAIT_SECONDS"}
    | {"EDUHUB_PLONE_FAILURES", "EDUHUB_PLONE_PAUSE_SECONDS", "EDUHUB_CACHE_SECONDS", "EDUHUB_CACHE_STALE_SECONDS"}
    | {"EDUHUB_CACHE_ERROR_SECONDS", "EDUHUB_CACHE_MB", "EDUHUB_CACHE_PAGES"}
    | {"EDUHUB_BODY_BYTES", "EDUHUB_UPLOAD_BYTES"}
    | {"EDUHUB_STATE_DIR", "EDUHUB_STATE_MB", "EDUHUB_STATE_KEY", "EDUHUB_STATE_DSN", "EDUHUB_BULK_MB", "EDUHUB_JOBS"}
    | {"EDUHUB_JOB_LEASE_SECONDS", "EDUHUB_JOB_KEEP_SECONDS", "EDUHUB_LIVE_POLL_SECONDS"}
)
DEFAULT_STATE_DIR = "/var/lib/eduhub-bridge"
LEAST_KEY_BYTES = 32
# Path characters that need no second thought in a request line.
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_T = TypeVar("_T")


class SettingsError(Exception):
    """A setting is missing or wrong; the text is one sentence for the operator."""


@dataclass(frozen=True)
class Tcp:
    """A TCP address to listen on."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


Listen = Union[Path, Tcp]


@dataclass(frozen=True)
class Settings:
    """Everything the bridge can be told. `plone_origin` is scheme://host[:port], `plone_path` is /…/Plone."""

    listen: Listen
    plone_origin: str
    plone_path: str
    grace_seconds: float = 25.0
    plone_connections: int = 16
    plone_connect_seconds: float = 5.0
    plone_seconds: float = 60.0
    ready_path: str = "ok"
    ready_seconds: float = 3.0
    plone_reads: int = 4
    plone_queue: int = 256
    plone_read_wait_seconds: float = 10.0
    plone_write_wait_seconds: float = 30.0
    plone_failures: int = 5
    plone_pause_seconds: float = 1.0
    cache_seconds: float = 1.0
    cache_stale_seconds: float = 10.0
    cache_error_seconds: float = 3600.0
    cache_mb: int = 32
    cache_pages: int = 4096
    body_bytes: int = 4 * 1024**2
    upload_bytes: int = 1024**3
    state_dir: Optional[Path] = None
    state_mb: int = 2048
    state_dsn: Optional[str] = field(default=None, repr=False)
    state_key: Optional[str] = field(default=None, repr=False)
    bulk_mb: int = 64
    jobs: int = 2
    job_lease_seconds: float = 15.0
    job_keep_seconds: float = 86400.0
    live_poll_seconds: float = 5.0


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings in `environment`; raise SettingsError for the first that is missing or wrong."""
    origin, path = _plone(_text(environment, "PLONE_URL"))
    reads = _number(environment, "EDUHUB_PLONE_READS", int, 4, 1, 998)
    return Settings(
        listen=listen_on(environment),
        plone_origin=origin,
        plone_path=path,
        grace_seconds=_number(environment, "EDUHUB_GRACE_SECONDS", float, 25.0, 0.0, 3600.0),
        plone_connections=_connections(environment, reads),
        plone_connect_seconds=_number(environment, "EDUHUB_PLONE_CONNECT_SECONDS", float, 5.0, 0.1, 600.0),
        plone_seconds=_number(environment, "EDUHUB_PLONE_SECONDS", float, 60.0, 0.1, 3600.0),
        ready_path=_ready_path(_text(environment, "EDUHUB_READY_PATH") or "ok"),
        ready_seconds=_number(environment, "EDUHUB_READY_SECONDS", float, 3.0, 0.1, 60.0),
        plone_reads=reads,
        plone_queue=_number(environment, "EDUHUB_PLONE_QUEUE", int, 256, 0, 100_000),
        plone_read_wait_seconds=_number(environment, "EDUHUB_PLONE_READ_WAIT_SECONDS", float, 10.0, 0.1, 600.0),
        plone_write_wait_seconds=_number(environment, "EDUHUB_PLONE_WRITE_WAIT_SECONDS", float, 30.0, 0.1, 600.0),
        plone_failures=_number(environment, "EDUHUB_PLONE_FAILURES", int, 5, 1, 1000),
        plone_pause_seconds=_number(environment, "EDUHUB_PLONE_PAUSE_SECONDS", float, 1.0, 0.1, 60.0),
        cache_seconds=_number(environment, "EDUHUB_CACHE_SECONDS", float, 1.0, 0.0, 3600.0),
        cache_stale_seconds=_number(environment, "EDUHUB_CACHE_STALE_SECONDS", float, 10.0, 0.0, 86_400.0),
        cache_error_seconds=_number(environment, "EDUHUB_CACHE_ERROR_SECONDS", float, 3600.0, 0.0, 604_800.0),
        cache_mb=_number(environment, "EDUHUB_CACHE_MB", int, 32, 1, 65_536),
        cache_pages=_number(environment, "EDUHUB_CACHE_PAGES", int, 4096, 1, 1_000_000),
        body_bytes=_number(environment, "EDUHUB_BODY_BYTES", int, 4 * 1024**2, 1024, 1024**3),
        upload_bytes=_number(environment, "EDUHUB_UPLOAD_BYTES", int, 1024**3, 1, 1024**4),
        state_dir=_state_dir(_text(environment, "EDUHUB_STATE_DIR")),
        state_mb=_number(environment, "EDUHUB_STATE_MB", int, 2048, 16, 1_000_000),
        state_dsn=_secret(environment, "EDUHUB_STATE_DSN"),
        state_key=_state_key(environment),
        bulk_mb=_number(environment, "EDUHUB_BULK_MB", int, 64, 1, 4096),
        jobs=_number(environment, "EDUHUB_JOBS", int, 2, 1, 6),
        job_lease_seconds=_number(environment, "EDUHUB_JOB_LEASE_SECONDS", float, 15.0, 0.5, 600.0),
        job_keep_seconds=_number(environment, "EDUHUB_JOB_KEEP_SECONDS", float, 86400.0, 60.0, 31_536_000.0),
        live_poll_seconds=_number(environment, "EDUHUB_LIVE_POLL_SECONDS", float, 5.0, 0.2, 3600.0),
    )


def listen_on(environment: Mapping[str, str]) -> Listen:
    """Return where to listen: the TCP port if one is given, else the unix socket."""
    if _text(environment, "EDUHUB_PORT"):
        port = _number(environment, "EDUHUB_PORT", int, 0, 1, 65535)
        # Inside a container the port is reachable only as far as the engine publishes it.
        return Tcp(_text(environment, "EDUHUB_ADDRESS") or "0.0.0.0", port)  # noqa: S104
    path = _text(environment, "EDUHUB_SOCKET") or DEFAULT_SOCKET
    if not path.startswith("/") or len(path.encode()) > 107:
        raise SettingsError(
            f"EDUHUB_SOCKET {path!r} is no usable socket path: give an absolute path of at most 107 bytes."
        )
    return Path(path)


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Return the names that look like settings of ours and are none (a slip of the pen, most likely), sorted."""
    given = {name.removesuffix("_FILE") for name in environment if name.startswith("EDUHUB_")}
    return sorted(given - NAMES)


def _state_dir(path: str) -> Optional[Path]:
    """Return the directory that was named, or the usual one where there is one; None for a temporary one."""
    if not path:
        usual = Path(DEFAULT_STATE_DIR)
        return usual if os.access(usual, os.W_OK | os.X_OK) else None
    given = Path(path)
    if not given.is_absolute() or not given.is_dir():
        raise SettingsError(f"EDUHUB_STATE_DIR {path!r} is no directory: make it, writable for the bridge's user.")
    if not os.access(given, os.W_OK | os.X_OK):
        raise SettingsError(f"EDUHUB_STATE_DIR {path!r} cannot be written: give it to user {os.getuid()}.")
    return given


def _secret(environment: Mapping[str, str], name: str) -> Optional[str]:
    if environment.get(name):  # the value is not repeated: others can read an environment
        raise SettingsError(f"{name} is a secret: write it to a file and give {name}_FILE.")
    return _text(environment, name) if environment.get(f"{name}_FILE") else None


def _state_key(environment: Mapping[str, str]) -> Optional[str]:
    key = _secret(environment, "EDUHUB_STATE_KEY")
    if key is not None and len(key.encode()) < LEAST_KEY_BYTES:
        raise SettingsError(
            f"EDUHUB_STATE_KEY_FILE holds {len(key.encode())} bytes: give at least {LEAST_KEY_BYTES}, "
            "as `openssl rand -hex 32` prints them."
        )
    return key


def _text(environment: Mapping[str, str], name: str) -> str:
    value, file = environment.get(name, ""), environment.get(f"{name}_FILE", "")
    if value and file:
        raise SettingsError(f"{name} and {name}_FILE are both set: keep one of them.")
    if not file:
        return value.strip()
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{name}_FILE {file!r} cannot be read: {why}.") from None


def _number(
    environment: Mapping[str, str], name: str, kind: Callable[[str], _T], default: _T, low: _T, high: _T
) -> _T:
    text = _text(environment, name)
    if not text:
        return default
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:  # type: ignore[operator]
        raise SettingsError(f"{name} is {text!r}: give a number from {low} to {high}.")
    return value


def _connections(environment: Mapping[str, str], reads: int) -> int:
    connections = _number(environment, "EDUHUB_PLONE_CONNECTIONS", int, max(16, reads + 2), 3, 1000)
    if connections < reads + 2:
        raise SettingsError(
            f"EDUHUB_PLONE_CONNECTIONS is {connections}: beside EDUHUB_PLONE_READS ({reads}) a write and a long body "
            f"need one each, give at least {reads + 2}."
        )
    return connections


def _plone(url: str) -> tuple[str, str]:
    example = "give the address of the site itself, such as PLONE_URL=http://plone:8080/Plone"
    if not url:
        raise SettingsError(f"PLONE_URL is not set: {example}.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"PLONE_URL is no URL ({error}): {example}.") from None
    if "@" in parts.netloc:  # the value is not repeated: it may hold a password
        raise SettingsError("PLONE_URL holds a user name: leave it out, clients bring their own credentials.")
    path = parts.path.rstrip("/")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or port == 0:
        raise SettingsError(f"PLONE_URL {url!r} is no plain http or https address: {example}.")
    segments = path.split("/")[1:]
    if not segments:
        raise SettingsError(f"PLONE_URL {url!r} names no site: add its id, such as {url.rstrip('/')}/Plone.")
    if not _PATH.fullmatch(path) or "" in segments or "." in segments or ".." in segments:
        raise SettingsError(f"PLONE_URL {url!r} has a path that no Plone site has: {example}.")
    if "VirtualHostBase" in segments:
        raise SettingsError(f"PLONE_URL {url!r} holds a rewrite rule: {example}.")
    return f"{parts.scheme}://{parts.netloc}", path


def _ready_path(path: str) -> str:
    path = path.lstrip("/")
    if not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise SettingsError(f"EDUHUB_READY_PATH {path!r} is no path below the site: give one such as 'ok'.")
    return path
