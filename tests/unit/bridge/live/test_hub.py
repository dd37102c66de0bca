"""What goes wrong for an audience is written down and tried again: no listener is left with heartbeats alone."""

from __future__ import annotations

import asyncio
import json

import pytest

from eduhub_bridge.live import hub as hubs
from eduhub_bridge.live.audience import Audience
from eduhub_bridge.live.changes import Change
from eduhub_bridge.live.hub import CrowdedError, Hub
from eduhub_bridge.live.listener import Listener, message
from eduhub_bridge.plone.identity import Identities
from eduhub_bridge.upstream.limits import UpstreamError


@pytest.mark.parametrize(
    ("failure", "level"), [(UpstreamError("refused", 502, "Plone is away."), "warning"), (KeyError("@id"), "error")]
)
async def test_a_failure_is_said_and_survived(monkeypatch, capsys, failure, level):
    failures = [failure]

    async def deliver(self):
        if failures:
            raise failures.pop()
        for listener in self.listeners:
            listener.put(message("changed"))
        return False

    async def poll(*_):
        return

    class Site:
        authorization = None

    monkeypatch.setattr(Audience, "deliver", deliver)
    monkeypatch.setattr(Audience, "poll", poll)
    hub, listener = Hub(None, None, 60.0, lambda: None), Listener("/", None)
    await hub.join(Site(), "", listener)
    assert (await listener.get(5.0)).kind == "changed"
    hub.leave(listener)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("live_waits", level)


async def test_what_was_written_first_is_told_first_however_long_its_author_takes():
    told, asked = [], asyncio.Event()

    class Events:
        async def wrote(self, *change):
            told.append((change[1], change[3]))

    async def confirmed():
        await asked.wait()
        return "ada"

    hub = Hub(Events(), None, 60.0, lambda: None)
    hub.wrote([Change("created", "/first")], confirmed())
    hub.wrote([Change("changed", "/second")], "")
    await asyncio.sleep(0.01)
    assert told == []
    asked.set()
    await asyncio.gather(*hub._writing)
    assert told == [("/first", "ada"), ("/second", "")]


class Site:
    def __init__(self, authorization=None):
        self.authorization = authorization


@pytest.fixture
def quiet(monkeypatch):
    """No audience is served: who may listen is all there is."""

    async def serve(*_):
        return

    monkeypatch.setattr(Hub, "_serve", serve)


@pytest.mark.usefixtures("quiet")
async def test_limits_hold_for_those_who_come_back_at_the_same_moment(monkeypatch):
    class Events:
        async def moment(self, last):
            await asyncio.sleep(0.01)
            return float(last)

    monkeypatch.setattr(hubs, "MOST_OF_ONE_CLIENT", 2)
    monkeypatch.setattr(hubs, "MOST_LISTENERS", 5)
    hub = Hub(Events(), Identities(), 60.0, lambda: None)
    joins = [hub.join(Site(), "", Listener("/", 7, "192.0.2.7")) for _ in range(10)]
    joined = await asyncio.gather(*joins, return_exceptions=True)
    assert [each for each in joined if isinstance(each, CrowdedError)] == joined[2:]
    joins = [hub.join(Site(), "", Listener("/", 7, f"192.0.2.{number}")) for number in range(10, 20)]
    joined = await asyncio.gather(*joins, return_exceptions=True)
    assert (hub.listeners(), [type(each) for each in joined].count(CrowdedError)) == (5, 7)


@pytest.mark.usefixtures("quiet")
async def test_one_user_is_not_all_credentials_that_listen(monkeypatch):
    monkeypatch.setattr(hubs, "MOST_AUDIENCES", 4)
    monkeypatch.setattr(hubs, "AUDIENCES_OF_ONE_USER", 2)
    hub = Hub(None, Identities(), 60.0, lambda: None)
    ada = [Listener("/", None) for _ in range(3)]
    await hub.join(Site("Bearer a.1.c"), "ada", ada[0])
    await hub.join(Site("Bearer a.2.c"), "ada", ada[1])
    with pytest.raises(CrowdedError):
        await hub.join(Site("Bearer a.3.c"), "ada", ada[2])
    await hub.join(Site("bearer  a.2.c "), "ada", ada[2])  # another spelling of one that listens
    await hub.join(Site("Bearer b.1.c"), "bob", Listener("/", None))
    await hub.join(Site("Bearer c.1.c"), "cora", Listener("/", None))
    with pytest.raises(CrowdedError):
        await hub.join(Site("Bearer d.1.c"), "dan", Listener("/", None))
    await hub.join(Site(), "", Listener("/", None))  # the public is asked for once, however many listen
    hub.leave(ada[0])
    await hub.join(Site("Bearer a.3.c"), "ada", ada[0])


@pytest.mark.usefixtures("quiet")
async def test_of_those_who_come_back_only_the_earliest_moment_is_kept():
    class Events:
        async def moment(self, last):
            return float(last)

    hub = Hub(Events(), Identities(), 60.0, lambda: None)
    await hub.join(Site(), "", Listener("/", None))
    assert hub._rooms[b""].since is None
    for last in (9, 5, 7):
        await hub.join(Site(), "", Listener("/", last))
    assert hub._rooms[b""].since == 5.0


async def test_one_address_is_not_all_who_listen(monkeypatch):
    class Site:
        authorization = None

    async def serve(*_):
        return

    monkeypatch.setattr(Hub, "_serve", serve)
    monkeypatch.setattr(hubs, "MOST_OF_ONE_CLIENT", 2)
    hub = Hub(None, None, 60.0, lambda: None)
    one, other, more = (Listener("/", None, "192.0.2.7") for _ in range(3))
    await hub.join(Site(), "", one)
    await hub.join(Site(), "", other)
    with pytest.raises(CrowdedError):
        await hub.join(Site(), "", more)
    for client in ("192.0.2.8", "", "", ""):  # others, and who is not the public
        await hub.join(Site(), "", Listener("/", None, client))
    hub.leave(more)  # who was not let in frees no place
    with pytest.raises(CrowdedError):
        await hub.join(Site(), "", more)
    hub.leave(one)
    hub.leave(one)
    await hub.join(Site(), "", more)
    assert hub._of_client["192.0.2.7"] == 2


async def test_neither_a_user_nor_an_address_has_all_audiences(monkeypatch):
    class Site:
        def __init__(self, authorization):
            self.authorization = authorization

    class Identities:
        def digest(self, authorization):
            return authorization.encode()

    async def serve(*_):
        return

    monkeypatch.setattr(Hub, "_serve", serve)
    hub = Hub(None, Identities(), 60.0, lambda: None)

    async def join(user, token, client):
        listener = Listener("/", None, client)
        await hub.join(Site(f"{user} {token}"), user, listener)
        return listener

    mine = [await join("ada", token, f"192.0.2.{token}") for token in range(hubs.AUDIENCES_OF_ONE_USER)]
    with pytest.raises(CrowdedError):
        await join("ada", "one more", "192.0.2.200")
    mine.append(await join("ada", 0, "192.0.2.200"))  # a token that listens already
    hub.leave(mine[1])
    await join("ada", "one more", "192.0.2.200")
    for number in range(hubs.AUDIENCES_OF_ONE_CLIENT):
        await join(f"u{number}", "", "198.51.100.9")
    with pytest.raises(CrowdedError):
        await join("another", "", "198.51.100.9")
    await join("another", "", "203.0.113.7")
    await join("an operator", "", "")


@pytest.mark.parametrize("turns", range(5))
async def test_the_last_who_leaves_as_news_come_takes_the_polls_with_him(monkeypatch, turns):
    async def deliver(_):
        return False

    async def poll(*_):
        return

    monkeypatch.setattr(Audience, "deliver", deliver)
    monkeypatch.setattr(Audience, "poll", poll)
    hub, listener = Hub(None, None, 60.0, lambda: None), Listener("/", None)
    await hub.join(Site(), "", listener)
    (room,) = hub._rooms.values()
    await asyncio.sleep(0.01)
    room.news.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    hub.leave(listener)
    await asyncio.wait(room.task, timeout=1.0)
    assert room.task[0].done()
