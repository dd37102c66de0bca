"""A run that has failed is only ever undone, with its own reason, wherever its undo is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from eduhub_pilot.adapters.http import IN_A_ROW
from eduhub_pilot.commands.await_shift import await_shift
from eduhub_pilot.commands.confirm import confirm_and_free, pending
from eduhub_pilot.commands.hold import hold
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.commands.shift import shift
from eduhub_pilot.model.errors import EngineDownError, PilotError
from eduhub_pilot.model.facts import Answer
from eduhub_pilot.rollout.revert import revert
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.answers import ends
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.world import World, at, given_back

# More effects than the undo of a failed shift has.
MANY = 60
WHY = "in a row with errors"


def fails(world: World) -> None:
    world.haproxy.answers.update(green={"2xx": 0, "5xx": 50})


def recovers(world: World) -> None:
    """From here on the candidate would pass whatever is asked of it."""
    world.haproxy.answers.update(green={"2xx": 1, "5xx": 50})


def moves(world: World) -> list[int]:
    return [line["percent"] for line in world.noted("moved")]


@pytest.fixture
def interrupted(proven: World) -> World:
    """A candidate failed at 25%; traffic was restored, and the engine refused to remove its container."""

    def happens() -> None:
        fails(proven)
        proven.engine.down = True

    at(proven, 0.5, happens)
    with ends("container_not_removed"):
        _shift(proven)
    proven.engine.down = False
    recovers(proven)
    assert (proven.haproxy.weight, proven.store.state().rollout.step) == (0, "revert")
    return proven


def _shift(world: World) -> None:
    """Let the shift's container run, without the command that waits for it."""
    world.start_shift("run-2")
    world.watches()


def undone(world: World) -> None:
    assert given_back(world)
    assert WHY in world.store.state().last.why
    assert moves(world) == [25]


def test_the_next_life_of_the_shift_completes_the_undo(interrupted):
    interrupted.goes_on()
    undone(interrupted)
    with ends("reverted") as error:
        await_shift(interrupted.host, "run-2")
    assert WHY in error.value.message


def test_a_revert_completes_it_and_tells_its_reason(interrupted):
    assert WHY in revert(interrupted.host, "run-2", "Ctrl-C").message
    undone(interrupted)


def test_a_run_that_takes_over_completes_it_and_tells_its_reason(interrupted):
    begun = interrupted.begin("run-3", "upgrade", python="3.11", take_over=True)
    assert "Run run-2 was being undone: The candidate (green)" in begun.message
    assert (begun.code, WHY in interrupted.store.state().last.why) == ("begun", True)


def test_it_is_not_resumed(interrupted):
    before = interrupted.store.state()
    with ends("resume_refused_undoing") as error:
        interrupted.begin("run-3", "upgrade", python="3.11", resume=True)
    assert WHY in error.value.message
    assert interrupted.store.state() == before


@pytest.mark.parametrize("step", [prove, confirm_and_free])
def test_no_step_of_the_run_goes_on(interrupted, step: Callable):
    with ends("reverted") as error:
        step(interrupted.host, "run-2")
    assert WHY in error.value.message
    assert interrupted.haproxy.weight == 0


def test_nothing_waits_for_a_confirmation(interrupted):
    with ends("not_awaiting_confirmation") as error:
        pending(interrupted.host)
    assert WHY in error.value.message
    with ends("hold_over"):
        hold(interrupted.host, "run-2")


def test_status_tells_it(interrupted):
    note = status(interrupted.host).data["status"]["notes"][-1]
    assert (note["code"], WHY in note["message"]) == ("run_undoing", True)


def test_a_lock_removed_by_hand_hides_no_reason(interrupted):
    interrupted.store.free()
    interrupted.goes_on()
    undone(interrupted)


@pytest.mark.slow
def test_a_revert_that_was_killed_leaves_nothing_to_a_shift_that_still_moves_traffic(live, tmp_path_factory):
    for after in range(MANY):
        dead = live.fork(tmp_path_factory.mktemp("dead") / "host")
        begun = dead.begin("run-2", "upgrade", python="3.11")
        dead.role_bridge(begun.data["slot"], begun.data["record"])
        prove(dead.host, "run-2")
        killed = []

        def reverts(dead: World = dead, after: int = after, killed: list = killed) -> None:
            with dead.killing(after):
                try:
                    revert(dead.host, "run-2", "Ctrl-C")
                except Killed:
                    killed.append(dead.haproxy.weight)

        at(dead, 0.5, reverts)
        with suppress(PilotError):
            dead.shift("run-2")
        dead.check()
        if killed != [25]:  # it had not begun
            assert (dead.haproxy.weight, dead.store.state().last.result) == (0, "reverted")
        if not killed:
            assert after > 2
            return
    pytest.fail("revert has too many effects")


@pytest.mark.slow
def test_a_pilot_killed_anywhere_in_the_undo_of_a_verdict_never_moves_traffic_again(proven, tmp_path_factory):
    for after in range(MANY):
        dead = proven.fork(tmp_path_factory.mktemp("dead") / "host")
        if not _killed_in_undo(dead, after):
            assert after > 2
            return
        recovers(dead)
        given_up = dead.haproxy.weight == 0
        told = dead.store.state().rollout is None or dead.store.state().rollout.undoing
        for _ in range(2):
            dead.goes_on()
        dead.check()
        if given_up:
            assert (dead.store.state().rollout, dead.store.lock()) == (None, None)
            assert (moves(dead), dead.haproxy.weight) == ([25], 0)
        if told:
            undone(dead)
    pytest.fail("the undo has too many effects")


def _killed_in_undo(world: World, after: int) -> bool:
    """Let the candidate fail at 25%; return whether its pilot was killed when the undo had had `after` effects."""
    world.start_shift("run-2")

    def happens() -> None:
        fails(world)
        world.effects, world.kill_after = 0, after

    at(world, 0.5, happens)
    with world.killing(None):
        try:
            world.watches()
        except Killed:
            return True
        except PilotError:
            return False
    return False


def test_a_shift_killed_in_its_rehearsal_goes_on(proven):
    def dies() -> None:
        raise Killed

    answer = proven.haproxy.answer

    def answers(command: str) -> str:
        if command.endswith("green 0"):
            at(proven, 0.01, dies)
        return answer(command)

    proven.haproxy.answer = answers
    proven.haproxy.sessions["green"] = 1  # the drain of the rehearsal waits
    with pytest.raises(Killed):
        proven.shift("run-2", rehearse=True)
    assert (proven.haproxy.weight, proven.store.state().rollout.traffic.returned) == (0, True)
    proven.haproxy.answer, proven.haproxy.sessions["green"] = answer, 0
    proven.goes_on()
    assert (proven.haproxy.weight, proven.store.state().rollout.step) == (100, "shifted")


def test_a_deadline_that_passed_is_kept_as_the_reason(held, monkeypatch):
    def refuses(*_: object) -> None:
        raise EngineDownError("The Docker Engine did not answer.")

    held.clock.sleep(61)
    monkeypatch.setattr(held.engine, "log", refuses)
    with ends("container_not_removed"):
        shift(held.host, "run-2")
    monkeypatch.undo()
    assert hold_is_over(held)
    held.goes_on()
    assert "was not confirmed" in held.store.state().last.why


def hold_is_over(world: World) -> bool:
    with ends("hold_over"):
        hold(world.host, "run-2")
    return True


@pytest.mark.parametrize("happens", ["stop", "remove"])
def test_traffic_returns_to_a_slot_once_it_runs_again(held, happens):
    getattr(held.engine, happens)("eduhub-blue", 5)
    weights = []
    held.behaviour["blue"] = lambda _: weights.append(held.haproxy.weight) or Answer(200, 0.01)
    held.clock.sleep(61)
    held.goes_on()
    assert given_back(held)
    assert held.engine.containers["eduhub-blue"].runs
    assert weights[:IN_A_ROW] == [100] * IN_A_ROW
    assert "was not confirmed" in held.store.state().last.why


def test_a_candidate_that_answers_keeps_its_traffic_while_the_live_slot_cannot_be_had(held, monkeypatch):
    def refuses(*_: object) -> None:
        raise EngineDownError("No such image.")

    held.engine.stop("eduhub-blue", 5)
    monkeypatch.setattr(held.engine, "run", refuses)
    held.clock.sleep(61)
    for _ in range(2):
        with ends("live_slot_lost") as error:
            shift(held.host, "run-2")
        assert "No such image" in error.value.message
        state = held.store.state()
        assert (held.haproxy.weight, held.engine.containers["eduhub-green"].runs, state.rollout.step) == (
            100, True, "revert",
        )  # fmt: skip
        assert held.lives()
    monkeypatch.undo()
    held.goes_on()
    assert given_back(held)
    assert "was not confirmed" in held.store.state().last.why


def test_a_candidate_that_does_not_answer_either_keeps_nothing(held, monkeypatch):
    def refuses(*_: object) -> None:
        raise EngineDownError("No such image.")

    for slot in ("eduhub-blue", "eduhub-green"):
        held.engine.stop(slot, 5)
    monkeypatch.setattr(held.engine, "run", refuses)
    revert(held.host, "run-2", "Ctrl-C")
    assert (held.haproxy.weight, held.store.state().last.why) == (0, "Ctrl-C")


def test_an_engine_that_hangs_delays_no_return_to_a_slot_that_answers(held, monkeypatch):
    asked = []
    known = held.engine.container
    monkeypatch.setattr(held.engine, "container", lambda name, *_: asked.append(held.haproxy.weight) or known(name))
    revert(held.host, "run-2", "Ctrl-C")
    assert 100 not in asked


def test_an_engine_that_hangs_beside_a_slow_slot_delays_the_return_by_two_seconds_at_most(held, monkeypatch):
    asked = []

    def hangs(_: str, seconds: int = 10) -> None:
        if held.haproxy.weight == 100:
            asked.append(seconds)
        raise EngineDownError("It did not answer in time.")

    monkeypatch.setattr(held.engine, "container", hangs)
    slow = replace(held.host, ask=lambda *_, **__: Answer(None, 1.0, "timeout"))
    with suppress(PilotError):
        revert(slow, "run-2", "Ctrl-C")
    assert asked == [2]
    assert held.haproxy.weight == 0
