"""The HAProxy of the unit tests does what a real one does, as far as the contract goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from eduhub_pilot.model.facts import Slot
from tests.adapters.haproxy_contract import ProxyContract
from tests.unit.pilot.fakes import FakeClock, FakeProxy, Haproxy


class FakeStage:
    """A fake HAProxy, with counts that its test sets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._write(0)
        self.haproxy = Haproxy(folder, FakeClock())
        self.haproxy.start()
        self.proxy = FakeProxy(
            folder / "admin.sock", str(folder), self.haproxy.clock, haproxy=self.haproxy, before=lambda _: None
        )

    def _write(self, share: int) -> None:
        (self._folder / "traffic.map").write_text(f"green {share}\n")
        (self._folder / "releases.map").write_text("blue release-b\ngreen none\n")
        (self._folder / "transport.map").write_text("blue socket\ngreen socket\n")
        (self._folder / "maintenance.map").write_text("writes open\n")
        (self._folder / "drain.map").write_text("draining 0\n")

    def map(self, name: str) -> dict[str, str]:
        return dict(self.haproxy.maps[f"{self._folder}/{name}"])

    def asked(self, slot: Slot, good: int, failed: int) -> None:
        answers = self.haproxy.answers[slot]
        self.haproxy.answers[slot] = {"2xx": answers["2xx"] + good, "5xx": answers["5xx"] + failed}

    @contextmanager
    def holding(self, slot: Slot, count: int) -> Iterator[None]:
        self.haproxy.sessions[slot] = count
        yield
        self.haproxy.sessions[slot] = 0

    def killed(self, share: int) -> None:
        self._write(share)
        self.haproxy.kill(seconds=1)

    def nobody(self) -> FakeProxy:
        down = Haproxy(self._folder, FakeClock(), back_at=1e9)
        return replace(self.proxy, haproxy=down, clock=down.clock)

    def elsewhere(self) -> FakeProxy:
        return replace(self.proxy, maps="/nowhere")


@pytest.fixture
def stage(tmp_path: Path) -> FakeStage:
    return FakeStage(tmp_path)


class TestFakeHaproxy(ProxyContract):
    """The contract, by the fake."""
