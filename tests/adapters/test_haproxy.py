"""A real HAProxy, with the configuration that role edge renders, passes the contract."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from eduhub_pilot.adapters.haproxy import Proxy
from eduhub_pilot.model.facts import SLOTS, Slot, weight_of
from tests.adapters.haproxy_contract import PATIENCE, ProxyContract
from tests.templates.edge import Edge


class Behind:
    """A slot: /failed is answered 500, /plone/... when the test says so, all else 200 at once."""

    def __init__(self, path: Path) -> None:
        self.held = threading.Semaphore(0)
        self.go = threading.Event()
        behind = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/plone/"):
                    behind.held.release()
                    behind.go.wait(PATIENCE)
                self.send_response(500 if self.path == "/failed" else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET  # noqa: N815 - the standard library's name

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def address_string(self) -> str:
                return "unix"

        self._server = ThreadingUnixStreamServer(str(path), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()


class EdgeStage:
    """HAProxy from the edge's image, or this machine's, and a slot behind each of its two sockets."""

    def __init__(self, folder: Path) -> None:
        self.edge, self._running, self._killed = Edge(folder), ExitStack(), ThreadPoolExecutor(1)
        self._start(0)
        self.proxy = Proxy(folder / "run/edge/admin.sock", f"{folder}/maps")
        self._behind = {slot: Behind(folder / f"run/{slot}/bridge.sock") for slot in SLOTS}

    def _start(self, share: int) -> None:
        self._running.enter_context(self.edge.running(green=share))

    def map(self, name: str) -> dict[str, str]:
        lines = self.edge.tell(f"show map {self.edge.folder}/maps/{name}").splitlines()
        return {line.split()[1]: line.split()[2] for line in lines if line}

    def asked(self, slot: Slot, good: int, failed: int) -> None:
        self.proxy.move(weight_of(slot), PATIENCE)
        statuses = [self.edge.ask(path).status for path in ["/"] * good + ["/failed"] * failed]
        assert statuses == [200] * good + [500] * failed

    @contextmanager
    def holding(self, slot: Slot, count: int) -> Iterator[None]:
        self.proxy.move(weight_of(slot), PATIENCE)
        behind = self._behind[slot]
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(self._status, f"/plone/{number}") for number in range(count)]
            for _ in asked:
                assert behind.held.acquire(timeout=PATIENCE)
            try:
                yield
                # All of them were cut meanwhile, and their clients know.
                assert [each for each in asked if each.result(PATIENCE) == 200] == []
            finally:
                behind.go.set()

    def _status(self, path: str) -> int | None:
        try:
            return self.edge.ask(path, method="POST").status  # reading would be asked again elsewhere
        except (OSError, HTTPException):
            return None

    def killed(self, share: int) -> None:
        started = self.proxy.now(PATIENCE).process.started
        while time.time() < started + 1:  # two lives do not begin in one second
            time.sleep(0.05)
        self._running.close()
        self._killed.submit(self._start, share)

    def nobody(self) -> Proxy:
        return Proxy(self.edge.folder / "nobody.sock", self.proxy.maps)

    def elsewhere(self) -> Proxy:
        return replace(self.proxy, maps="/nowhere")

    def close(self) -> None:
        self._killed.shutdown()
        for behind in self._behind.values():
            behind.close()
        self._running.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[EdgeStage]:
    stage = EdgeStage(tmp_path)
    yield stage
    stage.close()


class TestHaproxy(ProxyContract):
    """The contract, by HAProxy."""
