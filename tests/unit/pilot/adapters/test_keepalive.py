"""A line keeps its connection, times whole answers, and turns every failure into one error."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from eduhub_pilot.adapters.keepalive import BrokenError, HttpLine


@pytest.fixture
def endpoint():
    """A server that notes connections; `/slow` sleeps, `/cut` closes, `/trickle` sends a byte every 50 ms."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            seen.append((self.client_address[1], self.headers["Host"]))
            if self.path == "/cut":
                self.close_connection = True
                return
            if self.path == "/slow":
                time.sleep(0.05)
            self.send_response(404 if self.path == "/nowhere" else 200)
            self.send_header("Content-Length", "40")
            self.end_headers()
            for _ in range(40):
                self.wfile.write(b"x")
                time.sleep(0.05 if self.path == "/trickle" else 0)

        def log_message(self, *_) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()


def test_one_connection_asks_again_and_again_under_the_publics_name(endpoint):
    base, seen = endpoint
    line = HttpLine(base, "edu.example.org", 1.0)
    assert [line.ask(path)[0] for path in ("/", "/nowhere", "/")] == [200, 404, 200]
    assert (len({port for port, _ in seen}), {host for _, host in seen}) == (1, {"edu.example.org"})
    line.close()


def test_the_time_is_that_of_the_whole_answer(endpoint):
    line = HttpLine(endpoint[0], "a", 1.0)
    assert line.ask("/slow")[1] >= 0.05
    line.close()


@pytest.mark.parametrize("path", ["/cut", "/trickle"])
def test_what_breaks_off_or_trickles_is_broken_and_the_next_question_is_answered(endpoint, path):
    line = HttpLine(endpoint[0], "a", 0.2)
    with pytest.raises(BrokenError):
        line.ask(path)
    assert line.ask("/")[0] == 200
    line.close()


def test_a_door_that_refuses_is_broken():
    with pytest.raises(BrokenError, match="refused"):
        HttpLine("http://127.0.0.1:1", "a", 1.0).ask("/")
