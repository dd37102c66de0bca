"""The engine of the unit tests does what Docker's does, as far as the contract goes."""

from __future__ import annotations

import pytest

from eduhub_pilot.model.facts import Container, Image
from eduhub_pilot.model.slot_container import SlotContainer
from tests.adapters.engine_contract import EngineContract
from tests.unit.pilot.fakes import FakeEngine


class FakeStage:
    """A fake engine, whose programs do at once what a test wants."""

    image, python, repository = "eduhub/bridge:py3.11", "3.11.2", "eduhub/contract"

    def __init__(self) -> None:
        self.engine = FakeEngine(lambda _: None)

    def container(self, name: str) -> str:
        return f"eduhub-{name}"

    def wanted(self, name: str, *lines: str) -> SlotContainer:
        self.engine.logs[self.container(name)] = list(lines)
        labels = {"org.eduhub.stack": "eduhub", "org.eduhub.release": "r-1"}
        return SlotContainer(self.container(name), self.image, labels, {}, [], ["none"], ("program",))

    def ready(self, name: str) -> None:
        assert self.engine.containers[name].runs

    def ends(self, name: str, code: int) -> None:
        self.engine.ends(name, code)

    def last_name(self) -> str:
        self.engine.images["used:only"] = Image("sha256:used")
        self.engine.containers["user"] = Container("user", "created", "sha256:used")
        return "used:only"

    def down(self) -> FakeEngine:
        return FakeEngine(lambda _: None, down=True)


@pytest.fixture
def stage() -> FakeStage:
    return FakeStage()


class TestFakeEngine(EngineContract):
    """The contract, by the fake."""
