"""Who comes back hears what he missed, once, however far the audience he joins has got."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from eduhub_bridge.live.audience import BATCH, Audience
from eduhub_bridge.live.listener import Listener
from eduhub_bridge.store.database import Sqlite
from eduhub_bridge.store.events import Events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Seeing(Audience):
    """One that may see everything."""

    async def _visible(self, paths):
        return {path: (f"uid of {path}", "now") for path in paths}


@pytest.fixture
def events(tmp_path: Path) -> Iterator[Events]:
    database = Sqlite(tmp_path, 64)
    database.open()
    yield Events(database)
    database.close()


async def told(audience: Audience, listener: Listener) -> list[str]:
    """Return the paths, or kinds without one, that a listener hears from now on."""
    audience.listeners.add(listener)
    for _ in range(5):
        if not await audience.deliver():
            break
    else:
        raise AssertionError("there is always more")
    heard = []
    while (message := await listener.get(0.01)) is not None:
        said = json.loads(message.data)
        heard.append(said.get("path", said["type"]))
    return heard


@pytest.mark.parametrize("news", [2, 3, BATCH])
async def test_who_knows_more_than_the_audience_he_joins_is_not_told_it_again(events, news):
    audience = Seeing(None, "editor", events)
    await events.wrote("changed", "/first", "", "", 1.0)
    await audience.deliver()
    for number in range(news):
        await events.wrote("changed", f"/{number}", "", "", 2.0)
    # He heard the first two of the news in the other slot, a moment before this one has seen them.
    assert await told(audience, Listener("/", 3)) == [f"/{number}" for number in range(2, news)]
    await events.wrote("changed", "/last", "", "", 3.0)
    assert await told(audience, Listener("/", None)) == ["/last"]


async def test_who_knows_what_the_store_does_not_know_loads_again(events):
    await events.wrote("changed", "/first", "", "", 1.0)
    assert await told(Seeing(None, "editor", events), Listener("/", 2)) == ["reset"]


async def test_who_is_ahead_misses_no_deletion_and_no_move_away(events):
    audience = Seeing(None, "editor", events)
    audience._seen.add("/a/gone")
    audience._seen.add("/a/moved")
    await events.wrote("changed", "/a/first", "", "", 1.0)
    await audience.deliver()
    await events.wrote("changed", "/a/known", "", "", 2.0)
    await events.wrote("deleted", "/a/gone", "", "somebody", 2.0)
    await events.wrote("moved", "/b/moved", "/a/moved", "somebody", 2.0)
    assert await told(audience, Listener("/a", 2)) == ["/a/gone", "/b/moved"]
