"""A certificate authority of a test's own, and an https server whose certificate it signed."""

from __future__ import annotations

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SUBJECT, ISSUER = "/O=Campus/CN=cms.example.edu", "/O=Campus/CN=Campus Root CA"


class Authority:
    """As institutions make one: its certificate names no key usage, which Python 3.13's default asks for.

    `pem` is that certificate; `below()` makes an authority that it signed; `server(names)` starts a server on
    127.0.0.1 with a certificate for `names`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate, self.key = folder / "ca.pem", folder / "ca.key"
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", ISSUER, "-keyout", str(self.key),
            "-out", str(self.certificate),
        )  # fmt: skip
        self.pem = self.certificate.read_text()

    def below(self, folder: Path) -> Authority:
        """Return another authority, whose certificate this one signed."""
        lower = Authority(folder)
        request, extensions = folder / "ca.csr", folder / "ca.ext"
        extensions.write_text("basicConstraints=critical,CA:TRUE\n")
        subject = "/O=Campus/CN=Campus Sub CA"
        self._openssl("req", "-new", "-key", str(lower.key), "-subj", subject, "-out", str(request))
        self._openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self.key),
            "-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", str(lower.certificate),
        )  # fmt: skip
        lower.pem = lower.certificate.read_text()
        return lower

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    def server(self, names: str = "IP:127.0.0.1,DNS:localhost", status: int = 200) -> Site:
        key, signed = self.folder / "server.key", self.folder / "server.pem"
        request, extensions = self.folder / "server.csr", self.folder / "server.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self._openssl(
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", SUBJECT, "-keyout", str(key), "-out", str(request)
        )
        self._openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self.key),
            "-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", str(signed),
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed, key)
        return Site(context, status)


class Site:
    """An https server that answers every request with `status`, and keeps path and Host of each in `seen`."""

    def __init__(self, context: ssl.SSLContext | None = None, status: int = 200) -> None:
        self.seen: list[tuple[str, str]] = []
        self.status = status
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.seen.append((self.path, self.headers["Host"]))
                self.send_response(site.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        return Handler
