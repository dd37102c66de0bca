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


class Shown(Audience):
    """One to which Plone shows these paths and nothing else."""

    paths = frozenset[str]()

    async def _visible(self, paths):
        for path in self.paths.intersection(paths):
            self._seen.add(path)
        return dict.fromkeys(self.paths.intersection(paths), ("uid", "now"))


async def test_who_listens_in_a_folder_hears_that_it_is_gone(events):
    audience, below, beside = Shown(None, "editor", events), Listener("/a/b/c", None), Listener("/ab", None)
    audience.paths = frozenset({"/a/b/c", "/ab"})
    assert await told(audience, below) == []
    assert await told(audience, beside) == []
    await events.wrote("deleted", "/a", "", "somebody", 1.0)
    assert await told(audience, below) == ["/a"]
    assert await told(audience, beside) == []


async def test_who_may_not_see_what_was_in_a_folder_hears_nothing_of_its_end(events):
    audience = Shown(None, "", events)
    assert await told(audience, listener := Listener("/secret/a", None)) == []
    await events.wrote("deleted", "/secret", "", "somebody", 1.0)
    assert await told(audience, listener) == []


async def test_a_move_is_told_at_both_places_and_where_it_came_from_if_it_went_out_of_sight(events):
    audience = Shown(None, "editor", events)
    audience.paths = frozenset({"/from/seen", "/from/lost", "/to/seen"})
    for path in ("/from/seen", "/from/lost"):
        await events.wrote("changed", path, "", "", 1.0)
    there, here = Listener("/to", None), Listener("/from", None)
    assert await told(audience, there) == []
    audience.listeners.add(here)
    await events.wrote("changed", "/from/seen", "", "", 1.0)
    await events.wrote("changed", "/from/lost", "", "", 1.0)
    assert await told(audience, here) == ["/from/seen", "/from/lost"]
    await events.wrote("moved", "/to/seen", "/from/seen", "somebody", 1.0)
    await events.wrote("moved", "/hidden/lost", "/from/lost", "somebody", 1.0)
    await audience.deliver()
    assert [json.loads((await there.get(0.01)).data)["path"]] == ["/to/seen"]
    said = [json.loads((await here.get(0.01)).data) for _ in range(2)]
    assert [(each["type"], each["path"], each.get("old_path")) for each in said] == [
        ("moved", "/to/seen", "/from/seen"), ("deleted", "/from/lost", None),
    ]  # fmt: skip
