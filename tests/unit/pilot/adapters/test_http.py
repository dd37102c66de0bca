"""One question is bounded in all ways a server can stall, and each way has a name; readiness is three in a row."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from eduhub_pilot.adapters.http import ask, exchange, replied, wait_ready
from eduhub_pilot.model.facts import Answer
from tests.unit.pilot.fakes import FakeClock

Script = Callable[[socket.socket], None]


@pytest.fixture
def serving() -> Iterator[Callable[[Script], str]]:
    """Start a server that plays a script with each connection; return its address."""
    servers: list[socket.socket] = []
    over = threading.Event()

    def start(script: Script) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                    with connection:
                        script(connection)
                except OSError:
                    continue

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    over.set()
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def says(text: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(text)

    return script


def test_an_answer_of_the_slot_carries_its_headers(serving):
    text = b"HTTP/1.1 200 OK\r\nX-EduHub-Slot: green\r\nX-EduHub-Release: r\r\nContent-Length: 2\r\n\r\nhi"
    answer = ask(serving(says(text)), "/", 60)
    assert (answer.status, answer.slot, answer.release, answer.body, answer.good) == (200, "green", "r", "hi", True)


def test_a_redirect_is_not_followed(serving):
    text = b"HTTP/1.1 301 Moved\r\nX-EduHub-Slot: green\r\nLocation: https://else/\r\nContent-Length: 0\r\n\r\n"
    answer = ask(serving(says(text)), "/", 60)
    assert (answer.status, answer.location, answer.good) == (301, "https://else/", False)


def hangs(connection: socket.socket) -> None:
    connection.settimeout(60)
    while connection.recv(4096):  # until the other side gives up
        pass


def trickles(connection: socket.socket) -> None:
    connection.settimeout(0.02)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
    for _ in range(3000):
        connection.sendall(b"b")
        with suppress(TimeoutError):
            if connection.recv(4096) == b"":
                return


@pytest.mark.parametrize("script", [hangs, trickles])
def test_a_slot_that_stalls_is_given_up_in_time(serving, script):
    """A question that outlasted its seconds would be told `closed`, when the server ends a minute later."""
    assert ask(serving(script), "/", 0.2).trouble == "timeout"


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1", b"SSH-2.0-OpenSSH\r\n"])
def test_a_connection_closed_without_an_answer_is_told(serving, text):
    assert ask(serving(says(text)), "/", 60).trouble == "closed"


def test_an_address_that_refuses_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ask(f"http://127.0.0.1:{port}", "/", 60).trouble == "refused"


@pytest.mark.parametrize(("status", "trouble"), [(502, "closed"), (503, "no_listener"), (504, "timeout"), (404, None)])
def test_haproxys_own_errors_are_told_from_the_applications(status, trouble):
    assert replied(status, [], b"", 0).trouble == trouble
    assert replied(status, [("X-EduHub-Slot", "green")], b"", 0).trouble is None


def test_an_exchange_sends_what_it_is_given_and_returns_all_of_the_reply(serving):
    heard = []

    def script(connection: socket.socket) -> None:
        heard.append(connection.recv(9999).decode())
        body = b"x" * 9000
        head = f"HTTP/1.1 200 OK\r\nVary: a\r\nvary: b\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    reply = exchange(serving(script), "/a?b=1", 60, "GET", {"Host": "www.example.edu", "Accept": "text/html"})
    assert (reply.status, len(reply.body), reply.headers["vary"]) == (200, 9000, "a, b")
    line, *headers = heard[0].split("\r\n")
    assert line == "GET /a?b=1 HTTP/1.1"
    assert [header for header in headers if header.startswith("Host")] == ["Host: www.example.edu"]
    assert {"Accept: text/html", "Accept-Encoding: identity"} <= set(headers)


GOOD, BAD = Answer(200, 0.1), Answer(503, 0.1)


@pytest.mark.parametrize(
    ("answers", "ready", "attempts"),
    [([GOOD] * 3, True, 3), ([BAD, GOOD, GOOD, BAD, GOOD, GOOD, GOOD], True, 7), ([GOOD, GOOD, BAD] * 20, False, 15)],
    ids=["at once", "after a relapse", "flapping"],
)
def test_ready_means_three_good_answers_in_a_row_in_time(answers, ready, attempts):
    clock, left = FakeClock(), iter(answers)
    readiness = wait_ready(clock, lambda: next(left), lambda: None, start_seconds=1)
    assert (readiness.ready, readiness.attempts) == (ready, attempts)


def test_waiting_ends_when_the_container_is_gone():
    reasons = iter([None, None, "it exited"])
    readiness = wait_ready(FakeClock(), lambda: BAD, lambda: next(reasons), start_seconds=60)
    assert (readiness.ready, readiness.attempts, readiness.stopped) == (False, 2, "it exited")
