"""A host with our Plone and a standby beside it, and commands that are killed on it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from eduhub_pilot.adapters.endpoint import Endpoint
from eduhub_pilot.model.facts import Container, Counts, Look
from tests.unit.pilot.fakes import Killed

PLONE, STANDBY, PREVIOUS = "eduhub-plone", "eduhub-plone-standby", "eduhub-plone-previous"
AWAIT = "eduhub-plone-await"
OLD, NEW = "sha256:old", "sha256:new"
DIRECTORY = "/var/backups/eduhub/plone"


def labels(python: str, version: str = "6.0.13") -> dict[str, str]:
    return {"org.eduhub.python": python, "org.opencontainers.image.version": version}


PYTHONS = {OLD: labels("3.9.2"), NEW: labels("3.11.2")}


@dataclass(frozen=True)
class FakeEndpoint(Endpoint):
    """Two containers on one database: the first that runs has it until it ends, the other waits for it."""

    world: Any
    loaded_at: float
    held: list[bool] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)  # images of a Plone that answers its site with 500
    counted: list[Counts] = field(default_factory=lambda: [Counts()])  # the last one lasts
    written_until: list[float] = field(default_factory=lambda: [0.0])  # when a request that writes ends
    knows: bool = True  # whether HAProxy has the map of writes
    refusals: list[str | None] = field(default_factory=lambda: [None])  # why writes were refused; the last one holds

    def hold(self, wanted: bool, timeout: float) -> None:
        assert timeout > 0
        self.world._before("hold")
        self.held.append(wanted)

    def refuse_writes(self, reason: str | None, timeout: float) -> None:
        assert timeout > 0
        self.world._before("refuse_writes")
        self.refusals.append(reason)

    def refuses_writes(self, timeout: float) -> bool:
        assert timeout > 0
        return self.knows

    def busy(self, timeout: float) -> bool:
        assert timeout > 0
        return bool(self.world.clock.passed < self.written_until[0])

    def counts(self, timeout: float) -> Counts:
        assert timeout > 0
        return self.counted.pop(0) if len(self.counted) > 1 else self.counted[0]

    def owner(self) -> Container | None:
        both = (self.world.engine.containers.get(name) for name in (PLONE, STANDBY))
        return next((each for each in both if each and each.runs), None)

    def waits(self, container: Container) -> bool:
        owner = self.owner()
        loaded = self.world.clock.passed >= self.loaded_at
        return bool(loaded and container.runs and owner and owner.id != container.id)

    def answers(self, path: str, seconds: float) -> int | None:
        owner = self.owner()
        assert (path, seconds > 0) == ("/Plone", True)
        return None if owner is None else 500 if owner.image in self.broken else 200


def go(plone: FakeEndpoint, command: Any, **more: Any) -> Any:
    given = {
        "verb": "plone.upgrade", "prove": "", "contract": "off", "watch_seconds": 0.0, "directory": DIRECTORY,
        "rehearse": False, "confirm_seconds": 600.0, "keep": "14", "days": "30", "full_days": "7", **more,
    }  # fmt: skip
    options = argparse.Namespace(
        run="run-9", owner="ana@desk", site="Plone", start_seconds=60.0, wait_seconds=30.0, **given
    )
    try:
        return command.run(plone.world.host, options)
    finally:
        lock = plone.world.store.lock()
        assert lock is None or lock.run != "run-9"


SITES = {"Plone": ["6018", "6112"], "departments/physics": ["6018", "6112"]}
MIGRATION = {"seconds": 2.1, "sites": SITES, "add_ons": ["collective.easyform"]}
PAGES = {"/Plone as JSON for admin": "200 application/json 3fa9c1 content 77aa01", "/Plone as HTML": "200 text/html"}
BACKUP = {
    "id": "b2", "time": "2026-01-01T00:00:00Z", "state": "proven", "recovery_point": "", "seconds": {},
    "proof_seconds": 1.0, "last_transaction": "03ff",
}  # fmt: skip


class Images:
    """What the programs in both images answer; `fails` by the step, once each. `data`: databases beside the served."""

    def __init__(self, plone: FakeEndpoint) -> None:
        self.plone, self.steps, self.fails, self.data = plone, [], {}, set()
        self.before, self.now = dict(PAGES), dict(PAGES)
        self.kept: str | None = None  # where what was written to the new version is put aside
        self.version: str | None = "6.1.4"  # of the Plone that migrates, whatever the label says

    @classmethod
    def of_both(cls, plone: FakeEndpoint) -> Images:
        """Return the programs of the image that serves, and of another version's, whose containers wait beside it."""
        plone.world.engine._made(Container(STANDBY, "created", NEW, labels("3.13.5", "6.1.4")))
        plone.world.engine._made(Container(AWAIT, "created", "sha256:pilot"))
        images = cls(plone)
        plone.world.engine.works = images.works
        return images

    def works(self, command: tuple[str, ...]) -> Look:
        step, closed = command[3], self.plone.refusals[-1] is not None
        if step == "list":
            return Look(0, json.dumps({"code": "backups_listed", "exit": 0, "message": "", "backups": [BACKUP]}))
        self.steps.append(step)
        if step in self.fails:
            code = self.fails.pop(step)
            return Look(1, json.dumps({"code": code, "exit": 1, "message": f"{step} failed."}))
        assert closed or step in {"prove", "pages", "upgrade-leave"}, step
        if step == "upgrade-enter":
            self.data.add("6.1.4")
        if step == "upgrade-confirm":  # its database is marked as left, which it refuses
            self.plone.broken.add(OLD)
        if step == "upgrade-leave":
            self.data.discard("6.1.4")
        migration = {**MIGRATION, **({"version": self.version} if self.version else {})}
        answers: Mapping[str, dict[str, Any]] = {
            "prove": {"code": "backup_proven", "backup": {"id": "b1"}, "pages": self.now, "migration": migration},
            "pages": {"code": "pages_rendered", "pages": self.before},
            "make": {"code": "backup_proven", "backup": BACKUP, "removed": []},
        }
        answer = answers.get(step, {"code": "plone_upgrade_stepped", "kept": self.kept})
        return Look(0, json.dumps({"exit": 0, "message": "", **answer}))


def takes_writes(plone: FakeEndpoint) -> bool:
    return plone.refusals[-1] is None and plone.world.store.plone_upgrade() is None


def unconfirmed(plone: FakeEndpoint, run: str = "run-8", **more: str) -> None:
    """Leave the host as an upgrade does that was interrupted, or with `confirm_by` waits for its confirmation."""
    record = {"run": run, "from": "6.0.13", "to": "6.1.4", "since": "2026-01-01T00:00:00Z", **more}
    plone.world.store.save_plone_upgrade(record)
    plone.refusals.append("Plone is upgraded to 6.1.4.")


def ended(plone: FakeEndpoint) -> set[str]:
    """The containers that the engine does not start by itself."""
    return set(plone.world.engine.lasting)


def found(plone: FakeEndpoint) -> dict[str, tuple[str, str]]:
    return {
        name: (each.image, each.state)
        for name, each in plone.world.engine.containers.items()
        if name in {PLONE, STANDBY, PREVIOUS}
    }


SERVES_NEW = {PLONE: (NEW, "running"), PREVIOUS: (OLD, "exited")}
SERVES_OLD = {PLONE: (OLD, "running")}


def killed(plone: FakeEndpoint, command: Any, *made: Container, effects: int = 6) -> Iterator[int]:
    """Kill a command before each of its effects in turn, beside `made`; end with the first call that ends by itself."""
    world, at = plone.world, 0
    while True:
        for name in (PLONE, STANDBY, PREVIOUS):
            world.engine.containers.pop(name, None)
        for each in made:
            world.engine._made(each)
        world.engine.lasting.clear()
        world.engine.lasting.add(made[-1].name)
        world.clock.passed += 20
        left = iter(range(at))

        def die(effect: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Killed(effect)

        world.engine.before = world._before = die
        try:
            go(plone, command)
        except Killed:
            world.engine.before = world._before = lambda _: None
            yield at
        else:
            break
        at += 1
    assert at >= effects
