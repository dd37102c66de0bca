"""A slot and its door in one, for the self-test: a small server on a loopback port of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from eduhub_pilot.selftest.greens import Page, Trick

# Of a door whose slot nobody listens in, as HAProxy answers by itself.
NOBODY = Page("<html><body><h1>503 Service Unavailable</h1></body></html>", 503, "text/html")
NOT_FOUND = Page("{}", 404)


@contextmanager
def serving(pages: Mapping[str, Page], trick: Trick | None, slot: str, release: str) -> Iterator[str]:
    """Serve `pages` as `slot` with `release` would; the block gets the address. `trick` says how it misbehaves."""
    over, asked = threading.Event(), count(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = next(asked)
            if trick == "hangs":
                over.wait(60)
            if trick in {"hangs", "cuts"}:
                self.close_connection = True
                return
            page = NOBODY if trick == "nobody" else pages.get(self.path.partition("?")[0], NOT_FOUND)
            if trick == "by turns" and number % 3 == 0:
                page = Page('{"title": "Internal Server Error"}', 500)
            self._answer(page, page.body.replace("tick", str(number)).encode())

        def _answer(self, page: Page, body: bytes) -> None:
            self.send_response(page.status)
            headers = {"Content-Type": page.kind, "Content-Length": str(len(body)), **page.headers}
            if trick != "nobody":
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
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
