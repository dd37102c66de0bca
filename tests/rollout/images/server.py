"""A tiny web server: `server.py ADDRESS BEHAVIOUR`, ADDRESS a TCP port or a socket's path.

BEHAVIOUR is `fine`, a status code that it always answers, `hangs`, `never` (listens nowhere) or `exits`.
"""

from __future__ import annotations

import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

ADDRESS, BEHAVIOUR = sys.argv[1:]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "somebody"  # a socket's peer has no address

    def do_GET(self) -> None:
        if BEHAVIOUR == "hangs":
            time.sleep(3600)
        body = os.environ.get("GREETING", "hello").encode()
        self.send_response(200 if BEHAVIOUR == "fine" else int(BEHAVIOUR))
        if BEHAVIOUR == "301":
            self.send_header("Location", "https://login.example.edu/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class OnPort(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


class OnSocket(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


print(f"server: will behave as {BEHAVIOUR!r} on {ADDRESS}", flush=True)
if BEHAVIOUR == "exits":
    sys.exit("server: the database password is wrong")
if BEHAVIOUR == "never":
    time.sleep(3600)
if ADDRESS.isdigit():
    OnPort(("", int(ADDRESS)), Handler).serve_forever()
else:
    Path(ADDRESS).unlink(missing_ok=True)
    with OnSocket(ADDRESS, Handler) as server:
        Path(ADDRESS).chmod(0o660)
        server.serve_forever()
