"""A disk that is full while traffic moves: the old release serves, and the shift goes on once there is room."""

from __future__ import annotations

import errno
import os

import pytest

from eduhub_pilot.adapters.store import Store
from eduhub_pilot.commands.shift import shift
from tests.unit.pilot.world import World, at, given_back


def test_traffic_goes_back_while_nothing_can_be_written_and_the_shift_goes_on_afterwards(
    live: World, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.steps("run-2")[0]()
    shares: list[int] = []

    def fill() -> None:
        shares.append(live.haproxy.weight)
        monkeypatch.setattr(Store, "_temporary", full)
        monkeypatch.setattr(Store, "append", full)

    at(live, 0.5, fill)
    with pytest.raises(OSError, match="No space"):
        live.shift("run-2")
    assert (shares, live.haproxy.weight, live.store.weight()) == ([25], 0, 0)
    began = live.clock.monotonic()
    with pytest.raises(OSError, match="No space"):
        live.goes_on()  # the engine starts it again, to no avail
    assert live.haproxy.weight == 0
    # So long, that the engine does not wait longer and longer before it starts it once more.
    assert live.clock.monotonic() - began >= 10

    monkeypatch.undo()
    live.goes_on()
    assert (live.haproxy.weight, live.store.state().rollout.step) == (100, "shifted")
    assert live.steps("run-2")[2]().code == "confirmed"


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
