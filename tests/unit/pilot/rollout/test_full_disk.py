"""A disk that is full while traffic moves: the old release serves, and the shift goes on once there is room."""

from __future__ import annotations

from contextlib import suppress

import pytest

from eduhub_pilot.commands.shift import shift
from eduhub_pilot.model.errors import PilotError
from tests.unit.pilot.answers import ends
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.world import World, at, given_back


def test_traffic_goes_back_while_nothing_can_be_written_and_the_shift_goes_on_afterwards(proven: World):
    shares: list[int] = []

    def fill() -> None:
        shares.append(proven.haproxy.weight)
        proven.store.full = True

    at(proven, 0.5, fill)
    at(proven, 25, lambda: shares.append(proven.haproxy.weight))
    at(proven, 35, lambda: setattr(proven.store, "full", False))
    with pytest.raises(OSError, match="No space"):
        proven.shift("run-2")
    assert (shares, proven.haproxy.weight, proven.store.weight()) == ([25, 0], 0, 0)
    proven.goes_on()
    assert (proven.haproxy.weight, proven.store.state().rollout.step) == (100, "shifted")
    assert proven.steps("run-2")[2]().code == "confirmed"


def test_a_verdict_outlives_a_disk_that_is_full_when_it_comes(proven: World):
    def fails() -> None:
        proven.haproxy.answers.update(green={"2xx": 0, "5xx": 50})
        proven.store.full = True

    at(proven, 0.5, fails)
    at(proven, 35, lambda: setattr(proven.store, "full", False))
    with ends("slot_errors"):
        proven.shift("run-2")
    assert given_back(proven)
    assert "in a row with errors" in proven.store.state().last.why
    assert [line["percent"] for line in proven.noted("moved")] == [25]


def test_a_pilot_killed_on_a_full_disk_after_its_verdict_leaves_a_run_that_is_only_undone(proven: World):
    def fails() -> None:
        proven.haproxy.answers.update(green={"2xx": 0, "5xx": 50})
        proven.store.full = True

    def dies() -> None:
        raise Killed

    at(proven, 0.5, fails)
    at(proven, 15, dies)
    with pytest.raises(Killed):
        proven.shift("run-2")
    proven.store.full = False
    proven.goes_on()
    assert given_back(proven)
    assert [line["percent"] for line in proven.noted("moved")] == [25]


def test_a_disk_that_was_full_while_all_traffic_waited_for_its_confirmation_ends_the_run(held: World):
    held.store.full = True
    held.clock.sleep(6)
    with pytest.raises(OSError, match="No space"):
        shift(held.host, "run-2")
    assert (held.haproxy.weight, held.store.state().rollout.step) == (0, "shifted")
    held.store.full = False
    held.goes_on()  # with nothing on the new slot nobody is told to confirm it
    assert given_back(held)
    assert "had all traffic and has 0% now" in held.store.state().last.why


@pytest.mark.parametrize("after", [1, 58])
@pytest.mark.parametrize("room", range(12))
def test_unconfirmed_with_a_disk_that_becomes_full_before_any_write_traffic_is_back_in_time(
    held: World, room: int, after: int
):
    """The host goes back by itself also where no byte is free from then on, and stays there until there is room."""
    weights: list[int] = []

    def dies() -> None:
        weights.append(held.haproxy.weight)
        raise Killed

    at(held, after, lambda: setattr(held.store, "room", room))
    at(held, 75, lambda: weights.append(held.haproxy.weight))
    at(held, 90, dies)
    for _ in range(20):
        with suppress(OSError, PilotError, Killed):
            shift(held.host, "run-2")
        with suppress(Killed):
            held.clock.sleep(5)  # the engine starts it again
        if len(weights) == 2:
            break
    assert (weights, held.haproxy.weight) == ([0, 0], 0)
    held.store.full, held.store.room = False, None
    held.goes_on()
    assert given_back(held)
