"""Streams and WebSockets through the edge as deployed outlast its timeouts, and lose nothing at a switch."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from eduhub_pilot.model import connections
from eduhub_pilot.rollout.drain import CLOSE_STREAMS
from tests.bridge import stack
from tests.templates.edge import Edge
from tests.templates.render import value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker.models.containers import Container

HEARTBEAT_SECONDS = 15
# The edge of this test cuts what is silent for so long; its own defaults are longer.
SILENT_SECONDS = HEARTBEAT_SECONDS + 1
SECONDS = 20
TIMEOUTS = ("edge_client_seconds", "edge_server_seconds", "edge_tunnel_seconds")


class EndedError(Exception):
    """There is no more; `why` is what was said, or the code with which a WebSocket was closed."""

    def __init__(self, why: object) -> None:
        super().__init__(why)
        self.why = why


class Events:
    """A client that reads server-sent events."""

    kind = "stream"

    def __init__(self, edge: Edge, admin: tuple[str, str], last: int | None = None) -> None:
        again = {} if last is None else {"Last-Event-ID": str(last)}
        self._connection = edge.connect()
        self._connection.timeout = SECONDS
        self._connection.request("GET", "/api/v1/events", headers={**basic(admin), **again})
        self._answer = self._connection.getresponse()
        self.slot = self._answer.headers["X-EduHub-Slot"]

    def next(self) -> dict[str, Any]:
        """Return the next message, be it a heartbeat; EndedError."""
        data = None
        while line := self._answer.readline():
            if line == b": heartbeat\n":
                return {"type": "heartbeat"}
            if line.startswith(b"data: "):
                data = json.loads(line[6:])
            if data and line == b"\n":
                if data["type"] == "bye":
                    raise EndedError(data["why"])
                return data
        raise EndedError(None)

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


class Live:
    """A client on a WebSocket."""

    kind = "websocket"

    def __init__(self, edge: Edge, admin: tuple[str, str], last: int | None = None) -> None:
        again = "" if last is None else f"?last_event_id={last}"
        url = f"ws://127.0.0.1:{edge.ports['edge_port']}/api/v1/live{again}"
        # It sends nothing by itself: only the bridge keeps this connection in use.
        self._socket = connect(url, additional_headers=basic(admin), ping_interval=None)
        self.slot = self._socket.response.headers["X-EduHub-Slot"] if self._socket.response else None
        assert self.next() == {"type": "hello", "user": admin[0]}

    def next(self) -> dict[str, Any]:
        """Return the next message, be it a heartbeat; EndedError."""
        while True:
            try:
                message = json.loads(self._socket.recv(SECONDS))
            except ConnectionClosed as error:
                raise EndedError(error.rcvd.code if error.rcvd else None) from None
            if message["type"] != "bye":
                return dict(message)

    def close(self) -> None:
        self._socket.close()


CLIENTS = (Events, Live)


def basic(admin: tuple[str, str]) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(":".join(admin).encode()).decode()}


@dataclass
class Site:
    edge: Edge
    plone: stack.Server
    slots: dict[str, Container]
    maintenance_map: Path

    def maintenance(self, *, on: bool) -> None:
        """Let no job write, or all of them. The edge itself is not told: it would refuse a new one."""
        self.maintenance_map.write_text("writes closed:Restore\n" if on else "writes open\n")

    def listen(self, slot: str, last: int | None = None) -> list[Events | Live]:
        """Give all traffic to a slot and return a client of each kind there."""
        self.edge.move(100 if slot == "green" else 0)
        clients = [each(self.edge, self.plone.admin, last) for each in CLIENTS]
        assert {client.slot for client in clients} == {slot}
        return clients

    def write(self, name: str) -> str:
        """Write a document through the public address; return its path."""
        connection = self.edge.connect()
        document = json.dumps({"@type": "Document", "id": name, "title": name}).encode()
        fields = {**basic(self.plone.admin), "Accept": "application/json", "Content-Type": "application/json"}
        connection.request("POST", "/plone/submissions", document, fields)
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        return f"/submissions/{name}"


@pytest.fixture(scope="module")
def site(engine, plone, tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("edge")
    state = folder / "state"
    state.mkdir()
    (state / "key").write_text("a key that both slots are given, long enough")
    told = {"EDUHUB_LIVE_POLL_SECONDS": "1", "EDUHUB_MAINTENANCE_FILE": "/var/lib/eduhub-bridge/maintenance.map"}
    silent = dict.fromkeys(TIMEOUTS, SILENT_SECONDS)
    with Edge(folder).running(**silent) as edge, ExitStack() as running:
        slots = {
            slot: running.enter_context(
                stack.slot(engine, plone.url, python, folder / "run" / slot, state, **told)
            )
            for slot, python in stack.SLOTS.items()
        }
        for slot in slots:
            until_it_answers(edge, slot)
        yield Site(edge, plone, slots, state / "maintenance.map")


def until_it_answers(edge: Edge, slot: str) -> None:
    deadline = time.monotonic() + stack.BRIDGE_SECONDS
    while edge.ask("/health/live", port=f"edge_{slot}_port").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def names(plone: stack.Server, *given: str) -> Iterator[list[str]]:
    """Names of documents that are gone at the end."""
    stamped = [f"{name}-{time.time_ns()}" for name in given]
    try:
        yield stamped
    finally:
        for name in stamped:
            plone.ask("DELETE", f"/submissions/{name}", plone.admin)


def until(client: Events | Live, path: str) -> list[dict[str, Any]]:
    """Return what a client hears up to the change of a document, but for heartbeats and the folder around it.

    And but for `reset`: tests before this one may have changed more in the last minute than a poll tells.
    """
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["path"] != path:
        message = client.next()
        if message.get("path", "/submissions") != "/submissions":
            heard.append(message)
    return heard


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_heartbeats_come_in_time_for_the_edge(timeout):
    assert value(timeout) >= 2 * HEARTBEAT_SECONDS


def test_listeners_outlast_every_timeout_of_the_edge(site):
    clients = site.listen("blue") + site.listen("green")

    def silence(client: Events | Live) -> float:
        began = time.monotonic()
        assert [client.next() for _ in range(2)] == [{"type": "heartbeat"}] * 2
        return time.monotonic() - began

    with ThreadPoolExecutor(len(clients)) as pool:
        assert min(pool.map(silence, clients)) > SILENT_SECONDS
    with names(site.plone, "late") as (name,):
        path = site.write(name)
        assert [[each["path"] for each in until(client, path)] for client in clients] == [[path]] * 4
    for client in clients:
        client.close()


def test_a_bulk_request_that_maintenance_holds_outlasts_every_timeout_of_the_edge(site):
    with names(site.plone, "held") as (name,):
        item = {"@type": "Document", "id": name, "title": name}
        operation = json.dumps({"op": "create", "path": "/submissions", "item": item}).encode()
        connection = site.edge.connect()
        connection.timeout = SECONDS
        site.maintenance(on=True)
        try:
            connection.request(
                "POST", "/api/v1/bulk", operation, {**basic(site.plone.admin), "Content-Type": "application/x-ndjson"}
            )
            answer = connection.getresponse()
            began = time.monotonic()
            assert answer.read(2) == b"  "
            assert time.monotonic() - began > SILENT_SECONDS
        finally:
            site.maintenance(on=False)
        result, job = [json.loads(line) for line in answer.read().splitlines()]
        assert (result["ok"], job["state"]) == (True, "done")


def stop(site: Site, slot: str) -> None:
    site.slots[slot].kill(signal="SIGTERM")


def send_away(site: Site, slot: str) -> None:
    """As the pilot does when it drains."""
    assert site.edge.ask(CLOSE_STREAMS, method="POST").status == 404  # the public cannot
    assert json.loads(site.edge.ask(CLOSE_STREAMS, f"edge_{slot}_port", "POST").body) == {"listeners": 2}


@pytest.mark.parametrize("how", [stop, send_away])
@pytest.mark.parametrize(("old", "new"), [("blue", "green"), ("green", "blue")], ids=["py3.9-py3.11", "py3.11-py3.9"])
def test_a_switch_sends_listeners_to_the_new_slot_and_they_miss_nothing(site, old, new, how):
    with names(site.plone, "before", "during", "after") as (before, during, after):
        clients = site.listen(old)
        path = site.write(before)
        last = [until(client, path)[-1]["id"] for client in clients]
        site.edge.move(100 if new == "green" else 0)
        # What the pilot waits for while it drains; a listener that left a moment ago may still be among them.
        found = connections.connections(site.edge.tell("show sess all"), site.edge.tell("show table inflight"), old)
        assert {(each.path, each.kind) for each in found} == {
            ("/api/v1/events", "stream"), ("/api/v1/live", "websocket"),
        }  # fmt: skip
        how(site, old)
        try:
            why, code = (goodbye(client) for client in clients)
            assert (str(why)[-14:], code) == ("connect again.", 1012)
            missed = site.write(during)
            again = [each(site.edge, site.plone.admin, number) for each, number in zip(CLIENTS, last, strict=True)]
            assert {client.slot for client in again} == {new}
            now = site.write(after)
            assert [[each["path"] for each in until(client, now)] for client in again] == [[missed, now]] * 2
            if how is stop:
                assert site.slots[old].wait(timeout=SECONDS)["StatusCode"] == 0
        finally:
            site.slots[old].start()
            until_it_answers(site.edge, old)
        for client in clients + again:
            client.close()


def test_what_is_withdrawn_through_one_slot_is_gone_in_the_other_at_once(site):
    def ask(method: str, path: str, body: bytes | None = None, **fields: str) -> tuple[int, str | None]:
        connection = site.edge.connect()
        connection.request(method, path, body, {"Accept": "application/json", **fields})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Cache-Status"]

    def step(name: str) -> None:
        fields = {**basic(site.plone.admin), "Content-Type": "application/json"}
        assert ask("POST", f"/plone{path}/@workflow/{name}", b"{}", **fields)[0] == 200

    with names(site.plone, "withdrawn") as (name,):
        site.edge.move(0)
        path = site.write(name)
        step("publish")
        for share in (0, 100):
            site.edge.move(share)
            assert [ask("GET", f"/plone{path}")[0] for _ in range(2)] == [200, 200]
        assert "; hit;" in str(ask("GET", f"/plone{path}")[1])
        step("retract")  # through green
        site.edge.move(0)
        status, said = ask("GET", f"/plone{path}")
        assert (status, "hit" in str(said)) == (401, False)


def goodbye(client: Events | Live) -> object:
    """Return how a client's conversation ends, within a few messages."""
    for _ in range(9):
        try:
            client.next()
        except EndedError as error:
            return error.why
    return "no end"
