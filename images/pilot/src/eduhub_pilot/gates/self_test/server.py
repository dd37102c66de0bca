"""A slot and its private endpoint for the self-test: a small server on a loopback port of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from eduhub_pilot.adapters.sampling import PLONE
from eduhub_pilot.gates.self_test.candidates import READ, Page, Trick, Work

# HAProxy's answer for a slot in which no process listens.
NO_LISTENER = Page("<html><body><h1>503 Service Unavailable</h1></body></html>", 503, "text/html")
NOT_FOUND = Page("{}", 404)


@dataclass
class Site:
    """A server that runs: its address, the CPU seconds that its answers took, how long it asked Plone and how often."""

    address: str = ""
    cpu: float = 0.0
    plone: float = 0.0
    reads: int = 0

    def does(self, work: Work, path: str) -> Page | None:
        """Do the work for an answer; return what only a server that works has: metrics, and READ."""
        if path == "/metrics":
            return Page(f"{PLONE}_sum {self.plone}\n{PLONE}_count {self.reads}\n", kind="text/plain")
        if path.startswith(READ):
            time.sleep(work.plone / 1000)
            self.plone, self.reads = self.plone + work.plone / 1000, self.reads + 1
        until = time.thread_time() + work.compute / 1000
        while time.thread_time() < until:
            pass
        time.sleep(work.wait / 1000)
        return Page("{}") if path.startswith(READ) else None


@contextmanager
def serving(
    pages: Mapping[str, Page], trick: Trick | None, slot: str, release: str, work: Work | None = None
) -> Iterator[Site]:
    """Serve `pages` as `slot` with `release` would. `trick` says how it misbehaves, `work` what an answer costs."""
    over, asked, site = threading.Event(), count(1), Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Else the body waits 40 ms for the acknowledgement of the headers.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            began = time.thread_time()
            self._get()
            site.cpu += time.thread_time() - began

        def _get(self) -> None:
            number = next(asked)
            if trick == "hangs":
                over.wait(60)
            if trick in {"hangs", "cuts"}:
                self.close_connection = True
                return
            page = NO_LISTENER if trick == "no_listener" else pages.get(self.path.partition("?")[0], NOT_FOUND)
            page = (site.does(work, self.path) if work else None) or page
            if trick == "by turns" and number % 3 == 0:
                page = Page('{"title": "Internal Server Error"}', 500)
            self._answer(page, page.body.replace("tick", str(number)).encode())

        def _answer(self, page: Page, body: bytes) -> None:
            self.send_response(page.status)
            headers = {"Content-Type": page.kind, "Content-Length": str(len(body)), **page.headers}
            if trick != "no_listener":
                headers["X-EduHub-Slot"] = {"other slot": "blue"}.get(trick or "", slot)
                headers["X-EduHub-Release"] = {"other release": "none"}.get(trick or "", release)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing: standard output is the pilot's answer."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            site.address = f"http://127.0.0.1:{server.server_address[1]}"
            yield site
        finally:
            over.set()
            server.shutdown()
