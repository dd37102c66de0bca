"""The bridge as it runs: a process of its own on a unix socket, and a client that sees every byte."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.unit.bridge.fork_server import ForkServer

# Any interpreter that has the bridge's packages: the same tests hold on each.
INTERPRETER = os.environ.get("EDUHUB_TEST_BRIDGE_PYTHON", sys.executable)
PYTHON_VERSION = subprocess.run(
    [INTERPRETER, "-c", "import platform; print(platform.python_version())"], capture_output=True, text=True, check=True
).stdout.strip()
SOURCE = Path(__file__).resolve().parents[3] / "images/bridge/src"


@dataclass
class Answer:
    """What came back: `complete` is false when the connection ended before the body did."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    complete: bool

    def field(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    def json(self) -> Any:
        return json.loads(self.body)


def environment(plone_url: str, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), "PLONE_URL": plone_url, **more}


@cache
def fork_server() -> ForkServer:
    """Return this test process's own, which ends with it."""
    return ForkServer(INTERPRETER, SOURCE)


class Process:
    """`python -m eduhub_bridge`, started and answering."""

    def __init__(self, folder: Path, plone_url: str, **more: str) -> None:
        self.socket = folder / "bridge.sock"
        self.log = folder / "bridge.log"
        self.environment = environment(plone_url, EDUHUB_SOCKET=str(self.socket), **more)
        self.popen = fork_server().start(self.environment, self.log)
        deadline = time.monotonic() + 120  # bounds only a failure
        while not self._answers():
            assert self.popen.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the bridge does not start"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return self.get("/health/live").status == 200
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(60)
        connection.connect(str(self.socket))
        return connection

    def get(
        self, target: str, *fields: str, method: str = "GET", body: bytes = b"", host: str = "bridge.test"
    ) -> Answer:
        """Send one request on a connection of its own and read the answer to its end."""
        with self.connect() as connection:
            head = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "Connection: close", "", ""]
            # A body that is refused before its end: the answer is there to be read.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall("\r\n".join(head).encode("latin-1") + body)
            return read_answer(connection, method)

    def stop(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(60)

    def kill(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(10)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Read one answer from a connection that ends after it."""
    data = b""
    try:
        while block := connection.recv(1 << 20):
            data += block
    except ConnectionResetError:
        pass
    head, _, body = data.partition(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")
    fields = [(name.lower(), value.strip()) for name, _, value in (each.partition(":") for each in rest)]
    answer = Answer(int(line.split(" ")[1]), fields, body, complete=True)
    if method == "HEAD" or answer.status in (204, 304):
        answer.complete = body == b""
    elif answer.field("transfer-encoding"):
        answer.complete = body.endswith(b"0\r\n\r\n")
        answer.body = _unchunk(body)
    else:
        answer.complete = len(body) == int(answer.field("content-length")[0])
    return answer


def _unchunk(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole
