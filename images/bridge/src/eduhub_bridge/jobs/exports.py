"""All items that a search finds, page by page, each once, though content changes meanwhile.

Items come in the order of their creation, which never changes. A page begins at the minute in which the last one
ended (Plone's date index knows minutes only), so that deletions before it shift nothing; the store knows what was
there already. What is created or deleted while the export runs may be in it or not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlencode

import orjson

_PAGE = 50
# What paging needs for itself, in any spelling (`created`, `created.query`, `created.range:record` …).
RESERVED = frozenset({"b_start", "b_size", "sort_on", "sort_order", "sort_limit", "created"})


@dataclass(frozen=True)
class Page:
    """Items with their UIDs, where to go on, how many there are in all; or why Plone refused."""

    items: List[Tuple[str, bytes]] = field(default_factory=list)
    place: str = ""
    total: Optional[int] = None
    refused: str = ""


def reserved(query: Mapping[str, Any]) -> List[str]:
    """Return the parameters that an export has no room for."""
    return sorted(name for name in query if name.partition(".")[0].partition(":")[0] in RESERVED)


async def pages(ask: Callable[[str], Awaitable[Any]], query: Mapping[str, Any], place: str) -> AsyncIterator[Page]:
    """Yield the pages from `place` on; `ask` takes a query string for @search and returns Plone's reply."""
    at: Dict[str, Any] = json.loads(place) if place else {"since": None, "start": 0, "total": None}
    while True:
        reply = await ask(_text(query, at))
        document = reply.document() if reply.status == 200 else None
        if not isinstance(document, dict):
            yield Page(refused=f"Plone answered {reply.status} to the search.")
            return
        items = document.get("items") or []
        if at["total"] is None:
            at["total"] = document.get("items_total")
        if not items:
            return
        minute = _minute(items[-1].get("created") or "")
        if minute and minute != at["since"]:
            at = {**at, "since": minute, "start": 0}
        else:
            at = {**at, "start": at["start"] + len(items)}
        yield Page([(_ref(each), orjson.dumps(each)) for each in items], json.dumps(at), at["total"])


def _minute(moment: str) -> str:
    """Return an ISO 8601 moment without its seconds, its zone kept."""
    return moment[:16] + moment[19:] if len(moment) > 19 else ""


def _ref(item: Mapping[str, Any]) -> str:
    return str(item.get("UID") or item["@id"])


def _text(query: Mapping[str, Any], at: Mapping[str, Any]) -> str:
    pairs: List[Tuple[str, str]] = []
    for name, value in query.items():
        pairs += [(name, str(each)) for each in (value if isinstance(value, list) else [value])]
    pairs += [("sort_on", "created"), ("b_size", str(_PAGE)), ("b_start", str(at["start"]))]
    if "metadata_fields" not in query:
        pairs.append(("metadata_fields", "_all"))
    else:
        pairs += [("metadata_fields", "UID"), ("metadata_fields", "created")]
    if at["since"]:
        pairs += [("created.query", at["since"]), ("created.range", "min")]
    return urlencode(pairs)
