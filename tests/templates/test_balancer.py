"""Two edges behind an institution's HAProxy, configured as the runbook says: one is drained, stopped and comes back."""

from __future__ import annotations

import http.client
import re
import subprocess
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from eduhub_pilot.adapters.clock import Clock
from eduhub_pilot.adapters.docker import Engine
from eduhub_pilot.adapters.haproxy import Proxy
from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.http import ask
from eduhub_pilot.adapters.store import Store
from eduhub_pilot.commands.balancer.drain import drain
from eduhub_pilot.commands.balancer.undrain import undrain
from eduhub_pilot.model.facts import Image
from eduhub_pilot.model.release import Spec, make_record
from eduhub_pilot.model.settings import Settings
from eduhub_pilot.model.state import HostState, Serving
from tests.templates.edge import Edge, Slot, end, free_ports, haproxy, until

pytestmark = pytest.mark.slow

RUNBOOK = Path(__file__).parents[2] / "docs/runbooks/behind-a-balancer.md"
READERS = 4
NOTICED = 6  # seconds: the runbook's interval times its fall


def example() -> str:
    """Return the runbook's configuration."""
    (text,) = re.findall(r"^```haproxy\n(.*?)^```", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
    return str(text)


@dataclass
class Bridge:
    """A host: its edge, which can be stopped and started again as it was, its slot, and its pilot."""

    folder: Path
    edge: Edge = field(init=False)
    path: Path = field(init=False)
    host: Host = field(init=False)

    def __post_init__(self) -> None:
        self.edge = Edge(self.folder)
        self.path = self.edge.write(edge_trusted_proxies=["127.0.0.1"], edge_drain_quiet_seconds=NOTICED + 1)
        (self.folder / "edge").symlink_to("maps")
        Slot("blue", self.folder / "run/blue/bridge.sock")
        store = Store(self.folder, str(self.folder))
        record = make_record(Spec({"image": "x", "health_path": "/"}), Image("sha256:x"), "run", Clock().now())
        store.save_record(record)
        store.save_state(HostState(live=Serving("blue", record.id, "2026-01-01T00:00:00Z")))
        url = f"http://127.0.0.1:{self.edge.ports['edge_port']}"
        private = {slot: f"http://127.0.0.1:{self.edge.ports[f'edge_{slot}_port']}" for slot in ("blue", "green")}
        settings = Settings("eduhub", self.folder, private, url, start_seconds=10)  # type: ignore[arg-type]
        proxy = Proxy(self.folder / "run/edge/admin.sock", f"{self.folder}/maps")
        self.host = Host(settings, store, proxy, cast("Engine", None), ask, Clock(), "bridge")
        self.start()

    def start(self) -> None:
        """Start the edge; it reads its maps as a host's does after a reboot."""
        self._running = ExitStack()
        self._running.enter_context(self.edge.started(self.path))

    def stop(self) -> None:
        """Stop the edge at once, whatever it serves."""
        self._running.close()

    @property
    def requests(self) -> int:
        """How many of the public's requests its slot was given since the edge started."""
        return self.host.proxy.counts("blue", 5).requests


@contextmanager
def balancer(folder: Path, bridges: list[Bridge]) -> Iterator[int]:
    """Run the runbook's HAProxy before `bridges`; return its port. Only addresses and the certificate are others."""
    (port,) = free_ports(1)
    text = re.sub(r"bind :443 .*", f"bind 127.0.0.1:{port}", example())
    for number, bridge in enumerate(bridges, 11):
        before, text = text, text.replace(f"192.0.2.{number}:80\n", f"127.0.0.1:{bridge.edge.ports['edge_port']}\n")
        assert text != before
    (folder / "balancer.cfg").write_text(text)
    name = f"eduhub-test-{uuid.uuid4().hex[:12]}"
    words = [*haproxy(folder, name), "-W", "-db", "-f", str(folder / "balancer.cfg")]
    with (folder / "balancer.log").open("w") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            until(lambda: ask(f"http://127.0.0.1:{port}", "/", 1).good or process.poll() is not None)
            yield port
        finally:
            end(process, name)


class Readers:
    """Ask all the time, on connections that are kept; counts answers by their status, and what was no answer."""

    def __init__(self, port: int) -> None:
        self.port, self.seen, self._over = port, Counter[object](), threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(READERS)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _read(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._over.wait(0.01):
            try:
                connection.request("POST", "/x")  # which is never sent twice once it has reached a host
                answer = connection.getresponse()
                answer.read()
                self.seen[answer.status] += 1
            except (OSError, http.client.HTTPException) as error:
                self.seen[type(error).__name__] += 1
                connection.close()

    @property
    def failed(self) -> int:
        return sum(self.seen.values()) - self.seen[200]


    @property
    def answered(self) -> int:
        return self.seen[200]


def retries(folder: Path) -> int:
    """Return how often the balancer had to ask again, by its log: ".../srv_conn/+retries queues"."""
    log = (folder / "balancer.log").read_text()
    found = re.findall(r" (?:-?\d+/){4}-?\d+ \d{3} .*? (?:\d+/){4}\+?(\d+) \d+/\d+ ", log)
    assert len(found) > 100
    return sum(map(int, found))


@pytest.fixture
def bridges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bridge]]:
    folder = tmp_path_factory.mktemp("b")  # the path of a socket has to be short
    bridges = [Bridge(folder / name) for name in ("one", "two")]
    yield bridges
    for bridge in bridges:
        bridge.stop()


def test_a_drained_host_is_stopped_and_comes_back_without_a_request_that_failed_or_was_sent_again(tmp_path, bridges):
    first, _ = bridges
    with balancer(tmp_path, bridges) as port, Readers(port) as readers:
        until(lambda: min(each.requests for each in bridges) > 50)
        outcome = drain(first.host, NOTICED + 1, 60)
        assert (outcome.code, outcome.data["left"]) == ("drained", [])
        first.stop()
        before = readers.answered
        until(lambda: readers.answered > before + 100)
        first.start()
        assert ask(first.host.settings.edge, "/health/host", 5).body == "draining"
        until(lambda: readers.answered > before + 200)
        assert first.requests == 0
        assert undrain(first.host).code == "undrained"
        until(lambda: first.requests > 50)
    assert (readers.failed, retries(tmp_path)) == (0, 0), readers.seen


def test_without_a_drain_requests_fail_or_are_sent_again(tmp_path, bridges):
    first, _ = bridges
    with balancer(tmp_path, bridges) as port, Readers(port) as readers:
        until(lambda: min(each.requests for each in bridges) > 50)
        first.stop()
        before = readers.answered
        until(lambda: readers.answered > before + 100)
    assert readers.failed + retries(tmp_path) > 0
