"""Whether every POST made exactly one document, by a search in Plone."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.load.client import Client, Exchange, FailedError, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_BATCH = 200
_BATCHES = 200  # more documents than any run makes


def compare(posts: Iterable[Sequence[str]], found: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return which documents are missing, duplicate or unexpected.

    `posts` are ids and outcomes, `found` ids and titles in Plone. The title begins with the id that was asked
    for, so a document that was made twice is known by it, whatever id the second one got.
    """
    outcomes = {each[0]: each[1] for each in posts}
    names = Counter(title.split(" ", 1)[0] for _, title in found)
    return {
        "missing": sorted(name for name, outcome in outcomes.items() if outcome == "created" and not names[name]),
        "duplicate": sorted(name for name, count in names.items() if count > 1),
        "unexpected": sorted(name for name in names if outcomes.get(name, "not_sent") == "not_sent"),
    }


async def audit(
    url: str, path: str, run: str, posts: Iterable[Sequence[str]], fields: dict[str, str], seconds: float
) -> dict[str, Any]:
    """Return `compare` for the run's documents below `path`, or {"error": text} after a wrong answer of Plone."""
    client = Client(url)
    try:
        return dict(compare(posts, await _documents(client, path, run, fields, seconds)))
    except FailedError as error:
        return {"error": f"{error.error}: {error}"}
    except (ValueError, KeyError, TypeError) as error:
        return {"error": f"not an answer to a search: {error!r}"}
    finally:
        client.close()


async def _documents(
    client: Client, path: str, run: str, fields: dict[str, str], seconds: float
) -> list[tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for batch in range(_BATCHES):
        query = f"Title={run}&sort_on=getId&b_size={_BATCH}&b_start={batch * _BATCH}"
        exchange = Exchange()
        await client.send(Request("GET", f"{path}/@search?{query}", fields=fields), exchange, seconds)
        answer = json.loads(exchange.body)
        for item in answer["items"]:
            found[item["@id"]] = (item["@id"].rsplit("/", 1)[1], item["title"])
        if (batch + 1) * _BATCH >= answer["items_total"]:
            return list(found.values())
    raise FailedError("wrong_body", f"more than {_BATCH * _BATCHES} documents")
