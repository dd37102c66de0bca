"""What a balancer before several hosts is told of this one, by HAProxy itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from eduhub_pilot.adapters.haproxy import Proxy
from tests.templates.edge import Edge, Slot, until

pytestmark = pytest.mark.slow

HEALTH = "/health/host"
# As of an institution: another name than the balancer asks by, and limits that its checks would be over.
SITE = {"edge_hosts": ["hub.example.edu"], "edge_client_requests_per_second": 1}


def serve(folder: Path, name: str) -> Slot:
    """Return a slot that listens on its socket, which one before it may have left."""
    address = folder / f"run/{name}/bridge.sock"
    address.unlink(missing_ok=True)
    return Slot(name, address)


@pytest.fixture
def edge(tmp_path) -> Iterator[Edge]:
    with Edge(tmp_path).running(**SITE) as edge:
        yield edge


def proxy(edge: Edge) -> Proxy:
    return Proxy(edge.folder / "run/edge/admin.sock", f"{edge.folder}/maps")


def told(edge: Edge, method: str = "GET", **fields: str) -> tuple[int, str]:
    answer = edge.ask(HEALTH, method=method, **fields)
    return answer.status, answer.body


def until_told(edge: Edge, expected: tuple[int, str]) -> None:
    """Return once a balancer is told so: what the slot said is known for up to a second."""
    until(lambda: told(edge) == expected)


def test_the_address_says_up_draining_or_down_and_no_limit_or_name_is_in_its_way(edge):
    assert told(edge) == (503, "down")
    slot = serve(edge.folder, "blue")
    until_told(edge, (200, "up"))
    assert {told(edge, Host=host) for host in ("10.0.0.7", "hub.example.edu", "") for _ in range(20)} == {(200, "up")}
    assert told(edge, "HEAD") == (200, "")
    proxy(edge).set_draining(True, 5)
    assert (told(edge), told(edge, "HEAD")) == ((503, "draining"), (503, ""))
    assert edge.ask("/", Host="hub.example.edu").status == 200  # draining refuses nothing
    proxy(edge).set_draining(False, 5)
    assert told(edge) == (200, "up")
    slot.close()
    until_told(edge, (503, "down"))


def test_a_check_of_http_1_0_without_a_name_is_answered(edge):
    serve(edge.folder, "blue")
    until_told(edge, (200, "up"))
    with socket.create_connection(("127.0.0.1", edge.ports["edge_port"]), 30) as connection:
        connection.sendall(f"GET {HEALTH} HTTP/1.0\r\n\r\n".encode())
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    assert (head.split()[1], body) == (b"200", b"up")


def test_only_the_live_slot_counts_and_only_get_and_head_are_for_balancers(edge):
    blue = serve(edge.folder, "blue")
    until_told(edge, (200, "up"))
    edge.move(100)
    until_told(edge, (503, "down"))
    edge.move(0)
    until_told(edge, (200, "up"))
    assert edge.ask(HEALTH, method="POST", Host="hub.example.edu").slot == "blue"
    assert edge.ask(f"{HEALTH}/x", Host="hub.example.edu").slot == "blue"
    assert ("POST", HEALTH) in blue.seen


def test_a_slot_that_speaks_tcp_is_asked_there_and_one_without_our_page_serves(tmp_path):
    edge = Edge(tmp_path)
    path = edge.write()
    (tmp_path / "maps/transport.map").write_text("blue tcp\ngreen socket\n")
    with edge.started(path):
        assert told(edge) == (503, "down")
        slot = Slot("blue", edge.ports["edge_blue_published_port"])
        until_told(edge, (200, "up"))
        slot.close()


def test_a_slot_that_accepts_and_is_silent_is_down_within_the_time_of_a_check(edge):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(edge.folder / "run/blue/bridge.sock"))
        silent.listen()
        began = time.monotonic()
        assert told(edge) == (503, "down")
        assert 1 < time.monotonic() - began < 4


def test_however_many_ask_the_slot_is_asked_once_a_second(edge):
    slot = serve(edge.folder, "blue")
    until_told(edge, (200, "up"))
    slot.seen.clear()
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: told(edge), range(400))) == {(200, "up")}
    assert 0 <= len(slot.seen) <= time.monotonic() - began + 1
    assert set(slot.seen) <= {("GET", "/health/live")}


def test_checks_are_neither_logged_nor_requests_of_the_public(edge):
    serve(edge.folder, "blue")
    until_told(edge, (200, "up"))
    assert edge.ask("/last", Host="hub.example.edu").status == 200
    edge.logged("/last")
    assert HEALTH not in (edge.folder / "log").read_text()
    asked = proxy(edge).public(5)
    assert (asked.recent, asked.open) == (1, [])


def test_the_mark_outlives_a_restart_and_the_metrics_tell_it(tmp_path):
    edge = Edge(tmp_path)
    path = edge.write()
    (tmp_path / "maps/drain.map").write_text("draining 1\n")
    with edge.started(path):
        serve(tmp_path, "blue")
        assert told(edge) == (503, "draining")
        lines = edge.ask("/metrics/host", port="edge_statistics_port").body.splitlines()
        assert lines[1:] == ["# TYPE eduhub_edge_draining gauge", "eduhub_edge_draining 1"]
        proxy(edge).set_draining(False, 5)
        assert edge.ask("/metrics/host", port="edge_statistics_port").body.splitlines()[2] == "eduhub_edge_draining 0"


def test_who_asks_a_drained_host_is_answered_and_sent_to_a_new_connection(edge):
    serve(edge.folder, "blue")
    connection = edge.connect()

    def asked() -> tuple[int, str | None]:
        connection.request("GET", "/", headers={"Host": "hub.example.edu"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Connection"]

    assert asked() == (200, None)
    proxy(edge).set_draining(True, 5)
    assert asked() == (200, "close")
    with suppress(OSError):
        assert connection.sock is None or connection.sock.recv(1) == b""
