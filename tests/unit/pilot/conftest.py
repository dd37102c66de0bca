"""A host in memory, fresh, and one on which a release is live on blue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eduhub_pilot.commands.prove import prove
from eduhub_pilot.model.errors import PilotError
from eduhub_pilot.model.outcome import Finding, Outcome
from tests.typed import refusal
from tests.unit.pilot.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test need not survive a power cut, and waiting for the disk is most of its time."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(autouse=True)
def _typable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each command that the pilot told to type next, in whatever a test let happen, is one that can be typed."""
    told: set[tuple[str, ...]] = set()

    def heard(kind: type, name: str) -> None:
        made = getattr(kind, name)

        def listening(self: Any, *words: Any, **options: Any) -> None:
            made(self, *words, **options)
            told.update(map(tuple, self.next))

        monkeypatch.setattr(kind, name, listening)

    heard(PilotError, "__init__")
    heard(Finding, "__init__")
    heard(Outcome, "__init__")
    yield
    assert [(words, why) for words in sorted(told) if (why := refusal(words))] == []


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Initialised, nothing deployed."""
    return World(tmp_path)


@pytest.fixture
def live(world: World) -> World:
    """Python 3.9 is live on blue, confirmed and unlocked."""
    world.roll("run-1", python="3.9")
    world.clock.sleep(60)
    return world


@pytest.fixture
def proven(live) -> World:
    """An upgrade whose green is proven."""
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    return live


@pytest.fixture
def held(live) -> World:
    """An upgrade with --hold --confirm-within 60: all traffic has moved, and a person is to confirm."""
    begun = live.begin("run-2", "upgrade", python="3.11", hold=True, confirm_within="60")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    live.shift("run-2")
    return live
