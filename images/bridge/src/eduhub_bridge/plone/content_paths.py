"""Paths of content as clients give them, for every endpoint: which are taken, and why others are not. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

from eduhub_bridge.upstream.addresses import RefusedError, address

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def content_path(path: str) -> str:
    """Return the path without a slash at its end; raise RefusedError for one that names no content."""
    if not path.startswith("/"):
        raise RefusedError(f"The path {path[:80]!r} does not begin with '/'.")
    path = path.rstrip("/") or "/"
    for part in path.split("/")[1:] if path != "/" else ():
        _check(part)
    address(path)
    return path


def item_path(path: str) -> str:
    """Return the path like `content_path`; raise RefusedError for the site itself too."""
    path = content_path(path)
    if path == "/":
        raise RefusedError("The path '/' is the site itself, with which this is not done.")
    return path


def quoted_name(text: str) -> str:
    """Return a name that is one part of an address, percent-encoded; raise RefusedError for one that is none."""
    if "/" in text or text in (".", "..") or _CONTROL.search(text):
        raise RefusedError(f"{text[:80]!r} is no name that Plone gives.")
    return quote(text, safe="")


def _check(part: str) -> None:
    if not part:
        raise RefusedError("The path holds '//'.")
    if part in (".", ".."):
        raise RefusedError(f"The path holds {part!r}: give the path that it leads to.")
    if part.startswith(("@", "++")):
        raise RefusedError(f"The path holds {part[:80]!r}, which is a view or service of Plone and no content.")
    if _CONTROL.search(part):
        raise RefusedError("The path holds a control character.")
