"""Repairs of Plone itself, where it answers wrongly without."""

from __future__ import annotations

from contextlib import suppress


def repair() -> None:
    """Let the portlet of events look them up for each page, as all other portlets do.

    plone.app.event keeps them in memory for all threads, and they are persistent objects: each belongs to the database
    connection of the thread that found it. Another thread ends with ConnectionStateError, and shows an error in place
    of the portlet, or reads an object that its owner is loading.
    """
    with suppress(ImportError):  # not every Plone has it
        from plone.app.event.portlets.portlet_events import Renderer  # noqa: PLC0415

        looks = Renderer.events.fget
        Renderer.events = property(getattr(looks, "__wrapped__", looks))  # a later Plone may not keep them
