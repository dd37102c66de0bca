"""A front host is taken out once another one has the site's addresses, and otherwise put back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from library import host_drain as module
from module_utils.host_front import drain_map, drained_by
from tests.templates.edge import Edge, until

SECONDS = {"/slow": 1.5, "/long": 45}
ASKED = {"stack": "eduhub", "drained": True, "by": "drain", "virtual_addresses": ["192.0.2.10/24"], "port": 80,
         "seconds": 30, "alone": False}  # fmt: skip


class Bridge(BaseHTTPRequestHandler):
    """A bridge host, some of whose pages take time."""

    def do_GET(self) -> None:
        time.sleep(SECONDS.get(self.path, 0))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        with contextlib.suppress(OSError):  # who asked may have gone
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def bridge() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Bridge) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def front(edge: Edge, bridge: int) -> Path:
    """Write a front host's configuration; return its path."""
    there = {"ansible_host": "127.0.0.1", "edge_port": bridge}
    return edge.write(
        groups={"front": ["here"], "bridge": ["b1"]}, hostvars={"here": {}, "b1": there},
        front_host_address="127.0.0.1", edge_drain_quiet_seconds=2,
    )  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """The module's host is a folder, whose addresses have moved once it is drained."""
    edge = Edge(tmp_path)
    monkeypatch.setattr(module, "admin_socket", lambda _: tmp_path / "run/edge/admin.sock")
    monkeypatch.setattr(module, "drain_file", lambda _: tmp_path / "maps/drain.map")
    monkeypatch.setattr(module, "MAP", f"{tmp_path}/maps/drain.map")
    monkeypatch.setattr(module, "MOVES_SECONDS", 1)
    monkeypatch.setattr(module, "printed", lambda *_: "[]")
    monkeypatch.setattr(module, "answers", lambda *_: told(edge) == "1")
    return edge


def told(edge: Edge) -> str:
    """Return what keepalived's check is told."""
    return edge.ask("/metrics/host", port="edge_statistics_port").body.split()[-1]


def serves(edge: Edge) -> bool:
    return edge.ask("/health/host").body == "up"


def drain(**given: Any) -> dict[str, Any]:
    return module.drain({**ASKED, **given}, None, check=False)


@pytest.mark.slow
def test_a_drain_waits_for_what_is_asked_and_outlives_a_restart(here, bridge, tmp_path):
    path = front(here, bridge)
    with here.started(path):
        until(lambda: serves(here))
        began = time.monotonic()
        asking = threading.Thread(target=here.ask, args=("/slow",))
        asking.start()
        until(lambda: "/slow" in here.tell("show table inflight"))
        done = drain()
        assert (done["code"], done["exit"]) == ("front_drained", 0)
        assert "The other front host has the site's addresses." in done["message"]
        assert time.monotonic() - began >= SECONDS["/slow"]
        asking.join()
        assert told(here) == "1"
    with here.started(path):
        assert told(here) == "1"
        assert module.undrain(ASKED, "drain", check=False)["code"] == "front_undrained"
        assert told(here) == "0"
        assert drained_by((tmp_path / "maps/drain.map").read_text()) is None


@pytest.mark.slow
def test_a_request_that_came_by_an_address_that_moved_is_told_and_not_waited_for(here, bridge):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        began = time.monotonic()
        with ThreadPoolExecutor() as pool:
            asking = pool.submit(here.ask, "/long")
            until(lambda: "/long" in here.tell("show table inflight"))
            done = drain(virtual_addresses=["127.0.0.1/8"])
            assert time.monotonic() - began < SECONDS["/long"]
            assert "; 1 request over them had not ended, and is lost. After 0 s there is no request" in done["message"]
            asking.result()


@pytest.mark.slow
def test_a_host_whose_addresses_nobody_takes_is_put_back(here, bridge, monkeypatch):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        monkeypatch.setattr(module, "answers", lambda *_: False)
        done = drain()
        assert (done["code"], done["exit"], told(here)) == ("front_not_taken_over", 1, "0")
        alone = drain(alone=True, by="host.patch")
        assert alone["message"].startswith("No front host has the site's addresses.")
        assert alone["next"] == []
        assert told(here) == "1"


@pytest.mark.slow
def test_a_balancer_that_goes_on_asking_keeps_a_host_from_being_free(here, bridge):
    with here.started(front(here, bridge)):
        until(lambda: serves(here))
        here.ask("/")
        still = drain(virtual_addresses=[], seconds=0)
        assert (still["code"], still["exit"]) == ("front_drain_unfinished", 3)
        free = drain(virtual_addresses=[])
        assert (free["exit"], "After " in free["message"], "no request left" in free["message"]) == (0, True, True)


def test_nothing_is_marked_in_a_check_or_where_haproxy_is_silent(here):
    (here.folder / "maps").mkdir()
    with pytest.raises(OSError, match="No such file"):
        drain()
    assert module.drain(ASKED, None, check=True)["message"] == "The host would be drained."
    assert list((here.folder / "maps").iterdir()) == []


def test_the_mark_says_which_verb_drained_the_host():
    assert drained_by(drain_map("host.patch")) == "host.patch"
    assert drained_by(drain_map(None)) is None
    assert drained_by("draining 1\n") == "drain"
