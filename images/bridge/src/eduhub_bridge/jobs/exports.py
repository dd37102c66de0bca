"""All items that a search finds, page by page, each once, though content changes meanwhile.

A page begins after the UID at which the last one ended. UIDs never change and no two are equal, so that nothing that
is created or deleted in between shifts anything; such an item itself may be in the export or not. (Plone's order by
date is no order: its index knows minutes, and items of one minute come in another order with every page.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Awaitable, Callable, List, Mapping, Optional, Tuple
from urllib.parse import urlencode

import orjson

_PAGE = 50
# What paging needs for itself, in any spelling (`UID`, `UID.query`, `b_size:int` …).
RESERVED = frozenset({"b_start", "b_size", "sort_on", "sort_order", "sort_limit", "UID"})


@dataclass(frozen=True)
class Page:
    """Items with their UIDs, how many there were in all at the beginning; or why Plone refused."""

    items: List[Tuple[str, bytes]] = field(default_factory=list)
    total: Optional[int] = None
    refused: str = ""

    @property
    def place(self) -> str:
        """Return where the next page begins."""
        return self.items[-1][0]


def reserved(query: Mapping[str, Any]) -> List[str]:
    """Return the parameters that an export has no room for."""
    return sorted(name for name in query if name.partition(".")[0].partition(":")[0] in RESERVED)


async def pages(ask: Callable[[str], Awaitable[Any]], query: Mapping[str, Any], place: str) -> AsyncIterator[Page]:
    """Yield the pages after `place`; `ask` takes a query string for @search and returns Plone's reply."""
    while True:
        reply = await ask(_text(query, place))
        document = reply.document() if reply.status == 200 else None
        if not isinstance(document, dict):
            yield Page(refused=f"Plone answered {reply.status} to the search.")
            return
        items = [each for each in document.get("items") or [] if str(each.get("UID") or "") > place]
        if not items:
            return
        total = None if place else document.get("items_total")
        yield Page([(each["UID"], orjson.dumps(each)) for each in items], total)
        place = items[-1]["UID"]


def _text(query: Mapping[str, Any], place: str) -> str:
    pairs: List[Tuple[str, str]] = []
    for name, value in query.items():
        pairs += [(name, str(each)) for each in (value if isinstance(value, list) else [value])]
    pairs += [("sort_on", "UID"), ("b_size", str(_PAGE))]
    pairs.append(("metadata_fields", "UID" if "metadata_fields" in query else "_all"))
    if place:
        pairs += [("UID.query", place), ("UID.range", "min")]
    return urlencode(pairs)
