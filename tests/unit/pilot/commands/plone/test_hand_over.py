"""Plone's standby takes over, or the container from before serves, whatever fails and wherever the pilot is killed."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from eduhub_pilot.adapters.endpoint import Endpoint
from eduhub_pilot.commands.plone import hand_over
from eduhub_pilot.model.errors import FailedError, PersonError, PilotError, RefusedError
from eduhub_pilot.model.facts import Container
from eduhub_pilot.model.state import Lock
from tests.unit.pilot.fakes import Killed

PLONE, STANDBY = "eduhub-plone", "eduhub-plone-standby"
OLD, NEW = "sha256:old", "sha256:new"


@dataclass(frozen=True)
class FakeEndpoint(Endpoint):
    """Two containers on one database: the first that runs has it until it ends, the other waits for it."""

    world: Any
    loaded_at: float
    held: list[bool] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)  # images of a Plone that answers its site with 500

    def hold(self, wanted: bool, patience: float) -> None:
        assert patience > 0
        self.world._before("hold")
        self.held.append(wanted)

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


@pytest.fixture
def plone(live) -> FakeEndpoint:
    live.engine._made(Container(PLONE, "running", OLD, health="healthy"))
    live.engine._made(Container(STANDBY, "created", NEW))
    live.engine.health = lambda: "healthy"
    endpoint = FakeEndpoint(live.store.root / "run", live.clock, live, live.clock.passed + 9)
    live.host = replace(live.host, before_plone=endpoint)
    return endpoint


def go(plone: FakeEndpoint) -> Any:
    options = argparse.Namespace(run="run-9", owner="ana@desk", site="Plone", start_seconds=60.0, wait_seconds=30.0)
    try:
        return hand_over.run(plone.world.host, options)
    finally:
        lock = plone.world.store.lock()
        assert lock is None or lock.run != "run-9"


def found(plone: FakeEndpoint) -> dict[str, tuple[str, str]]:
    return {
        name: (each.image, each.state)
        for name, each in plone.world.engine.containers.items()
        if name in {PLONE, STANDBY}
    }


def test_the_standby_serves_under_plones_name_and_the_old_container_is_gone(plone):
    done = go(plone)
    assert (done.code, found(plone)) == ("plone_handed_over", {PLONE: (NEW, "running")})
    assert (plone.held[-2:], PLONE in plone.world.engine.lasting) == ([True, False], False)
    (noted,) = plone.world.noted("handed_over", "run-9")
    assert noted["image"] == NEW


def test_requests_begin_to_wait_once_the_standby_is_prepared_and_before_the_old_one_is_stopped(plone):
    order: list[tuple[str, float]] = []
    before = plone.world.engine.before

    def noting(effect: str) -> None:
        order.append((effect, plone.world.clock.passed))
        before(effect)

    plone.world.engine.before, plone.world._before = noting, noting
    go(plone)
    effects = [effect for effect, _ in order]
    assert effects[:5] == ["start", "hold", "hold", "stop", "start"]
    assert order[1][1] >= plone.loaded_at


def test_without_a_standby_nothing_changes(plone):
    del plone.world.engine.containers[STANDBY]
    done = go(plone)
    assert (done.code, done.changed, plone.held) == ("plone_unchanged", False, [])


def test_a_standby_that_does_not_start_is_removed_and_plone_goes_on(plone):
    plone.world.engine.logs[STANDBY] = ["plone: LANGUAGE cannot be used"]
    plone.world.clock.due.append((plone.loaded_at - 6, lambda: plone.world.engine.stop(STANDBY, 1)))
    with pytest.raises(FailedError, match="LANGUAGE cannot be used") as failed:
        go(plone)
    assert (failed.value.code, found(plone)) == ("plone_standby_failed", {PLONE: (OLD, "running")})
    assert plone.held == []


def test_a_standby_that_serves_errors_gives_the_database_back(plone):
    plone.broken.add(NEW)
    with pytest.raises(FailedError, match="answered 500 within 30 s") as failed:
        go(plone)
    assert (failed.value.code, found(plone)) == ("plone_hand_over_reverted", {PLONE: (OLD, "running")})
    assert plone.held[-2:] == [True, False]


def test_a_person_is_needed_where_neither_serves(plone):
    plone.broken.update({OLD, NEW})
    with pytest.raises(PersonError) as stuck:
        go(plone)
    assert stuck.value.code == "plone_stuck"


def test_it_is_refused_while_another_run_holds_the_host(plone):
    now = plone.world.clock.now()
    plone.world.store.take(Lock("bob@desk", "run-3", "upgrade", "begin", now, now, 900))
    with pytest.raises(RefusedError) as refused:
        go(plone)
    assert (refused.value.code, found(plone)[PLONE]) == ("lock_held", (OLD, "running"))


def test_killed_before_any_effect_one_of_the_two_serves_or_starts_and_the_next_call_ends_it(live, plone):
    """The engine starts what has its policy: at no point both containers may be without it."""
    killed_at = 0
    while True:
        world = live
        world.engine.containers.pop(PLONE, None)
        world.engine._made(Container(PLONE, "running", OLD, health="healthy"))
        world.engine._made(Container(STANDBY, "created", NEW))
        world.engine.lasting.clear()
        world.engine.lasting.add(STANDBY)
        world.clock.passed += 20
        count = 0

        def die(effect: str, at: int = killed_at) -> None:
            nonlocal count
            count += 1
            if count > at:
                raise Killed(effect)

        world.engine.before = world._before = die
        try:
            go(plone)
        except Killed:
            pass
        else:
            break
        world.engine.before = world._before = lambda _: None
        assert {PLONE, STANDBY} & set(world.engine.containers) - world.engine.lasting
        go(plone)
        assert found(plone) == {PLONE: (NEW, "running")}, killed_at
        killed_at += 1
    assert killed_at > 5


def test_a_run_whose_lock_is_taken_meanwhile_returns_to_the_container_from_before(plone):
    def taken() -> None:
        now = plone.world.clock.now()
        plone.world.store.free()
        plone.world.store.take(Lock("bob@desk", "run-3", "upgrade", "begin", now, now, 900))

    plone.world.clock.due.append((plone.loaded_at - 6, taken))
    with pytest.raises(PilotError):
        go(plone)
    assert found(plone) == {PLONE: (OLD, "running")}
