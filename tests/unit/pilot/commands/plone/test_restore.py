"""A restore in place of Plone's data ends with the backup's data, or with that from before, whatever fails."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from eduhub_pilot.commands.plone import restore
from eduhub_pilot.model.errors import FailedError, PersonError, PilotError, RefusedError
from eduhub_pilot.model.facts import Container, Look

BACKUP = {"id": "20260101T000000Z", "recovery_point": "2025-12-31T23:00:00Z"}
PLONE = "eduhub-plone"


class Volume:
    """What the steps do to Plone's data, in memory: `data` is what Plone would serve."""

    def __init__(self, world: Any) -> None:
        self.world, self.data, self.kept = world, "old", None
        self.fresh, self.steps, self.fails = True, [], {}

    def works(self, command: tuple[str, ...]) -> Look:
        step = command[3]
        self.steps.append(step)
        if step in self.fails:
            fields = {"code": self.fails[step], "exit": 2 if self.fails[step] == "plone_runs" else 1, "message": step}
            return Look(fields["exit"], json.dumps(fields))
        marked = "run-0" if self.kept else None
        if step == "swap":
            assert self.world.engine.containers[PLONE].state == "exited"
            self.data, self.kept = "new", self.data
        elif step == "undo" and self.kept:
            assert self.world.engine.containers[PLONE].state == "exited"
            self.data, self.kept = self.kept, None
        elif step == "settle":
            self.kept = None
        code = "restore_planned" if step == "plan" else "restore_stepped"
        fields = {"code": code, "exit": 0, "message": "", "fresh": self.fresh, "now": "2026-01-01T00:00:00Z",
                  "backup": BACKUP, "before": "before-restore-run-9", "interrupted": marked}  # fmt: skip
        return Look(0, json.dumps(fields))


@pytest.fixture
def volume(live) -> Volume:
    live.engine.containers[PLONE] = Container(PLONE, "running", "sha256:plone", health="healthy")
    volume = Volume(live)
    live.engine.works, live.engine.health = volume.works, lambda: "healthy"
    return volume


def go(volume: Volume, **more: Any) -> Any:
    given = {"at": "", "to": "live", "agreed": False, "start_seconds": 60.0, "from_copy": False, **more}
    options = argparse.Namespace(run="run-9", owner="ana@desk", directory="/backups", **given)
    try:
        return restore.run(volume.world.host, options)
    finally:
        assert volume.world.store.lock() is None


def serves(volume: Volume) -> tuple[str, str]:
    return volume.data, volume.world.engine.containers[PLONE].state


def test_plone_serves_the_backup_and_keeps_what_it_had(volume):
    volume.world.engine.health = lambda: "healthy" if volume.world.clock.passed > 20 else "starting"
    done = go(volume)
    assert (done.code, serves(volume)) == ("restored", ("new", "running"))
    assert volume.steps == ["interrupted", "plan", "stage", "swap", "settle"]
    assert "before-restore-run-9, until the next restore" in done.message
    (noted,) = volume.world.noted("restored", "run-9")
    assert noted["backup"] == BACKUP["id"]


def test_only_the_steps_that_have_to_may_write_the_data(volume):
    go(volume)
    writes = {command[3]: writes for command, _, writes in volume.world.engine.worked}
    assert writes == {"interrupted": False, "plan": False, "stage": True, "swap": True, "settle": True}


def test_without_a_fresh_backup_it_is_refused_unless_agreed_to(volume):
    volume.fresh = False
    with pytest.raises(RefusedError) as refused:
        go(volume)
    assert (refused.value.code, serves(volume)) == ("backup_not_fresh", ("old", "running"))
    assert ["./invoke", "plone.restore", "--to", "live", "--yes"] in refused.value.next
    assert go(volume, agreed=True).code == "restored"


@pytest.mark.parametrize("step", ["interrupted", "plan", "stage"])
def test_what_fails_before_plone_is_stopped_leaves_it_alone(volume, step):
    before = volume.world.engine.containers[PLONE]
    volume.fails = {step: "backup_damaged"}
    with pytest.raises(FailedError) as failed:
        go(volume)
    assert (failed.value.code, volume.world.engine.containers[PLONE] == before) == ("backup_damaged", True)


@pytest.mark.parametrize(
    ("step", "code"), [("swap", "plone_runs"), ("swap", "backup_failed"), ("settle", "backup_failed")]
)
def test_what_fails_afterwards_brings_the_data_from_before_back(volume, step, code):
    volume.fails = {step: code}
    with pytest.raises(FailedError) as failed:
        go(volume)
    assert (failed.value.code, serves(volume)) == ("restore_reverted", ("old", "running"))
    assert [each["backup"] for each in volume.world.noted("reverted", "run-9")] == [BACKUP["id"]]


@pytest.mark.parametrize("health", ["unhealthy", "starting"])
def test_a_plone_that_does_not_start_with_it_gets_its_own_data_back(volume, health):
    volume.world.engine.health = lambda: "healthy" if volume.data == "old" else health
    volume.world.engine.logs[PLONE] = ["KeyError: no such class"]
    with pytest.raises(FailedError, match="KeyError: no such class") as failed:
        go(volume)
    assert (failed.value.code, serves(volume)) == ("restore_reverted", ("old", "running"))


def test_a_person_is_needed_where_the_data_cannot_be_brought_back(volume):
    volume.fails = {"swap": "backup_failed", "undo": "backup_failed"}
    with pytest.raises(PersonError) as stuck:
        go(volume)
    assert stuck.value.code == "restore_stuck"


def test_a_restore_that_was_killed_is_undone_by_the_next_one_first(volume):
    volume.data, volume.kept = "half", "old"
    volume.world.engine.containers[PLONE] = Container(PLONE, "exited", "sha256:plone")
    volume.fresh = False
    with pytest.raises(RefusedError):
        go(volume)
    assert serves(volume) == ("old", "running")


def test_one_that_another_run_takes_the_lock_of_is_reverted(volume):
    def taken(command: tuple[str, ...]) -> Look:
        if command[3] == "swap":
            store = volume.world.store
            store.free()
            volume.world.begin("run-3", "upgrade", owner="bob@desk", python="3.11")
        return volume.works(command)

    volume.world.engine.works = taken
    given = argparse.Namespace(run="run-9", owner="ana@desk", directory="/backups", at="", to="live", agreed=True,
                               start_seconds=60.0, from_copy=False)  # fmt: skip
    with pytest.raises(PilotError) as failed:
        restore.run(volume.world.host, given)
    assert (failed.value.code, serves(volume)) == ("restore_reverted", ("old", "running"))
    assert volume.world.store.lock().run == "run-3"


def test_a_standby_that_waits_for_the_data_is_not_let_have_it(volume):
    name = f"{PLONE}-standby"
    volume.world.engine.containers[name] = Container(name, "running", "sha256:new")
    with pytest.raises(RefusedError) as refused:
        go(volume)
    assert (refused.value.code, volume.steps, serves(volume)) == ("hand_over_interrupted", [], ("old", "running"))


def test_another_target_than_scratch_and_live_is_refused(volume):
    with pytest.raises(RefusedError) as refused:
        go(volume, to="lvie")
    assert (refused.value.code, volume.steps) == ("restore_target_unknown", [])
