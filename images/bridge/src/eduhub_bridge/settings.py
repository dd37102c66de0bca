"""What the environment says, checked. Only the standard library: the health check imports this too.

Names, types, units, ranges and defaults are those of settings.json, which `./invoke settings` makes from
ansible/settings/bridge_environment.yml; docs/reference/settings.md shows them. Each setting may also be given as a
file: `NAME_FILE` holds the path of a file whose content, stripped, is the value of `NAME`.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Mapping, Optional, Union
from urllib.parse import urlsplit

DESCRIBED: Mapping[str, Mapping[str, Any]] = json.loads(Path(__file__).with_name("settings.json").read_bytes())
# The numbers whose usual value, and range, are a matter of how many reads there are.
_OF_READS = ("EDUHUB_PLONE_CONNECTIONS", "EDUHUB_PLONE_LOGINS")
# The numbers that stand for themselves, by the field of Settings that has them.
NUMBERS = {
    name[len("EDUHUB_") :].lower(): name
    for name, described in DESCRIBED.items()
    if described["type"] in {"int", "float"} and name not in {"EDUHUB_PORT", *_OF_READS}
}
DEFAULT_STATE_DIR = "/var/lib/eduhub-bridge"
LEAST_KEY_BYTES = 32
_SWITCH = {"": False, "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_COOKIE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The fields of a request that no operator may call meaningless: readers would get each other's pages.
TELLING_FIELDS = (
    "host", "x-forwarded-host", "x-forwarded-proto", "authorization", "proxy-authorization", "cgi-authorization",
    "cookie", "accept", "accept-encoding", "accept-language", "accept-charset", "range", "if-range", "if-match",
    "if-unmodified-since", "if-none-match", "if-modified-since", "cache-control", "pragma", "connection", "referer",
    "content-length", "content-type", "transfer-encoding", "expect", "upgrade", "x-http-method-override",
    "x-csrf-token", "x-remote-user", "remote-user", "x-forwarded-user", "x-forwarded-client-cert",
)  # fmt: skip
# At least one letter that says which: `*` alone would make one page of all.
_PARAMETER = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_.~*-]+")
_NONE = "none"
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_GOES_WITHOUT_SAYING = {"http": ":80", "https": ":443"}
# Path characters that need no second thought in a request line.
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")


def default(name: str) -> Any:
    """Return the default of a setting, in its type."""
    described = DESCRIBED[name]
    return float(described["default"]) if described["type"] == "float" else described["default"]


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
    plone_ca: Optional[str] = field(repr=False)
    grace_seconds: float
    plone_connections: int
    plone_connect_seconds: float
    plone_seconds: float
    ready_path: str
    ready_seconds: float
    plone_reads: int
    plone_logins: int
    plone_queue: int
    plone_read_wait_seconds: float
    plone_write_wait_seconds: float
    plone_failures: int
    plone_pause_seconds: float
    cache_seconds: float
    cache_stale_seconds: float
    cache_error_seconds: float
    cache_mb: int
    cache_pages: int
    cache_blanket_expires: bool
    cache_cookies: tuple[str, ...]
    cache_languages: tuple[str, ...]
    cache_ignored_fields: tuple[str, ...]
    cache_ignored_parameters: tuple[str, ...]
    cors_origins: tuple[str, ...]
    body_bytes: int
    upload_bytes: int
    state_dir: Optional[Path]
    maintenance_file: Path
    state_mb: int
    state_dsn: Optional[str] = field(repr=False)
    state_key: Optional[str] = field(repr=False)
    bulk_mb: int
    jobs: int
    job_lease_seconds: float
    job_keep_seconds: float
    live_poll_seconds: float


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings in `environment`; raise SettingsError for the first that is missing or wrong."""
    origin, path = _plone(_text(environment, "PLONE_URL"))
    numbers = {field: _number(environment, name) for field, name in NUMBERS.items()}
    return Settings(
        listen=listen_on(environment),
        plone_origin=origin,
        plone_path=path,
        plone_ca=_authorities(_text(environment, "EDUHUB_PLONE_CA")),
        plone_connections=_connections(environment, numbers["plone_reads"]),
        plone_logins=_logins(environment, numbers["plone_reads"]),
        ready_path=_ready_path(_text(environment, "EDUHUB_READY_PATH") or default("EDUHUB_READY_PATH")),
        cache_blanket_expires=_switch(environment, "EDUHUB_CACHE_BLANKET_EXPIRES"),
        cache_cookies=_cookies(_text(environment, "EDUHUB_CACHE_COOKIES")),
        cache_languages=_languages(_text(environment, "EDUHUB_CACHE_LANGUAGES")),
        cache_ignored_fields=_ignored_fields(_text(environment, "EDUHUB_CACHE_IGNORED_FIELDS")),
        cache_ignored_parameters=_ignored_parameters(
            _text(environment, "EDUHUB_CACHE_IGNORED_PARAMETERS") or default("EDUHUB_CACHE_IGNORED_PARAMETERS")
        ),
        cors_origins=_origins(_text(environment, "EDUHUB_CORS_ORIGINS")),
        state_dir=_state_dir(_text(environment, "EDUHUB_STATE_DIR")),
        maintenance_file=Path(_text(environment, "EDUHUB_MAINTENANCE_FILE") or default("EDUHUB_MAINTENANCE_FILE")),
        state_dsn=_secret(environment, "EDUHUB_STATE_DSN"),
        state_key=_state_key(environment),
        **numbers,
    )


def listen_on(environment: Mapping[str, str]) -> Listen:
    """Return where to listen: the TCP port if one is given, else the unix socket."""
    if _text(environment, "EDUHUB_PORT"):
        port = _number(environment, "EDUHUB_PORT")
        # Inside a container the port is reachable only as far as the engine publishes it.
        return Tcp(_text(environment, "EDUHUB_ADDRESS") or default("EDUHUB_ADDRESS"), port)
    path = _text(environment, "EDUHUB_SOCKET") or default("EDUHUB_SOCKET")
    if not path.startswith("/") or len(path.encode()) > 107:
        raise SettingsError(
            f"EDUHUB_SOCKET {path!r} is no usable socket path: give an absolute path of at most 107 bytes."
        )
    return Path(path)


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Return the names that look like settings of ours and are none (a slip of the pen, most likely), sorted."""
    given = {name.removesuffix("_FILE") for name in environment if name.startswith("EDUHUB_")}
    return sorted(given - DESCRIBED.keys())


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


def _switch(environment: Mapping[str, str], name: str) -> bool:
    text = _text(environment, name).lower()
    if text not in _SWITCH:
        raise SettingsError(f"{name} is {text!r}: give true or false.")
    return _SWITCH[text] if text else bool(default(name))


def _cookies(text: str) -> tuple[str, ...]:
    names = tuple(text.replace(",", " ").split())
    for name in names:
        if not _COOKIE.fullmatch(name):
            raise SettingsError(f"EDUHUB_CACHE_COOKIES holds {name!r}: give names of cookies, such as _shibsession_*.")
    return names


def _languages(text: str) -> tuple[str, ...]:
    codes = tuple(text.replace(",", " ").split())
    for code in codes:
        if not _LANGUAGE.fullmatch(code):
            raise SettingsError(f"EDUHUB_CACHE_LANGUAGES holds {code!r}: give codes as Plone does, such as en pt-br.")
    return codes


def _ignored_fields(text: str) -> tuple[str, ...]:
    names = tuple(text.replace(",", " ").lower().split())
    for name in names:
        if not _COOKIE.fullmatch(name) or not name.strip("*"):
            raise SettingsError(
                f"EDUHUB_CACHE_IGNORED_FIELDS holds {name!r}: give names of request headers, such as x-scan-id x-apm-*."
            )
        if telling := [each for each in TELLING_FIELDS if fnmatchcase(each, name.replace("[", "[[]"))]:
            raise SettingsError(
                f"EDUHUB_CACHE_IGNORED_FIELDS holds {name!r}, which covers {telling[0]}: that one may change a page, "
                "so give longer names."
            )
    return names


def _ignored_parameters(text: str) -> tuple[str, ...]:
    names = tuple(text.replace(",", " ").split())
    if names == (_NONE,):
        return ()
    for name in names:
        if not _PARAMETER.fullmatch(name) or name == _NONE:
            raise SettingsError(
                f"EDUHUB_CACHE_IGNORED_PARAMETERS holds {name!r}: give names of query parameters, such as utm_* "
                f"fbclid, or {_NONE} alone."
            )
    return names


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(text.replace(",", " ").split())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin) or origin.endswith(_GOES_WITHOUT_SAYING[origin.partition(":")[0]]):
            raise SettingsError(
                f"EDUHUB_CORS_ORIGINS holds {origin!r}: give origins as browsers send them, in lower case and without "
                "a path or the usual port, such as https://app.example.edu."
            )
    return origins


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


def _number(environment: Mapping[str, str], name: str, usual: Optional[float] = None) -> Any:
    """Return the number that a setting has, else `usual` or its default; SettingsError when it is out of range."""
    described = DESCRIBED[name]
    text = _text(environment, name)
    if not text:
        return default(name) if usual is None else usual
    try:
        value = int(text) if described["type"] == "int" else float(text)
    except ValueError:
        value = None
    low, high, unit = described["least"], described["most"], described["unit"]
    if value is None or not low <= value <= high:
        raise SettingsError(f"{name} is {text!r}: give a number from {low:.12g} to {high:.12g} ({unit}).")
    return value


def _connections(environment: Mapping[str, str], reads: int) -> int:
    usual = max(default("EDUHUB_PLONE_CONNECTIONS"), reads + 2)
    connections: int = _number(environment, "EDUHUB_PLONE_CONNECTIONS", usual)
    if connections < reads + 2:
        raise SettingsError(
            f"EDUHUB_PLONE_CONNECTIONS is {connections}: beside EDUHUB_PLONE_READS ({reads}) a write and a long body "
            f"need one each, give at least {reads + 2}."
        )
    return connections


def _logins(environment: Mapping[str, str], reads: int) -> int:
    logins: int = _number(environment, "EDUHUB_PLONE_LOGINS", min(reads, default("EDUHUB_PLONE_LOGINS")))
    if logins > reads:
        raise SettingsError(
            f"EDUHUB_PLONE_LOGINS is {logins}: logins take the same threads of Plone as reads, so give at most "
            f"{reads}, or raise EDUHUB_PLONE_READS."
        )
    return logins


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


def _authorities(pem: str) -> Optional[str]:
    import ssl  # noqa: PLC0415 - 15 ms that the health check, which imports this, need not take

    try:
        ssl.create_default_context(cadata=pem or None)
    except (ssl.SSLError, ValueError):
        raise SettingsError("EDUHUB_PLONE_CA_FILE holds no certificate in PEM that can be read.") from None
    return pem or None


def _ready_path(path: str) -> str:
    path = path.lstrip("/")
    if not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise SettingsError(f"EDUHUB_READY_PATH {path!r} is no path below the site: give one such as 'ok'.")
    return path
