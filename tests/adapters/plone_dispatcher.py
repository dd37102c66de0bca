"""Runs in Plone's image: which requests its server answers while a write takes its time.

Prints one JSON object: by method and path, whether the answer came before the write was over.
"""

from __future__ import annotations

import http.client
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

from waitress.server import create_server

from eduhub_plone.serve import OneWriteAtATime

REQUESTS = (
    ("GET", "/Plone"), ("PROPFIND", "/Plone"), ("POST", "/Plone/@login"), ("POST", "/Plone/a/@querystring-search"),
    ("POST", "/Plone/a"), ("PATCH", "/Plone/a"), ("POST", "/Plone/@login/a"),
)  # fmt: skip
begun, over = threading.Event(), threading.Event()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer at once, but for one write."""
    if environ["PATH_INFO"] == "/import":
        begun.set()
        over.wait(60)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def asked(port: int, method: str, path: str, seconds: float) -> bool:
    """Return whether a request is answered within so many seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, b"{}" if method in {"POST", "PATCH"} else None)
        return connection.getresponse().status == 200
    except TimeoutError:
        return False


def main() -> None:
    logging.getLogger("waitress").setLevel(logging.ERROR)
    dispatcher = OneWriteAtATime()
    dispatcher.set_thread_count(2)
    server = create_server(application, host="127.0.0.1", port=0, _dispatcher=dispatcher)
    port = server.effective_port
    threading.Thread(target=server.run, daemon=True).start()
    writer = threading.Thread(target=asked, args=(port, "POST", "/import", 60))
    writer.start()
    assert begun.wait(30)
    found = {f"{method} {path}": asked(port, method, path, 2) for method, path in REQUESTS}
    over.set()
    writer.join(30)
    print(json.dumps(found))


main()
