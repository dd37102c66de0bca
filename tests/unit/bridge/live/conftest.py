"""Those who listen, as processes see them: an event stream read frame by frame, and WebSockets."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import ClientConnection, unix_connect

from tests.unit.bridge.jobs.conftest import Slot, Slots
from tests.unit.bridge.restapi import Restapi, basic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# How a response of unknown length ends (RFC 9112, section 7.1).
LAST_CHUNK = b"\r\n0\r\n\r\n"


class Events:
    """A server-sent event stream."""

    def __init__(
        self, slot: Slot, user: str = "", query: str = "", last: int | None = None, fields: Sequence[str] = ()
    ) -> None:
        self._socket = slot.connect()
        head = [f"GET /api/v1/events{query} HTTP/1.1", "Host: bridge.test", *fields]
        head += [f"Authorization: {basic(user)}"] if user else []
        head += [f"Last-Event-ID: {last}"] if last is not None else []
        self._socket.sendall("\r\n".join([*head, "", ""]).encode())
        self._data = b""
        self.ended = False
        while b"welcome\n\n" not in self._data:
            block = self._socket.recv(65536)
            assert block, self._data
            self._data += block
        self._data = self._data.partition(b"welcome\n\n")[2]

    def next(self, seconds: float = 60.0) -> dict[str, Any] | None:
        """Return the next event; None if there is none in time, or the stream ends."""
        deadline = time.monotonic() + seconds
        while True:
            frame, end, rest = self._data.partition(b"\n\n")
            if end:
                self._data = rest
                data = [line for line in frame.splitlines() if line.startswith(b"data: ")]
                if data:
                    return json.loads(data[0][6:])
                continue
            if self._data.endswith(LAST_CHUNK):  # the stream is over, the connection may be used again
                self.ended = True
                return None
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                block = self._socket.recv(65536)
            except TimeoutError:
                return None
            except ConnectionResetError:
                block = b""
            if not block:
                self.ended = True
                return None
            self._data += block

    def until(self, kind: str, path: str) -> dict[str, Any]:
        while (event := self.next()) is not None:
            if (event["type"], event.get("path")) == (kind, path):
                return event
        raise AssertionError(f"no {kind} of {path}")

    def close(self) -> None:
        self._socket.close()


def live(slot: Slot, user: str = "", query: str = "") -> ClientConnection:
    """Connect a WebSocket and take its welcome."""
    headers = {"Authorization": basic(user)} if user else {}
    socket = unix_connect(str(slot.socket), uri=f"ws://bridge.test/api/v1/live{query}", additional_headers=headers)
    assert json.loads(socket.recv(60))["type"] == "hello"
    return socket


def heard(socket: ClientConnection, kind: str, seconds: float = 60.0) -> dict[str, Any]:
    """Return the next message of a kind."""
    deadline = time.monotonic() + seconds
    while True:
        message = json.loads(socket.recv(max(0.001, deadline - time.monotonic())))
        if message["type"] == kind:
            return message


@pytest.fixture
def slots(cms: Restapi, tmp_path: Path) -> Iterator[Slots]:
    """Slots on one store that ask Plone for changes every half second."""
    made = Slots(tmp_path, cms.url)
    made.shared["EDUHUB_LIVE_POLL_SECONDS"] = "0.5"
    yield made
    made.kill()
