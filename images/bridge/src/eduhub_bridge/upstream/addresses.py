"""Which address of Plone a request means, or why it is refused. Pure functions.

Plone is called through its virtual hosting, so that every link in its answers points to the bridge:

    {site} + /VirtualHostBase/{scheme}/{host:port}{site path}/VirtualHostRoot/_vh_plone/{rest of the path}

Source: Products.SiteAccess.VirtualHostMonster. Whatever follows VirtualHostRoot is the client's, so names
that mean something to Plone's traversal there, and steps upwards, are refused in every spelling.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Optional, Sequence, Union
from urllib.parse import quote, unquote, unquote_to_bytes, urlencode, urlsplit

from eduhub_bridge.upstream import directives

MOUNT = "/plone"
_RAW_MOUNT = MOUNT.encode()
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
    r"|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
# A path without any of these cannot be a trick; nearly all paths end here.
_SUSPECT = re.compile(rb"\.\.|%|VirtualHost|_vh_|\+\+vh\+\+")
# A request line holds nothing else (RFC 3986, and what browsers send beside it).
_VISIBLE = re.compile(rb"[!-~]*")
_SPELLINGS = 4  # how often an encoding is undone before it is taken for a trick by itself


class RefusedError(Exception):
    """The request is not passed on; the text says why, for the client."""


def is_ours(raw_path: bytes) -> bool:
    """Return whether a request path, as sent, is the mount or below it."""
    return raw_path.startswith(_RAW_MOUNT) and raw_path[len(_RAW_MOUNT) : len(_RAW_MOUNT) + 1] in (b"/", b"")


def rest(raw_path: bytes, query: bytes) -> str:
    """Return path and query below the mount, byte for byte as sent; raise RefusedError for a trick."""
    below = raw_path[len(_RAW_MOUNT) :]
    if _SUSPECT.search(below):
        _refuse_tricks(below)
    if not _VISIBLE.fullmatch(below) or not _VISIBLE.fullmatch(query):
        raise RefusedError("The address holds bytes that must be percent-encoded.")
    if directives.leaves(query):
        raise RefusedError(directives.REASON)
    return (below + b"?" + query if query else below).decode("ascii")


Query = Union[str, Sequence["tuple[str, str]"]]
"""Pairs, or a query that is encoded already."""


def address(path: str, service: str = "", query: Query = ()) -> str:
    """Return what follows the prefix for content at the decoded `path`; raise RefusedError for a trick.

    `service` is what follows the content's address, percent-encoded already, such as `/@search`.
    """
    target = ("" if path == "/" else quote(path)) + service
    text = query if isinstance(query, str) else urlencode(query)
    return rest((MOUNT + target).encode("ascii"), text.encode("ascii"))


def path_of(url: str) -> Optional[str]:
    """Return the path below the site, decoded, of content that Plone names by `url`; None if it is elsewhere."""
    try:
        path = urlsplit(url).path
        return unquote(path[len(MOUNT) :]) or "/" if is_ours(path.encode()) else None
    except ValueError:  # not a URL
        return None


def _refuse_tricks(path: bytes) -> None:
    for _ in range(_SPELLINGS):
        for segment in path.split(b"/"):
            if segment == b"..":
                raise RefusedError("The path climbs with '..', which the bridge passes on in no spelling.")
            if segment in (b"VirtualHostBase", b"VirtualHostRoot") or segment.startswith((b"_vh_", b"++vh++")):
                raise RefusedError("The path holds a name that is reserved for Plone's virtual hosting.")
        decoded = unquote_to_bytes(path)
        if decoded == path:
            return
        path = decoded
    raise RefusedError("The path is percent-encoded more often than any address needs.")


@lru_cache(maxsize=1024)
def prefix(scheme: str, host: str, site_path: str) -> str:
    """Return what stands before `rest` for a client that called `scheme`://`host`/plone; raise RefusedError."""
    if scheme not in _DEFAULT_PORTS:
        raise RefusedError("X-Forwarded-Proto is neither http nor https.")
    match = _HOST.fullmatch(host) if len(host) <= 260 else None
    port = int(match["port"] or _DEFAULT_PORTS[scheme]) if match else 0
    if not match or not 1 <= port <= 65535:
        raise RefusedError("Host is not a host name or address with an optional port.")
    name = match["name"].lower()
    return f"/VirtualHostBase/{scheme}/{name}:{port}{site_path}/VirtualHostRoot/_vh_{MOUNT[1:]}"
