"""Paths of content as callers give them: which are taken, and why others are not. Pure."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import Query

from eduhub_bridge.api.models.base import PATH, SHAPE
from eduhub_bridge.paths import RefusedError
from eduhub_bridge.plone import address

LONGEST = 1000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What a parameter `path` is, for the signatures of endpoints.
At = Annotated[
    str, Query(alias="path", description=PATH, max_length=LONGEST, json_schema_extra=SHAPE, openapi_examples={
        "nested": {"value": "/courses/statistics-for-biologists"}, "the site": {"value": "/"},
    })
]  # fmt: skip


def content(path: str) -> str:
    """Return the path without a slash at its end; raise RefusedError for one that names no content."""
    if not path.startswith("/"):
        raise RefusedError(f"The path {path[:80]!r} does not begin with '/'.")
    path = path.rstrip("/") or "/"
    for name in path.split("/")[1:] if path != "/" else ():
        _refuse(name)
    address(path)
    return path


def item(path: str) -> str:
    """Return the path like `content`; raise RefusedError for the site itself too."""
    path = content(path)
    if path == "/":
        raise RefusedError("The path '/' is the site itself, with which this is not done.")
    return path


def name(text: str) -> str:
    """Return a name that is one part of an address, percent-encoded; raise RefusedError for one that is none."""
    if "/" in text or text in (".", "..") or _CONTROL.search(text):
        raise RefusedError(f"{text[:80]!r} is no name that Plone gives.")
    return quote(text, safe="")


def _refuse(part: str) -> None:
    if not part:
        raise RefusedError("The path holds '//'.")
    if part in (".", ".."):
        raise RefusedError(f"The path holds {part!r}: give the path that it leads to.")
    if part.startswith(("@", "++")):
        raise RefusedError(f"The path holds {part[:80]!r}, which is a view or service of Plone and no content.")
    if _CONTROL.search(part):
        raise RefusedError("The path holds a control character.")
