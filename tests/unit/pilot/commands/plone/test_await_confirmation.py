"""Writes are not refused for ever: another version that nobody confirms is rolled back by the host itself."""

from __future__ import annotations

from contextlib import suppress

import pytest

from eduhub_pilot.adapters.store import Store
from eduhub_pilot.commands.plone import await_confirmation, confirm, rollback, version
from eduhub_pilot.model.errors import FailedError, PilotError, RefusedError
from eduhub_pilot.model.facts import Container
from eduhub_pilot.model.state import Lock, stamp
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.plone_host import (
    AWAIT,
    NEW,
    OLD,
    PLONE,
    PREVIOUS,
    SERVES_OLD,
    STANDBY,
    FakeEndpoint,
    ended,
    found,
    go,
    labels,
    takes_writes,
    unconfirmed,
)  # fmt: skip
from tests.unit.pilot.world import at

pytestmark = pytest.mark.usefixtures("images")


def waits(plone: FakeEndpoint):
    """Let the container that waits do its work."""
    return go(plone, await_confirmation)


def held_by(plone: FakeEndpoint, run: str) -> Lock:
    now = plone.world.clock.now()
    lock = Lock("bob@desk", run, "plone.confirm", "begin", now, now, 900)
    plone.world.store.take(lock)
    return lock


def overdue(plone: FakeEndpoint) -> None:
    """Let the new version serve, with writes refused, and the one from before wait: nobody may confirm it any more."""
    for name in (PLONE, STANDBY, PREVIOUS):
        plone.world.engine.containers.pop(name, None)
    plone.world.engine._made(Container(PLONE, "running", NEW, labels("3.13.5", "6.1.4"), health="healthy"))
    plone.world.engine._made(Container(PREVIOUS, "exited", OLD, labels("3.11.2")))
    unconfirmed(plone, run="run-9")
    plone.world.store.save_plone_writes("Plone is upgraded to 6.1.4.")


def stop() -> None:
    raise FailedError("stopped", "The pilot was stopped by SIGTERM.")


def test_not_confirmed_in_time_it_is_rolled_back(plone, images):
    go(plone, version, confirm_seconds=600.0)
    before = plone.world.clock.passed
    done = waits(plone)
    assert (done.code, found(plone), takes_writes(plone), images.data) == ("plone_rolled_back", SERVES_OLD, True, set())
    assert plone.world.clock.passed - before >= 598
    assert AWAIT in ended(plone)
    (expired,) = plone.world.noted("expired", "run-9")
    assert "not confirmed by" in expired["why"]


@pytest.mark.parametrize(("command", "left"), [(confirm, {PLONE: (NEW, "running")}), (rollback, SERVES_OLD)])
def test_once_decided_it_ends_and_changes_nothing(plone, command, left):
    go(plone, version)
    at(plone.world, 60, lambda: go(plone, command))
    assert waits(plone).code == "plone_unchanged"
    assert (found(plone), takes_writes(plone), AWAIT in ended(plone)) == (left, True, True)


def test_an_upgrade_that_is_at_work_is_left_alone_and_one_that_died_is_rolled_back(plone):
    unconfirmed(plone, run="run-9")
    held_by(plone, "run-9")
    before = plone.world.clock.passed
    assert waits(plone).code == "plone_rolled_back"
    assert plone.world.clock.passed - before > 900  # as long as its lock is good
    assert (found(plone), takes_writes(plone)) == (SERVES_OLD, True)


def test_who_confirms_at_the_last_moment_is_waited_for(plone):
    go(plone, version, confirm_seconds=60.0)

    def confirms() -> None:
        plone.world.store.free()
        go(plone, confirm)

    held_by(plone, "run-10")
    at(plone.world, 120, confirms)
    assert waits(plone).code == "plone_unchanged"
    assert found(plone) == {PLONE: (NEW, "running")}


def test_another_upgrade_is_none_of_its_business(plone):
    unconfirmed(plone, run="run-8")
    assert waits(plone).code == "plone_unchanged"
    assert not takes_writes(plone)


def test_killed_before_any_effect_it_goes_on_when_it_is_started_again(plone):
    for effects in range(40):
        overdue(plone)
        left = iter(range(effects))

        def die(effect: str, left=left) -> None:
            if next(left, None) is None:
                raise Killed(effect)

        plone.world.engine.before = plone.world._before = die
        try:
            waits(plone)
        except Killed:
            plone.world.engine.before = plone.world._before = lambda _: None
            waits(plone)
        else:
            break
        finally:
            assert (found(plone), takes_writes(plone)) == (SERVES_OLD, True), effects
    assert effects >= 6


def test_with_a_disk_that_becomes_full_before_any_write_it_goes_back_all_the_same(plone):
    store = plone.world.store
    writes = store.root / "run/plone-endpoint/writes.map"
    for room in range(20):
        overdue(plone)
        store.room = room
        at(plone.world, 120, stop)
        done = waits(plone)
        plone.world.clock.due.clear()
        full, store.full, store.room = store.full, False, None
        assert (done.code, found(plone), takes_writes(plone)) == ("plone_rolled_back", SERVES_OLD, True), room
        assert (writes.read_text().splitlines()[0], store.lock()) == ("writes open", None), room
        if not full:
            break
    assert room >= 6


def test_on_a_full_disk_no_other_run_gets_at_a_host_that_goes_back(plone):
    overdue(plone)
    other, got_in = Store(plone.world.store.root, "/var/lib/eduhub", guard_seconds=0), []
    plone.world.store.full = True

    def begins(effect: str) -> None:
        with suppress(RefusedError), other.guard():
            got_in.append(effect)

    plone.world.engine.before = begins
    at(plone.world, 120, stop)
    assert waits(plone).code == "plone_rolled_back"
    assert got_in == ["let_end"]  # once all is done


def test_on_a_full_disk_another_runs_claim_is_respected(plone):
    unconfirmed(plone, run="run-9", confirm_by=stamp(plone.world.clock.now()))
    held_by(plone, "run-10")
    plone.world.store.full = True
    at(plone.world, 300, stop)
    with pytest.raises(FailedError):
        waits(plone)
    assert not takes_writes(plone)


def test_a_rollback_that_fails_is_tried_again_until_it_can_be_done(plone):
    go(plone, version, confirm_seconds=60.0)
    plone.broken.add(OLD)
    at(plone.world, 3000, lambda: plone.broken.discard(OLD))
    assert waits(plone).code == "plone_rolled_back"
    assert (found(plone), takes_writes(plone), AWAIT in ended(plone)) == (SERVES_OLD, True, True)
    assert 3 <= len(plone.world.noted("stuck", "run-9")) <= 10


def test_while_it_cannot_be_done_status_says_where_the_reason_is(plone):
    go(plone, version, confirm_seconds=60.0)
    plone.world.clock.passed += 600
    (note,) = [each for each in status(plone.world.host).data["status"]["notes"] if "unconfirmed" in each["code"]]
    assert "and cannot: docker logs eduhub-plone-await says why" in note["message"]


@pytest.mark.parametrize(("stopped", "over"), [(True, False), (False, True)])
def test_a_stop_ends_it_for_now_and_a_container_that_is_gone_for_good(plone, stopped, over):
    go(plone, version, confirm_seconds=60.0)

    if stopped:
        at(plone.world, 30, stop)
    else:
        del plone.world.engine.containers[PREVIOUS]
    with pytest.raises(PilotError):
        waits(plone)
    assert (AWAIT in ended(plone), bool(plone.world.noted("stuck", "run-9"))) == (over, over)
