"""The pilot's client against a socket that speaks HAProxy 2.6's wire format, whole, cut and silent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eduhub_pilot.adapters import haproxy
from eduhub_pilot.adapters.haproxy import Moved, Proxy
from eduhub_pilot.model.errors import ProxyDownError
from eduhub_pilot.model.facts import Counts, Process
from tests.unit.pilot.fakes import FakeClock, Haproxy


@contextmanager
def listening(path: Path, answer: Callable[[str], bytes | None]) -> Iterator[None]:
    """An admin socket: each connection's line is answered by `answer`, then closed; None never answers."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    held = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            reply = answer(connection.makefile("r").readline().rstrip("\n"))
            if reply is None:
                held.append(connection)
                continue
            connection.sendall(reply)
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
        for connection in held:
            connection.close()


@pytest.fixture
def running(tmp_path) -> Haproxy:
    (tmp_path / "traffic.map").write_text("green 0\n")
    (tmp_path / "releases.map").write_text("blue none\ngreen none\n")
    (tmp_path / "transport.map").write_text("blue socket\ngreen socket\n")
    (tmp_path / "maintenance.map").write_text("writes open\n")
    (tmp_path / "drain.map").write_text("draining 0\n")
    running = Haproxy(tmp_path, FakeClock())
    running.start()
    return running


def spoken(running: Haproxy) -> Callable[[str], bytes]:
    """HAProxy's way with several commands on one line: their answers one after the other."""
    return lambda line: "".join(running.answer(command) for command in line.split(";")).encode()


@pytest.fixture
def proxy(running, tmp_path) -> Iterator[Proxy]:
    with listening(tmp_path / "admin.sock", spoken(running)):
        yield Proxy(tmp_path / "admin.sock", str(tmp_path))


def test_traffic_is_moved_and_what_is_true_then_comes_from_the_same_connection(proxy, running):
    moved = proxy.move(100, timeout=0)
    assert moved == Moved(100, Process(1, 1795477976))
    assert (proxy.now(timeout=0), running.weight) == (moved, 100)


def test_a_slots_answers_get_a_release(proxy, running, tmp_path):
    proxy.name("green", "20260101T000000Z-py3.9-00000000", timeout=0)
    assert running.maps[f"{tmp_path}/releases.map"] == {"blue": "none", "green": "20260101T000000Z-py3.9-00000000"}


def test_sessions_answers_and_errors_are_those_of_the_public_backend(proxy, running):
    running.sessions["green"] = 3
    running.answers["green"] = {"2xx": 40, "5xx": 2}
    assert proxy.counts("green", timeout=0) == Counts(3, 42, 2, 0, 0, 0.003, 42)


def test_a_map_that_haproxy_does_not_have_is_an_error_in_its_words(running, tmp_path):
    with listening(tmp_path / "admin.sock", spoken(running)):
        proxy = Proxy(tmp_path / "admin.sock", "/nowhere")
        with pytest.raises(ProxyDownError, match="Unknown map identifier"):
            proxy.move(100, timeout=0)


def test_a_haproxy_that_is_not_there_is_an_error_in_words(tmp_path):
    with pytest.raises(ProxyDownError, match="does not answer on its admin socket"):
        Proxy(tmp_path / "admin.sock").now(timeout=0)


def test_an_answer_cut_by_a_kill_is_asked_again(running, tmp_path):
    replies = [b"", b"\n0x55bff3c3e6c0 green 1", b"\n0x55bff3c3e6c0 green 100\n\nName: HAPr"]
    whole = spoken(running)
    with listening(tmp_path / "admin.sock", lambda line: replies.pop(0) if replies else whole(line)):
        moved = Proxy(tmp_path / "admin.sock", str(tmp_path), FakeClock()).move(100, timeout=5)
    assert (moved.weight, replies) == (100, [])


def test_patience_ends(tmp_path):
    clock = FakeClock()
    with pytest.raises(ProxyDownError):
        Proxy(tmp_path / "admin.sock", clock=clock).now(timeout=5)
    assert 5 <= clock.passed < 6


def test_a_haproxy_that_accepts_and_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(haproxy, "ANSWER_SECONDS", 0.1)
    with (
        listening(tmp_path / "admin.sock", lambda _: None),
        pytest.raises(ProxyDownError, match="timed out"),
    ):
        Proxy(tmp_path / "admin.sock").now(timeout=0)


# What HAProxy 2.6.12 sent for "show stat blue 6 -1", shortened to the columns that are read and a few around them.
TABLE = (
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,econ,eresp,wretr,wredis,rtime,"
    "hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,\n"
    "blue,slot,0,0,7,9,,50,,1,1,0,12,1,20,3,4,5,6,,\n"
    "blue,wait,0,0,2,2,,2,,0,0,0,0,0,0,0,0,0,0,,\n"
    "blue,BACKEND,1,0,7,9,999,52,8,1,1,0,12,1,20,3,4,5,6,,\n\n"
)


def test_all_classes_of_answers_are_counted_and_what_waits_and_clients_that_gave_up_apart(tmp_path):
    with listening(tmp_path / "admin.sock", lambda _: TABLE.encode()):
        assert Proxy(tmp_path / "admin.sock").counts("blue", timeout=0) == Counts(7, 33, 5, 3, 10, 0.012, 52, 6)


def test_a_table_without_the_backend_is_an_error(tmp_path):
    with (
        listening(tmp_path / "admin.sock", lambda _: TABLE.encode()),
        pytest.raises(ProxyDownError, match="no backend green"),
    ):
        Proxy(tmp_path / "admin.sock").counts("green", timeout=0)
