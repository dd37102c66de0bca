"""HTTP requests to a slot's private endpoint, with a deadline, and readiness as several good answers in a row."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from eduhub_pilot.adapters.clock import Clock
from eduhub_pilot.model.facts import Answer, Reply, Trouble

# The part of an answer that a probe reads: enough for an error message.
BODY_BYTES = 4096
# The part of a reply that is compared.
REPLY_BYTES = 4 << 20
IN_A_ROW = 3
PAUSE_SECONDS = 0.2



class Ask(Protocol):
    """Sends one request, as `ask` does."""

    def __call__(self, base: str, path: str, seconds: float, /, *, most: int = BODY_BYTES) -> Answer: ...


# base, path, seconds, method, headers
Fetch = Callable[[str, str, float, str, Mapping[str, str]], Reply]


def ask(base: str, path: str, seconds: float, /, *, most: int = BODY_BYTES) -> Answer:
    """Return the answer of `base` + `path` within `seconds` in all, `most` bytes of its body; raises nothing.

    Redirects are not followed.
    """
    reply = exchange(base, path, seconds, limit=most)
    headers = reply.headers
    return Answer(
        reply.status, reply.seconds, reply.trouble, headers.get("x-eduhub-slot"), headers.get("x-eduhub-release"),
        headers.get("location"), reply.body.decode(errors="replace").strip(),
    )  # fmt: skip


def exchange(
    base: str,
    path: str,
    seconds: float,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    limit: int = REPLY_BYTES,
) -> Reply:
    """Return the whole reply, its body up to `limit` bytes, to one request that sends `headers` too. Raises nothing."""
    url = urlsplit(base)
    started = time.monotonic()
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=seconds)
    expired = threading.Event()

    def expire() -> None:
        # A timeout on the socket is for each read; an answer that trickles would outlast it.
        expired.set()
        with suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    try:
        connection.connect()
        timer.start()
        own = {"Connection": "close", "User-Agent": "eduhub-pilot", "Accept-Encoding": "identity"}
        connection.request(method, path, headers={**own, **(headers or {})})
        response = connection.getresponse()
        body = response.read(limit)
    except TimeoutError:
        return Reply(None, time.monotonic() - started, "timeout")
    except ConnectionRefusedError:
        return Reply(None, time.monotonic() - started, "refused")
    except (OSError, http.client.HTTPException):
        return Reply(None, time.monotonic() - started, "timeout" if expired.is_set() else "closed")
    finally:
        timer.cancel()
        connection.close()
    took = time.monotonic() - started
    if expired.is_set():
        return Reply(None, took, "timeout")
    return replied(response.status, response.getheaders(), body, took)


def replied(status: int, pairs: Iterable[tuple[str, str]], body: bytes, seconds: float) -> Reply:
    """Return the reply; one without X-EduHub-Slot is HAProxy's own, and its status is the trouble."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    own: dict[int, Trouble] = {502: "closed", 503: "no_listener", 504: "timeout"}
    trouble = own.get(status) if "x-eduhub-slot" not in headers else None
    return Reply(status, seconds, trouble, headers, body)


@dataclass(frozen=True)
class Readiness:
    """The result of a readiness wait: the `last` answer, `elapsed` in seconds, and why it `stopped` early."""

    ready: bool
    attempts: int
    elapsed: float
    last: Answer | None
    stopped: str | None = None


def wait_ready(
    clock: Clock,
    once: Callable[[], Answer],
    stopped: Callable[[], str | None],
    start_seconds: float,
    enough: Callable[[Answer, float], bool] = lambda answer, _: answer.good,
) -> Readiness:
    """Call `once` until three answers in a row are `enough`, `stopped` returns a reason, or `start_seconds` are over.

    `enough` is given an answer and the seconds since the first.
    """
    begun = clock.monotonic()
    attempts = row = 0
    last: Answer | None = None
    while (elapsed := clock.monotonic() - begun) < start_seconds:
        if why := stopped():
            return Readiness(False, attempts, elapsed, last, why)
        last = once()
        attempts += 1
        row = row + 1 if enough(last, elapsed) else 0
        if row == IN_A_ROW:
            return Readiness(True, attempts, clock.monotonic() - begun, last)
        if not last.good:
            clock.sleep(PAUSE_SECONDS)
    return Readiness(False, attempts, clock.monotonic() - begun, last)
