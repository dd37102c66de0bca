"""HAProxy itself, with the configuration that role edge renders, before slots that a test can look into."""

from __future__ import annotations

import csv
import http.client
import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.templates.render import ANSIBLE, render

IMAGE = "eduhub/edge:bookworm"
# The label by which CI finds what a killed test left.
CONTAINER = ["docker", "run", "--rm", "--label", "org.eduhub.stack=eduhub-test", "--network", "host", "--user", "0:0"]
PLACES = {"/var/lib/eduhub/edge": "maps", "/etc/eduhub/edge": "config", "/run/eduhub": "run"}


def haproxy(folder: Path, name: str = "") -> list[str]:
    """Return how to run HAProxy where it sees `folder`: from its image, else from this machine; skip without both.

    `name` is for its container.
    """
    asked = ["docker", "image", "inspect", IMAGE]
    if shutil.which("docker") and subprocess.run(asked, capture_output=True, check=False).returncode == 0:
        named = ["--name", name] if name else []
        return [*CONTAINER, *named, "--volume", f"{folder}:{folder}", "--entrypoint", "haproxy", IMAGE]
    if found := shutil.which("haproxy"):
        return [found]
    pytest.skip(f"there is neither the image {IMAGE} (./invoke images.build --names edge) nor a haproxy here")


def end(process: subprocess.Popen[bytes], name: str) -> None:
    """End HAProxy; harder where the signal came before anybody in the container listened to it."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
        process.kill()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def until(done: Callable[[], bool]) -> None:
    """Return as soon as `done` is true."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@dataclass
class Edge:
    """A folder with what a host has in /etc/eduhub/edge, /var/lib/eduhub and /run/eduhub, and HAProxy's ports."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)

    NAMES = ("edge_port", "edge_blue_port", "edge_green_port", "edge_statistics_port",
             "edge_blue_published_port", "edge_green_published_port")  # fmt: skip

    def write(self, green: int = 0, **given: object) -> Path:
        """Write maps and configuration; return the configuration's path."""
        self.ports = dict(zip(self.NAMES, free_ports(len(self.NAMES)), strict=True))
        for place in ("maps", "config", "run/edge", "run/blue", "run/green"):
            (self.folder / place).mkdir(parents=True, exist_ok=True)
        (self.folder / "maps/traffic.map").write_text(f"green {green}\n")
        (self.folder / "maps/releases.map").write_text("blue release-b\ngreen none\n")
        (self.folder / "maps/transport.map").write_text("blue socket\ngreen socket\n")
        (self.folder / "maps/maintenance.map").write_text("writes open\n")
        (self.folder / "maps/drain.map").write_text("draining 0\n")
        for file in (ANSIBLE / "roles/edge/files").glob("*.lua"):
            (self.folder / "config" / file.name).write_text(self._here(file.read_text()))
        path = self.folder / "haproxy.cfg"
        path.write_text(self._here(render("edge", "haproxy.cfg.j2", **{**self.ports, **given})))
        return path

    def _here(self, text: str) -> str:
        """Return `text` with this folder where a host has its places."""
        for place, here in PLACES.items():
            text = text.replace(place, str(self.folder / here))
        return text

    @contextmanager
    def running(self, green: int = 0, **given: object) -> Iterator[Edge]:
        """Run HAProxy until the block ends; `given` is what its inventory sets."""
        with self.started(self.write(green, **given)):
            yield self

    @contextmanager
    def started(self, path: Path) -> Iterator[Edge]:
        """Run HAProxy with the configuration at `path` until the block ends."""
        name = f"eduhub-test-{uuid.uuid4().hex[:12]}"
        words = [*haproxy(self.folder, name), "-W", "-db", "-f", str(path)]
        with (self.folder / "log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
            try:
                self._until_it_listens(process)
                yield self
            finally:
                end(process, name)

    def _until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                self.tell("show info")
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def logged(self, text: str) -> None:
        """Return once `text` is in the log, which comes through the engine and therefore later than the answer."""
        deadline = time.monotonic() + 60
        while text not in (log := (self.folder / "log").read_text()):
            assert time.monotonic() < deadline, log
            time.sleep(0.02)

    def lines(self, **wanted: object) -> list[dict[str, Any]]:
        """Return what is logged of the requests with these members, once there is one."""
        self.logged(", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in wanted.items()))
        written = (self.folder / "log").read_text().splitlines()
        told = [json.loads(line) for line in written if line.startswith("{")]
        return [each for each in told if wanted.items() <= each.items()]

    def tell(self, command: str) -> str:
        """Return what HAProxy's admin socket answers."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(60)
            admin.connect(str(self.folder / "run/edge/admin.sock"))
            admin.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: admin.recv(65536), b"")).decode()

    def until_waiting(self, slot: str, count: int) -> None:
        """Return as soon as `count` requests wait for `slot`, which crashed."""
        until(lambda: self._waiting(slot) == count)

    def _waiting(self, slot: str) -> int:
        table = csv.DictReader(self.tell(f"show stat {slot} 6 -1").removeprefix("# ").splitlines())
        return sum(int(row["scur"]) for row in table if row["svname"] == "wait")

    def move(self, green: int) -> None:
        """Give green its share of the public requests, as the pilot does."""
        assert self.tell(f"set map {self.folder}/maps/traffic.map green {green}").strip() == ""

    def connect(self, port: str = "edge_port") -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=60)

    def ask(
        self, path: str = "/", port: str = "edge_port", method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Answer:
        """Return the answer to one request on a connection of its own."""
        return ask(self.connect(port), path, method, body, **headers)


@dataclass(frozen=True)
class Answer:
    status: int
    slot: str | None
    release: str | None
    body: str


def ask(
    connection: http.client.HTTPConnection, path: str = "/", method: str = "GET", body: bytes | None = None,
    **headers: str,
) -> Answer:  # fmt: skip
    """Return the answer to one request; `X_Name` stands for the header X-Name."""
    connection.request(method, path, body, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read().decode(errors="replace")
    return Answer(answer.status, answer.headers["X-EduHub-Slot"], answer.headers["X-EduHub-Release"], body)


class Slot:
    """A bridge that answers with its name, hangs up on the first request for `broken`, and remembers all requests."""

    def __init__(self, name: str, address: Path | int) -> None:
        self.seen: list[tuple[str, str]] = []
        self.headers = Message()
        self.broken = "/broken"
        slot = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                slot.seen.append((self.command, self.path))
                if not self.path.startswith("/health"):  # HAProxy asks for that at any time
                    slot.headers = self.headers
                if self.path == slot.broken and slot.seen.count((self.command, self.path)) == 1:
                    self.close_connection = True
                    return
                body = name.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-EduHub-Slot", "whatever the bridge says")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = do_PROPFIND = do_GET  # noqa: N815 - as in http.server

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        kind = socketserver.ThreadingTCPServer if isinstance(address, int) else socketserver.ThreadingUnixStreamServer
        kind.daemon_threads = kind.allow_reuse_address = True
        kind.request_queue_size = 128  # a Unix socket whose queue is full refuses at once
        where = ("127.0.0.1", address) if isinstance(address, int) else str(address)
        self._server = kind(where, Handler)  # type: ignore[arg-type]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
