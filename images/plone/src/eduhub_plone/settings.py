"""What the environment asks for. Pure: no file, no clock, no Zope.

The names are those of the official plone-backend image. Ours are ADMIN_PASSWORD_FILE, RELSTORAGE_DSN_FILE,
SAMPLE_CONTENT, PROCESSES and WAITRESS_THREADS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PASSWORD_FILE = "/run/secrets/plone_admin_password"  # noqa: S105 - a path, not a password
MOST_PROCESSES = 16
CACHED = 50_000  # objects of the database that each connection keeps, as the official image does
TRUE = ("1", "on", "t", "true", "y", "yes")
FALSE = ("0", "f", "false", "n", "no", "off")
SAMPLES = ("courses",)

# From Plone 6.1 on content types are a profile like any other, and that of Volto's first page is gone.
CONTENT_TYPES, FIRST_PAGE = "plone.app.contenttypes:default", "plone.volto:default-homepage"
PROFILES = {
    "classic": ("plone.app.caching:default", "plonetheme.barceloneta:default"),
    "volto": (
        "plone.app.caching:default",
        "plonetheme.barceloneta:default",
        "plone.volto:default",
        FIRST_PAGE,
    ),
}
REST = "plone.restapi:default"  # without it anonymous REST calls end in 401 on a classic site

# Name, kind and default of what goes into zope.conf as it is; a default of None leaves the line out.
ZOPE: dict[str, tuple[str, str | None]] = {
    "DEBUG_MODE": ("boolean", "off"),
    "SECURITY_POLICY_IMPLEMENTATION": ("C or python", "C"),
    "VERBOSE_SECURITY": ("boolean", "off"),
    "DEFAULT_ZPUBLISHER_ENCODING": ("text", "utf-8"),
    "ZOPE_FORM_MEMORY_LIMIT": ("size", "4MB"),
    "ZOPE_FORM_DISK_LIMIT": ("size", "1GB"),
    "ZOPE_FORM_MEMFILE_LIMIT": ("size", "4KB"),
    "ZODB_CACHE_SIZE": ("number", None),
}
ZEO: dict[str, tuple[str, str | None]] = {
    "ZEO_STORAGE": ("text", "1"),
    "ZEO_SHARED_BLOB_DIR": ("boolean", "off"),
    "ZEO_READ_ONLY": ("boolean", "off"),
    "ZEO_CLIENT_READ_ONLY_FALLBACK": ("boolean", "off"),
    "ZEO_CLIENT_CACHE_SIZE": ("size", "128MB"),
    # The client we use verifies its cache in the background and drops it by itself when it is too old.
    "ZEO_DROP_CACHE_RATHER_VERIFY": ("boolean", None),
}
RELSTORAGE: dict[str, tuple[str, str | None]] = {
    "RELSTORAGE_NAME": ("text", "storage"),
    "RELSTORAGE_READ_ONLY": ("boolean", "off"),
    "RELSTORAGE_KEEP_HISTORY": ("boolean", "true"),
    "RELSTORAGE_COMMIT_LOCK_TIMEOUT": ("number", "30"),
    "RELSTORAGE_CREATE_SCHEMA": ("boolean", "true"),
    "RELSTORAGE_SHARED_BLOB_DIR": ("boolean", "false"),
    "RELSTORAGE_BLOB_CACHE_SIZE": ("size", "100mb"),
    "RELSTORAGE_BLOB_CACHE_SIZE_CHECK": ("number", "10"),
    "RELSTORAGE_BLOB_CACHE_SIZE_CHECK_EXTERNAL": ("boolean", "false"),
    "RELSTORAGE_BLOB_CHUNK_SIZE": ("size", "1048576"),
    "RELSTORAGE_CACHE_LOCAL_MB": ("number", "10"),
    "RELSTORAGE_CACHE_LOCAL_OBJECT_MAX": ("size", "16384"),
    "RELSTORAGE_CACHE_LOCAL_COMPRESSION": ("text", "none"),
    "RELSTORAGE_CACHE_DELTA_SIZE_LIMIT": ("number", "100000"),
}
CORS = {
    "CORS_ALLOW_ORIGIN": "http://localhost:3000,http://127.0.0.1:3000",
    "CORS_ALLOW_METHODS": "DELETE,GET,OPTIONS,PATCH,POST,PUT",
    "CORS_ALLOW_CREDENTIALS": "true",
    "CORS_EXPOSE_HEADERS": "Content-Length,X-My-Header",
    "CORS_ALLOW_HEADERS": "Accept,Authorization,Content-Type,X-Custom-Header,Lock-Token",
    "CORS_MAX_AGE": "3600",
}
PATTERNS = {
    "boolean": "|".join(TRUE + FALSE),
    "number": r"[0-9]{1,9}",
    "size": r"[0-9]{1,12}([kmg]b)?",
    "C or python": "c|python",
    "text": r"[^\x00-\x1f]*",
}


class Refused(Exception):  # noqa: N818 - it refuses; nothing went wrong
    """Plone cannot start; the message is the one sentence for the operator."""


@dataclass(frozen=True)
class Site:
    """The Plone site to make when it is missing."""

    id: str
    kind: str  # classic or volto
    profiles: tuple[str, ...]
    language: str
    timezone: str
    setup_content: bool
    delete_existing: bool
    sample: str | None


@dataclass(frozen=True)
class Settings:
    """Everything the start needs to know."""

    port: int
    socket: str | None  # a Unix socket to listen on as well, which containers on one database take over
    threads: int
    processes: int  # of Plone on one database; more than one have it by ZEO
    password_file: str
    site: Site | None
    zope: dict[str, str]
    zeo: dict[str, str]  # empty without ZEO_ADDRESS; else with the address
    relstorage: dict[str, str]  # empty without RELSTORAGE_DSN; else with the DSN
    relstorage_dsn_file: str | None
    cors: dict[str, str]  # empty unless some CORS_* is set

    @property
    def in_files(self) -> bool:
        """Whether the database is files in the volume."""
        return not (self.zeo or self.relstorage or self.relstorage_dsn_file)


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings; raise Refused for the first value that cannot be used."""
    for name in ("ADDONS", "DEVELOP"):
        if environ.get(name):
            raise Refused(
                f"{name}={environ[name]} cannot be installed at start, because this image is complete and needs no "
                "network: name the packages in plone_addons of the inventory, and type ./invoke plone.lock."
            )
    relstorage: dict[str, str] = {}
    dsn_file = environ.get("RELSTORAGE_DSN_FILE") or None
    if environ.get("RELSTORAGE_DSN") or dsn_file:
        relstorage = values(environ, RELSTORAGE)
        relstorage["RELSTORAGE_DSN"] = value(environ, "RELSTORAGE_DSN", "text", "")
    zeo: dict[str, str] = {}
    if environ.get("ZEO_ADDRESS") and not relstorage:
        zeo = {**values(environ, ZEO), "ZEO_ADDRESS": value(environ, "ZEO_ADDRESS", "text", "")}
    processes = number(environ, "PROCESSES", 1, 1, MOST_PROCESSES)
    if processes > 1 and (zeo or relstorage):
        raise Refused(
            f"PROCESSES={processes} is for a database in files: with ZEO_ADDRESS or RELSTORAGE_DSN run more containers."
        )
    if processes > 1 and not environ.get("LISTEN_SOCKET"):
        raise Refused(f"PROCESSES={processes} needs LISTEN_SOCKET: each process has a socket beside it.")
    return Settings(
        port=number(environ, "LISTEN_PORT", 8080, 1, 65535),
        socket=environ.get("LISTEN_SOCKET") or None,
        threads=number(environ, "WAITRESS_THREADS", 3, 1, 64),
        processes=processes,
        password_file=environ.get("ADMIN_PASSWORD_FILE") or PASSWORD_FILE,
        site=site(environ),
        # Each process has a cache of its own: together they keep what one would.
        zope=values({"ZODB_CACHE_SIZE": str(CACHED // processes), **given(environ)}, ZOPE),
        zeo=zeo,
        relstorage=relstorage,
        relstorage_dsn_file=dsn_file,
        cors={name: environ.get(name) or default for name, default in CORS.items()}
        if any(environ.get(name) for name in CORS)
        else {},
    )


def site(environ: Mapping[str, str]) -> Site | None:
    """Return the wanted site, or None without SITE; SITE with an empty value is the site `Plone`."""
    sample = environ.get("SAMPLE_CONTENT") or None
    if sample and sample not in SAMPLES:
        raise Refused(f"SAMPLE_CONTENT={sample} is not known: use {' or '.join(SAMPLES)}, or leave it out.")
    if "SITE" not in environ:
        if sample:
            raise Refused(f"SAMPLE_CONTENT={sample} needs a site to go into: set SITE=Plone as well.")
        return None
    name = environ["SITE"] or "Plone"
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name) or name in ("acl_users", "favicon.ico"):
        raise Refused(f"SITE={name} cannot be the id of a site: use letters, digits, - and _, for example Plone.")
    kind = environ.get("TYPE") or "volto"
    if kind not in PROFILES:
        raise Refused(f"TYPE={kind} is not known: use {' or '.join(PROFILES)}.")
    wanted = (environ.get("PROFILES") or environ.get("ADDITIONAL_PROFILES") or "").replace(",", " ").split()
    return Site(
        id=name,
        kind=kind,
        profiles=tuple(dict.fromkeys((*PROFILES[kind], REST, *wanted))),
        language=environ.get("LANGUAGE") or "en",
        timezone=environ.get("TIMEZONE") or "UTC",
        setup_content=truth(environ, "SETUP_CONTENT"),
        delete_existing=truth(environ, "DELETE_EXISTING"),
        sample=sample,
    )


def told_to_factory(site: Site, version: tuple[int, ...]) -> dict[str, Any]:
    """Return what the factory of a Plone `version`, as (6, 1), is told of profiles and of first content.

    Raise Refused for first content where it has none.
    """
    if version < (6, 1):
        return {"extension_ids": site.profiles, "setup_content": site.setup_content}
    if site.setup_content:
        raise Refused("SETUP_CONTENT is for Plone 6.0: later ones have no first content for it, so leave it out.")
    return {"extension_ids": (CONTENT_TYPES, *(each for each in site.profiles if each != FIRST_PAGE))}


def values(environ: Mapping[str, str], table: dict[str, tuple[str, str | None]]) -> dict[str, str]:
    """Return the values of a table's names; names without value and default are left out."""
    found = {name: value(environ, name, kind, default) for name, (kind, default) in table.items()}
    return {name: text for name, text in found.items() if text}


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have a value: an empty one counts as none."""
    return {name: text for name, text in environ.items() if text}


def value(environ: Mapping[str, str], name: str, kind: str, default: str | None) -> str:
    """Return the value of `name`, or its default; raise Refused when it is not of its kind."""
    text = environ.get(name) or default or ""
    if text and not re.fullmatch(PATTERNS[kind], text, re.IGNORECASE):
        examples = {"boolean": "on or off", "number": "a number", "size": "a size such as 64MB"}
        raise Refused(f"{name}={text!r} cannot be used: it must be {examples.get(kind, 'one line of ' + kind)}.")
    return text


def number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return `name` as a number between `least` and `most`."""
    text = environ.get(name) or str(default)
    if not re.fullmatch(PATTERNS["number"], text) or not least <= int(text) <= most:
        raise Refused(f"{name}={text!r} cannot be used: it must be a number from {least} to {most}.")
    return int(text)


def truth(environ: Mapping[str, str], name: str) -> bool:
    """Return `name` as a truth value; unset is false."""
    return value(environ, name, "boolean", "off").lower() in TRUE
