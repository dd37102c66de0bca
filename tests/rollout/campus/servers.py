"""What stands around a host on a campus: a Plone of the institution's, by TLS, and a proxy as the only way out."""

from __future__ import annotations

import http.server
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

GREETING = b'{"@id": "a campus"}'


@dataclass
class Server:
    """A server of this process: its `port`, and the targets that it was asked for."""

    port: int
    asked: list[str] = field(default_factory=list)


@contextmanager
def plone(address: str, chain: Path, key: Path) -> Iterator[Server]:
    """Answer every GET with GREETING at https://`address`, as long as the block lasts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    class Plone(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(GREETING)))
            self.end_headers()
            self.wfile.write(GREETING)

    with _serving(address, Plone, context) as server:
        yield server


@contextmanager
def proxy(address: str) -> Iterator[Server]:
    """Pass requests for http addresses on, as long as the block lasts."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = {name: self.headers[name] for name in ("If-Modified-Since", "Range") if name in self.headers}
            try:
                with urllib.request.urlopen(urllib.request.Request(self.path, headers=wanted), timeout=60) as answer:
                    self._pass(answer.status, dict(answer.headers), answer.read())
            except urllib.error.HTTPError as error:
                self._pass(error.code, dict(error.headers), b"")

        def _pass(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name in ("Content-Type", "Last-Modified", "Content-Range"):
                if name in headers:
                    self.send_header(name, headers[name])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with _serving(address, Proxy) as server:
        yield server


@contextmanager
def _serving(
    address: str, handler: type[http.server.BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[Server]:
    class Quiet(handler):  # type: ignore[misc, valid-type]
        def log_message(self, *_: object) -> None:
            seen.asked.append(self.path)

    with http.server.ThreadingHTTPServer((address, 0), Quiet) as server:
        seen = Server(server.server_address[1])
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield seen
        finally:
            server.shutdown()
