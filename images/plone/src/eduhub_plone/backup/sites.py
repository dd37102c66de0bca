"""Finds the Plone sites of a database: Zope allows them in any folder, as /departments/physics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

# What Zope calls one.
SITE = "Plone Site"


def sites_in(folder: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the sites in a folder of Zope and in the folders below it, each with its path below Zope's root.

    What cannot be loaded has none, and what is in a site is the site's own.
    """
    for name, kind in _children(folder):
        path = f"{above}{name}"
        if kind == SITE:
            yield path, folder._getOb(name)
            continue
        inside = None
        with suppress(Exception):  # a class that is missing may raise anything
            inside = folder._getOb(name)
            inside._p_activate()
        yield from sites_in(inside, f"{path}/")


def _children(folder: Any) -> list[tuple[str, str]]:
    """Return name and type of what is in a folder of Zope, of a BTreeFolder2 too, but for what is no folder there."""
    try:
        there = [(each["id"], each.get("meta_type", "")) for each in getattr(folder, "_objects", None) or ()]
        kinds = getattr(folder, "_mt_index", None) or {}  # of a BTreeFolder2, which may be large
        folders = [kind for kind in kinds if kind == SITE or "Folder" in kind]
        return there + [(name, kind) for kind in folders for name in kinds[kind]]
    except Exception:  # as above; and whatever has such names and is no folder
        return []
