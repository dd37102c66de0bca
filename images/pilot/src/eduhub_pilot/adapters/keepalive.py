"""A kept-alive connection that times its requests, from the first byte sent to the last one read.

`http.exchange` opens a connection and a timer for each request, which is most of the time of a quick answer.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

PIECE_BYTES = 1 << 16
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "eduhub-pilot"}


class BrokenError(Exception):
    """There was no complete answer: the connection failed, or the timeout expired."""


class Line(Protocol):
    """Sends requests over one connection."""

    def ask(self, path: str) -> tuple[int, float]:
        """Return the status and how many seconds the whole answer took; BrokenError where there was none."""

    def close(self) -> None:
        """Close the connection."""


# Opens a line: base, host name to ask under, seconds for an answer.
Dial = Callable[[str, str, float], Line]


class HttpLine:
    """A connection to `base` with the public host name `host`; opened by the first request, and after a failure."""

    def __init__(self, base: str, host: str, seconds: float) -> None:
        url = urlsplit(base)
        self._seconds, self._headers = seconds, {**HEADERS, "Host": host}
        self._connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=seconds)

    def ask(self, path: str) -> tuple[int, float]:
        connection = self._connection
        try:
            if connection.sock is None:
                connection.connect()
            began = time.perf_counter()
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            # The timeout is for each read: an answer that trickles must not outlast it.
            while answer.read(PIECE_BYTES):
                if time.perf_counter() - began > self._seconds:
                    raise TimeoutError
            return answer.status, time.perf_counter() - began
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise BrokenError(str(error) or type(error).__name__) from None

    def close(self) -> None:
        with suppress(OSError):
            self._connection.close()
