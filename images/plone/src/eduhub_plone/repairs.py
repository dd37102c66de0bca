"""Repairs of Plone itself, where it answers wrongly without."""

from __future__ import annotations

import re
from contextlib import suppress

# A step upwards, and what virtual hosting reads: see ZPublisher.BaseRequest.traverse, SiteAccess.VirtualHostMonster.
LEAVES = re.compile(r"(?:^|/)\.\.(?:/|$)|(?:^|/)(?:VirtualHostBase|VirtualHostRoot|_vh_|\+\+vh\+\+)")


def repair() -> None:
    """Repair what this Plone has."""
    share_events()
    keep_to_the_address()


def share_events() -> None:
    """Let the portlet of events look them up for each page, as all other portlets do.

    plone.app.event keeps them in memory for all threads, and they are persistent objects: each belongs to the database
    connection of the thread that found it. Another thread ends with ConnectionStateError, and shows an error in place
    of the portlet, or reads an object that its owner is loading.
    """
    with suppress(ImportError):  # not every Plone has it
        from plone.app.event.portlets.portlet_events import Renderer  # noqa: PLC0415

        looks = Renderer.events.fget
        Renderer.events = property(getattr(looks, "__wrapped__", looks))  # a later Plone may not keep them


def keep_to_the_address() -> None:
    """Refuse a form whose `name:method` leads elsewhere than the address that was asked for.

    Zope appends such a name to the path and then resolves `..` and virtual hosting, past everything that a server in
    front has allowed: an anonymous link could leave the site, or have a page made with links to another host. The form
    may be in the query or in the body, in any character set, so the result is looked at.
    """
    from zExceptions import BadRequest  # noqa: PLC0415
    from ZPublisher.HTTPRequest import HTTPRequest  # noqa: PLC0415

    process = HTTPRequest.processInputs

    def processed(self: HTTPRequest, *given: object, **named: object) -> None:
        process(self, *given, **named)
        asked = self.environ.get("PATH_INFO", "").rstrip("/")
        path = self.other.get("PATH_INFO", asked)
        if LEAVES.search(path[len(asked) :]):
            raise BadRequest("A form leads elsewhere than its address by a name that ends in ':method' or ':action'.")

    HTTPRequest.processInputs = processed
