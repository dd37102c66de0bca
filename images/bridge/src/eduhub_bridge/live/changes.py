"""What a request to Plone changes, told from its first line and its answer. Pure."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple
from urllib.parse import unquote

from eduhub_bridge.plone import documents
from eduhub_bridge.upstream.addresses import MOUNT, path_of

CREATED, CHANGED, DELETED, MOVED, PUBLISHED = "created", "changed", "deleted", "moved", "published"
# What a bulk operation does, as an event.
OPERATIONS = {"create": CREATED, "change": CHANGED, "delete": DELETED, "move": MOVED, "publish": PUBLISHED}

_METHODS = {"POST": CREATED, "PUT": CHANGED, "PATCH": CHANGED, "DELETE": DELETED}
# Services that change the item they are called on; all others (@login, @users, @search …) change no content.
_ITEM_SERVICES = frozenset({"@copy", "@move", "@sharing", "@history", "@translations", "@aliases"})
# Services whose answer says which items came to be where (plone.restapi, services/copymove).
_TRANSFERS = {"@move": MOVED, "@copy": CREATED}
# Traversers that stay at the item before them: plone.rest's, and those of zope.traversing.
_STAYING = ("++api++", "++skin++", "++lang++", "++debug++")


class Change(NamedTuple):
    """`old_path` is empty but for a move."""

    kind: str
    path: str
    old_path: str = ""


def says_where(method: str, raw_path: bytes) -> bool:
    """Return whether the answer's body says what this request changes."""
    return method == "POST" and _split(raw_path)[1] in _TRANSFERS


def changes(method: str, raw_path: bytes, status: int, location: str, body: bytes = b"") -> List[Change]:
    """Return what a request changed below the site, empty if nothing.

    `raw_path` begins with the mount, as a client sends it; `body` is the answer's where `says_where`.
    """
    kind = _METHODS.get(method)
    if kind is None or not 200 <= status < 300:
        return []
    item, service = _split(raw_path)
    name = service.partition("/")[0]
    if says_where(method, raw_path):
        transferred = _transferred(_TRANSFERS[service], body)
        return [Change(CHANGED, item)] if transferred is None else transferred
    if name == "@tus-upload":
        made = _made(location)
        return [Change(CREATED, made)] if method == "PATCH" and made else []
    if service:
        if name == "@workflow":
            return [Change(PUBLISHED, item)]
        return [Change(CHANGED, item)] if name in _ITEM_SERVICES else []
    if kind == CREATED:
        made = _made(location)
        return [Change(CREATED, made)] if status == 201 and made else []
    return [Change(kind, item)]


def _transferred(kind: str, body: bytes) -> Optional[List[Change]]:
    """Return what the answer to a move or copy names; None if it is no such answer."""
    try:
        pairs = [(_made(each["source"]), _made(each["target"])) for each in documents.read(body)]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return [Change(kind, target, source or "" if kind == MOVED else "") for source, target in pairs if target]


def _made(url: str) -> Optional[str]:
    """Return the path of an item that Plone names by its URL; None for anything else."""
    path = path_of(url)
    item, service = _resolved(path) if path is not None else ("", "/")
    return None if service else item


def _split(raw_path: bytes) -> Tuple[str, str]:
    return _resolved(unquote(raw_path[len(MOUNT) :].decode("latin-1")))


def _resolved(path: str) -> Tuple[str, str]:
    """Return the item that Plone's traversal comes to by a decoded path, and what of it is a service or view."""
    # Zope's own rule: an empty name and a dot stay where they are. Steps upwards have been refused: see addresses.
    names = [name for name in path.split("/") if name not in ("", ".") and not name.startswith(_STAYING)]
    for number, name in enumerate(names):
        if name.startswith(("@", "++")):
            return "/" + "/".join(names[:number]), "/".join(names[number:])
    return "/" + "/".join(names), ""
