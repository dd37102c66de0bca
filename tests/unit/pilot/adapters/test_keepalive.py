"""A line keeps its connection, times whole answers, and turns every failure into one error."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from eduhub_pilot.adapters.keepalive import BrokenError, HttpLine
from tests.unit.pilot.fakes import FakeClock

# Seconds for an answer: by the clock of these tests an answer to /trickle takes longer; by the machine's, a hang.
SECONDS = 60.0


@pytest.fixture
def clock(monkeypatch):
    """The clock by which a line times its answers; the server's waits move it."""
    clock = FakeClock()
    monkeypatch.setattr("eduhub_pilot.adapters.keepalive.time.perf_counter", clock.monotonic)
    return clock


@pytest.fixture
def endpoint(clock):
    """A server that notes connections; `/slow` takes 0.5 s, `/cut` closes, `/trickle` sends a byte every 2 s."""
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
                clock.sleep(0.5)
            self.send_response(404 if self.path == "/nowhere" else 200)
            self.send_header("Content-Length", "40")
            self.end_headers()
            for _ in range(40):
                self.wfile.write(b"x")
                clock.sleep(2.0 if self.path == "/trickle" else 0.0)

        def log_message(self, *_) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()


def test_one_connection_asks_again_and_again_under_the_publics_name(endpoint):
    base, seen = endpoint
    line = HttpLine(base, "edu.example.org", SECONDS)
    assert [line.ask(path)[0] for path in ("/", "/nowhere", "/")] == [200, 404, 200]
    assert (len({port for port, _ in seen}), {host for _, host in seen}) == (1, {"edu.example.org"})
    line.close()


def test_the_time_is_that_of_the_whole_answer(endpoint):
    line = HttpLine(endpoint[0], "a", SECONDS)
    assert line.ask("/slow")[1] == 0.5
    line.close()


@pytest.mark.parametrize("path", ["/cut", "/trickle"])
def test_what_breaks_off_or_trickles_is_broken_and_the_next_question_is_answered(endpoint, path):
    line = HttpLine(endpoint[0], "a", SECONDS)
    with pytest.raises(BrokenError):
        line.ask(path)
    assert line.ask("/")[0] == 200
    line.close()


def test_an_address_that_refuses_is_broken():
    with pytest.raises(BrokenError, match="refused"):
        HttpLine("http://127.0.0.1:1", "a", SECONDS).ask("/")
