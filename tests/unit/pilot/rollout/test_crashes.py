"""A pilot killed before any one of its effects leaves a legal host, and every way on from there ends well.

Exhaustive: for each command of an upgrade and of a rollback, each effect (a file synced, renamed, linked or removed,
HAProxy told, the engine told) is the last thing before the kill; then each way on is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from eduhub_pilot.commands.confirm import confirm, free
from eduhub_pilot.model.errors import PilotError, RefusedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.revert import revert
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.world import World

pytestmark = pytest.mark.slow

# More effects than any command has; a command that is through before it is killed ends the search.
MANY = 120
STEPS = ["prove", "shift", "confirm"]


def begins(world: World, verb: str, run: str = "run-3", **words) -> Outcome:
    python = {} if verb == "rollback" else {"python": "3.9"}
    return world.begin(run, verb, **python, **words)


def command(world: World, verb: str, name: str) -> None:
    """Bring the world to where `name` is the next command of run-3."""
    if name == "begin":
        return
    begun = begins(world, verb)
    world.role_bridge(begun.data["slot"], begun.data["record"])
    for step in world.steps("run-3")[: 2 if name == "revert" else STEPS.index(name)]:
        step()


def following(world: World, verb: str, name: str) -> Callable[[], object]:
    """Return the command `name` of run-3."""
    if name == "begin":
        return lambda: begins(world, verb)
    if name == "revert":
        return lambda: revert(world.host, "run-3", "Ctrl-C")
    return world.steps("run-3")[STEPS.index(name)]


def restarted_haproxy(world: World) -> None:
    world.haproxy.kill(seconds=0.5)
    world.clock.sleep(1)


def again(world: World, verb: str) -> None:
    """The run types everything again, from its beginning."""
    with suppress(PilotError):
        begun = begins(world, verb)
        if begun.data["action"] == "roll":
            world.role_bridge(begun.data["slot"], begun.data["record"])
            for step in world.steps("run-3"):
                step()


def reverted(world: World, _: str) -> None:
    """What the front does after Ctrl-C, and the playbook after a failure. Its code tells what serves."""
    before = world.store.state().live.release
    try:
        outcome = revert(world.host, "run-3", "Ctrl-C").document("revert")["exit"]
    except RefusedError:
        outcome = None
    confirmed = world.store.state().live.release != before
    assert outcome in ({0} if confirmed else {0, 1, None})


def taken_over(world: World, verb: str) -> None:
    """Somebody else begins at once, and gives up."""
    with suppress(RefusedError):  # a rollback that was already confirmed has nowhere to go back to
        begins(world, verb, "run-4", owner="bob@lab", take_over=True)
        revert(world.host, "run-4", "enough")


def outlived(world: World, verb: str) -> None:
    """Nobody does anything until the lock is stale; then somebody begins without knowing."""
    world.clock.sleep(world.settings.lock_seconds + 1)
    taken_over(world, verb)


def replaced(world: World, _: str) -> None:
    """Somebody else rolls out something else, without cleaning up by hand."""
    words = {"owner": "bob@lab", "take_over": True, "spec": world.spec(environment={"N": "4"})}
    world.roll("run-4", "deploy", **words)


def left_alone(world: World, verb: str) -> None:
    """Nobody does anything, ever: a shift that had begun is started again by the engine, and ends by itself."""
    if not world.lives() or world.watching != "run-3":
        return outlived(world, verb)
    for _ in range(2):
        world.goes_on()
        world.check()
        world.clock.sleep(world.settings.confirm_seconds)
    assert world.haproxy.weight == world.store.weight()
    # What was confirmed by a pilot killed right then keeps its lock until it expires; what was not is undone.
    assert world.store.state().last.result == "confirmed" or world.store.lock() is None
    return free(world.host, "run-3")


WAYS_ON = [again, reverted, taken_over, outlived, replaced, left_alone]
COMMANDS = ["begin", "prove", "shift", "confirm", "revert"]
CASES = [("upgrade", name) for name in COMMANDS] + [("rollback", "begin"), ("rollback", "confirm")]


@pytest.mark.parametrize(("verb", "name"), CASES)
def test_a_pilot_killed_anywhere_leaves_a_legal_host(tmp_path: Path, verb: str, name: str):
    before = World(tmp_path / "before")
    before.roll("run-1", python="3.9")
    before.clock.sleep(60)
    before.roll("run-2", "upgrade", python="3.11")
    command(before, verb, name)
    for after in range(MANY):
        dead = before.fork(tmp_path / f"{after}")
        if not dies(dead, following(dead, verb, name), after):
            assert after > 1, f"{name} has no effects to be killed at"
            return
        for way_on in WAYS_ON:
            world = dead.fork(tmp_path / f"{after}-{way_on.__name__}")
            world.check()
            if way_on is not left_alone:
                restarted_haproxy(world)
            world.check()
            way_on(world, verb)
            world.check()
            # Nothing is left that somebody must clean up by hand.
            assert (world.store.lock(), world.store.state().rollout) == (None, None)
    pytest.fail(f"{name} has more than {MANY} effects")


def test_a_resumption_killed_anywhere_leaves_no_shift_that_is_started_for_ever(held, tmp_path_factory):
    for after in range(MANY):
        dead = held.fork(tmp_path_factory.mktemp("dead") / "host")
        words = {"python": "3.11", "resume": True}
        if not dies(dead, lambda dead=dead, words=words: dead.begin("run-3", "upgrade", **words), after):
            assert after > 1
            return
        dead.check()
        for _ in range(3):
            dead.clock.sleep(61)
            dead.goes_on()
        dead.check()
        rollout = dead.store.state().rollout
        assert (dead.lives(), dead.haproxy.weight, bool(rollout and rollout.moving)) == (False, 0, False)
        dead.clock.sleep(dead.settings.lock_seconds + 1)
        dead.roll("run-4", spec=dead.spec(environment={"N": "4"}))
        dead.check()


def test_a_confirmation_killed_anywhere_is_told_as_what_becomes_of_it(held, tmp_path_factory):
    told = set()
    for after in range(MANY):
        dead = held.fork(tmp_path_factory.mktemp("dead") / "host")
        if not dies(dead, lambda dead=dead: confirm(dead.host, "run-2"), after):
            assert told == {True, False}
            return
        before = status(dead.host)
        said = before.data["status"]["confirmed"]
        told.add(said)
        assert ("unconfirmed" in {note["code"] for note in before.data["status"]["notes"]}) is not said
        for _ in range(2):
            dead.clock.sleep(61)
            dead.goes_on()
        assert (dead.store.state().live.slot == "green") is said


def dies(world: World, act: Callable[[], object], after: int) -> bool:
    """Return whether `act` was killed when it had had `after` effects."""
    with world.killing(after):
        try:
            act()
        except Killed:
            return True
    return False
