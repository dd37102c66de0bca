"""Asking a slot through its own door: one bounded question, and readiness as several good answers in a row."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from eduhub_pilot.clock import Clock
from eduhub_pilot.facts import Answer, Trouble

# As much of an answer as is read: a probe wants to know that there is one, and what an error says.
BODY_BYTES = 4096
IN_A_ROW = 3
PAUSE_SECONDS = 0.2



class Ask(Protocol):
    """Asks one question, as `ask` does."""

    def __call__(self, base: str, path: str, seconds: float, /, *, most: int = BODY_BYTES) -> Answer: ...


def ask(base: str, path: str, seconds: float, /, *, most: int = BODY_BYTES) -> Answer:
    """Return what `base` + `path` answers within `seconds` in all, at `most` so many bytes of it; raises nothing.

    Redirects are not followed.
    """
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
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "eduhub-pilot"})
        response = connection.getresponse()
        body = response.read(most).decode(errors="replace")
    except TimeoutError:
        return Answer(None, time.monotonic() - started, "hangs")
    except ConnectionRefusedError:
        return Answer(None, time.monotonic() - started, "door")
    except (OSError, http.client.HTTPException):
        return Answer(None, time.monotonic() - started, "hangs" if expired.is_set() else "closed")
    finally:
        timer.cancel()
        connection.close()
    took = time.monotonic() - started
    if expired.is_set():
        return Answer(None, took, "hangs")
    return judged(response.status, {name.lower(): value for name, value in response.getheaders()}, body, took)


def judged(status: int, headers: dict[str, str], body: str, seconds: float) -> Answer:
    """Return the answer; one without X-EduHub-Slot is HAProxy's own, and its status says what it met."""
    slot = headers.get("x-eduhub-slot")
    own: dict[int, Trouble] = {502: "closed", 503: "nobody", 504: "hangs"}
    trouble = own.get(status) if slot is None else None
    release, location = headers.get("x-eduhub-release"), headers.get("location")
    return Answer(status, seconds, trouble, slot, release, location, body.strip())


@dataclass(frozen=True)
class Readiness:
    """How waiting for readiness went: `last` is the last answer, `elapsed` in seconds, `stopped` why it ended early."""

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
) -> Readiness:
    """Ask `once` until three answers in a row are good, `stopped` says why to give up, or `start_seconds` are over."""
    begun = clock.monotonic()
    attempts = row = 0
    last: Answer | None = None
    while (elapsed := clock.monotonic() - begun) < start_seconds:
        if why := stopped():
            return Readiness(False, attempts, elapsed, last, why)
        last = once()
        attempts += 1
        row = row + 1 if last.good else 0
        if row == IN_A_ROW:
            return Readiness(True, attempts, clock.monotonic() - begun, last)
        if not last.good:
            clock.sleep(PAUSE_SECONDS)
    return Readiness(False, attempts, clock.monotonic() - begun, last)
