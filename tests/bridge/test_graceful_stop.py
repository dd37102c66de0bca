"""Twenty stops on each Python behind the edge: once drained no request fails, and what goes on comes to its end.

Traffic moves to the other slot as the pilot moves it, while clients go on asking; then the bridge is told to stop.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.bridge import stack
from tests.templates.edge import Edge
from tests.unit.bridge.fake_plone import Plone

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

STOPS = 20
SECONDS = 20
# For so long a download goes on when all else is over: a bridge that does not wait for it has cut it by then.
LONGER_SECONDS = 0.3


class Stage:
    """The edge, and behind it a slot for each Python, before a Plone that keeps a stream open until it may end."""

    def __init__(self, engine: docker.DockerClient, edge: Edge, plone: Plone, running: ExitStack) -> None:
        self.edge, self.plone = edge, plone
        self.containers = {
            slot: running.enter_context(stack.slot(engine, plone.url, python, edge.folder / "run" / slot))
            for slot, python in stack.SLOTS.items()
        }

    def live(self, slot: str) -> None:
        """Give all traffic to a slot, once both answer."""
        for each, container in self.containers.items():
            container.start()
            self._until_it_answers(each)
        self.edge.move(100 if slot == "green" else 0)

    def _until_it_answers(self, slot: str) -> None:
        deadline = time.monotonic() + stack.BRIDGE_SECONDS
        while self.edge.ask("/health/live", port=f"edge_{slot}_port").status != 200:
            assert time.monotonic() < deadline, self.containers[slot].logs(tail=20).decode()
            time.sleep(0.05)


@pytest.fixture(scope="module")
def stage(engine, tmp_path_factory) -> Iterator[Stage]:
    plone = Plone().start()
    with Edge(tmp_path_factory.mktemp("edge")).running() as edge, ExitStack() as running:
        yield Stage(engine, edge, plone, running)
        plone.release.set()
    plone.stop()


class Clients:
    """Three of them, asking all the time on kept connections: two that read, one that writes."""

    def __init__(self, edge: Edge) -> None:
        self.failures: list[str] = []
        self.answers: dict[str | None, int] = {}
        self._edge, self._ending = edge, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(method,)) for method in ("GET", "GET", "POST")]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(SECONDS)

    def _ask(self, method: str) -> None:
        connection = self._edge.connect()
        while not self._ending.wait(0.002):
            try:
                # Not anonymous: no stored page may stand in for a bridge that stops.
                connection.request(method, "/plone/x", b"x" if method == "POST" else None, {"Cookie": "a=1"})
                answer = connection.getresponse()
                slot, whole = answer.headers["X-EduHub-Slot"], answer.read() == b"hello"
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{method}: {error!r}")
                connection.close()
                continue
            self.answers[slot] = self.answers.get(slot, 0) + 1
            if answer.status != 200 or not whole:
                self.failures.append(f"{method}: {answer.status} from {slot}")


def begin(stage: Stage, path: str) -> tuple[http.client.HTTPResponse, bytes]:
    """Return an answer that goes on, with its first byte."""
    connection = stage.edge.connect()
    connection.request("GET", path, headers={"Cookie": "a=1"})
    answer = connection.getresponse()
    return answer, answer.read(1)


def closed(socket: ClientConnection) -> int:
    """Return the code with which a WebSocket is closed (RFC 6455, section 7.4)."""
    while True:
        try:
            socket.recv(SECONDS)
        except ConnectionClosed as error:
            return error.rcvd.code if error.rcvd else 1006


@pytest.mark.parametrize("slot", stack.SLOTS, ids=lambda slot: f"py{stack.SLOTS[slot]}")
@pytest.mark.parametrize("stop", range(1, STOPS + 1))
def test_nothing_fails_and_everything_ends_well(stage, slot, stop):  # noqa: ARG001 - the same each time
    other = next(each for each in stack.SLOTS if each != slot)
    stage.live(slot)
    stage.plone.release.clear()
    live = f"ws://127.0.0.1:{stage.edge.ports['edge_port']}/api/v1/live"
    with Clients(stage.edge) as clients, connect(live) as socket:
        assert json.loads(socket.recv(SECONDS))["type"] == "hello"
        download, first = begin(stage, "/plone/drip")
        events, begun = begin(stage, "/api/v1/events")
        assert {answer.headers["X-EduHub-Slot"] for answer in (download, events)} == {slot}
        stage.edge.move(100 if other == "green" else 0)
        stage.containers[slot].kill(signal="SIGTERM")
        code = closed(socket)
        told = begun + events.read()
        time.sleep(LONGER_SECONDS)
        stage.plone.release.set()
        whole = first + download.read()
        ended = stage.containers[slot].wait(timeout=SECONDS)["StatusCode"]
    assert clients.failures == []
    assert clients.answers.keys() == {slot, other}
    assert whole == b"ab"
    assert told.rstrip().splitlines()[-2] == b"event: bye"
    assert code == 1012
    assert ended == 0
