"""What a request to Plone changes, told from its first line and its answer. Pure."""

from __future__ import annotations

from typing import Optional, Tuple
from urllib.parse import unquote

from eduhub_bridge.upstream.addresses import MOUNT, path_of

CREATED, CHANGED, DELETED, MOVED, PUBLISHED = "created", "changed", "deleted", "moved", "published"
# What a bulk operation does, as an event.
OPERATIONS = {"create": CREATED, "change": CHANGED, "delete": DELETED, "move": MOVED, "publish": PUBLISHED}

_METHODS = {"POST": CREATED, "PUT": CHANGED, "PATCH": CHANGED, "DELETE": DELETED}
# Services that change the item they are called on; all others (@login, @users, @search …) change no content.
_ITEM_SERVICES = frozenset({"@copy", "@move", "@sharing", "@history", "@translations", "@aliases"})


def change(method: str, raw_path: bytes, status: int, location: str) -> Optional[Tuple[str, str]]:
    """Return kind and path, below the site, of what a passed-through request changed; None if nothing did."""
    kind = _METHODS.get(method)
    if kind is None or not 200 <= status < 300:
        return None
    path = unquote(raw_path[len(MOUNT) :].decode("latin-1")).rstrip("/") or "/"
    item, service = _split(path)
    made = path_of(location.rstrip("/"))
    name = service.partition("/")[0]
    if name == "@tus-upload":
        return (CREATED, made) if method == "PATCH" and made else None
    if service:
        if name == "@workflow":
            return PUBLISHED, item
        return (CHANGED, item) if name in _ITEM_SERVICES else None
    if kind == CREATED:
        return (CREATED, made) if status == 201 and made else None
    return kind, item


def _split(path: str) -> Tuple[str, str]:
    segments = path.split("/")
    for number, segment in enumerate(segments):
        if segment.startswith(("@", "++")):
            return "/".join(segments[:number]) or "/", "/".join(segments[number:])
    return path, ""
