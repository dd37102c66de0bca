"""A restore in place of Plone's data ends with the backup's data, or with that from before, whatever fails."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from eduhub_pilot.commands.plone import restore
from eduhub_pilot.model.copies import NO_MOUNT
from eduhub_pilot.model.errors import (
    EngineDownError,
    FailedError,
    PersonError,
    PilotError,
    ProxyDownError,
    RefusedError,
)
from eduhub_pilot.model.facts import Container, Look
from eduhub_pilot.model.state import Lock
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.plone_host import FakeEndpoint

BACKUP = {"id": "20260101T000000Z", "recovery_point": "2025-12-31T23:00:00Z"}
PLONE = "eduhub-plone"


class Volume:
    """What the steps do to Plone's data, in memory: `data` is what Plone would serve."""

    def __init__(self, world: Any) -> None:
        self.world, self.data, self.kept = world, "old", None
        self.endpoint = FakeEndpoint(world.store.root / "run", world.clock, world, 0.0)
        self.fresh, self.steps, self.fails = True, [], {}
        # Whether it was written since an interrupted restore, or after it was planned; what is put aside for that.
        self.written, self.late, self.aside, self.words = False, False, None, {}

    def works(self, command: tuple[str, ...]) -> Look:
        step = command[3]
        self.steps.append(step)
        self.words[step] = command[4:]
        if step in {"stage", "swap"} and self.late and "--transaction=03ff" in command:
            self.fails[step] = "plone_written_meanwhile"
        if step in self.fails:
            code = self.fails[step]
            ends = 2 if code.startswith(("plone_", "restore_")) else 1
            return Look(ends, json.dumps({"code": code, "exit": ends, "message": f"{step}."}))
        marked = "run-0" if self.kept else None
        if step == "swap":
            assert self.world.engine.containers[PLONE].state == "exited"
            self.data, self.kept = "new", self.data
        elif step == "undo" and self.kept:
            assert self.world.engine.containers[PLONE].state == "exited"
            self.aside = self.data if self.written else None
            self.data, self.kept, self.written = self.kept, None, False
        elif step == "settle":
            self.kept = None
        code = "restore_planned" if step == "plan" else "restore_stepped"
        fields = {"code": code, "exit": 0, "message": "", "fresh": self.fresh, "now": "2026-01-01T00:00:00Z",
                  "backup": BACKUP, "before": "before-restore-run-9", "interrupted": marked,
                  "transaction": "03ff", "bytes": 8_100_000_000, "written": self.written,
                  "kept": "undone-restore-run-0" if step == "undo" and self.aside else None}  # fmt: skip
        return Look(0, json.dumps(fields))


@pytest.fixture
def volume(live) -> Volume:
    live.engine.containers[PLONE] = Container(PLONE, "running", "sha256:plone", health="healthy")
    volume = Volume(live)
    live.engine.works, live.engine.health = volume.works, lambda: "healthy"
    live.host = replace(live.host, before_plone=volume.endpoint)
    return volume


def go(volume: Volume, **more: Any) -> Any:
    given = {"at": "", "to": "live", "agreed": False, "check": False, "start_seconds": 60.0, "from_copy": False, **more}
    options = argparse.Namespace(run="run-9", owner="ana@desk", directory="/backups", **given)
    try:
        return restore.run(volume.world.host, options)
    finally:
        assert volume.world.store.lock() is None


def takes_writes(volume: Volume) -> bool:
    return volume.endpoint.refusals[-1] is None and volume.world.store.plone_restore() is None


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


def becomes(volume: Volume, **healths: int) -> None:
    """Let Plone have each of the `healths` so many seconds after each start."""
    world, start = volume.world, volume.world.engine.start

    def has(health: str) -> None:
        world.engine.containers[PLONE] = replace(world.engine.containers[PLONE], health=health)

    def begun(name: str) -> None:
        start(name)
        for health, seconds in healths.items():
            world.clock.due.append((world.clock.passed + seconds, partial(has, health)))

    world.engine.start, world.engine.health = begun, lambda: "starting"


def test_a_plone_that_the_engine_calls_unhealthy_while_it_loads_has_all_its_time(volume):
    becomes(volume, unhealthy=210, healthy=240)  # by the image's health check, and a site that needs longer
    assert (go(volume, start_seconds=900.0).code, serves(volume)) == ("restored", ("new", "running"))
    volume.data, volume.fails = "old", {"settle": "backup_failed"}
    with pytest.raises(FailedError) as failed:
        go(volume, start_seconds=900.0)
    assert (failed.value.code, serves(volume)) == ("restore_reverted", ("old", "running"))


@pytest.mark.parametrize("ends", ["restarting", "running"])
def test_a_plone_that_ends_with_it_is_not_waited_for(volume, ends):
    began, start = volume.world.clock.passed, volume.world.engine.start

    def crashes(name: str) -> None:
        start(name)
        if volume.data == "new":
            containers = volume.world.engine.containers
            again = replace(containers[name], state=ends, health="starting", restarts=1)
            volume.world.clock.due.append((volume.world.clock.passed + 5, lambda: containers.update({name: again})))

    volume.world.engine.start = crashes
    volume.world.engine.health = lambda: "healthy" if volume.data == "old" else "starting"
    with pytest.raises(FailedError, match="Plone has ended") as failed:
        go(volume, start_seconds=900.0)
    assert (failed.value.code, serves(volume)) == ("restore_reverted", ("old", "running"))
    assert volume.world.clock.passed - began < 60


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
                               start_seconds=60.0, from_copy=False, check=False)  # fmt: skip
    with pytest.raises(PilotError) as failed:
        restore.run(volume.world.host, given)
    assert (failed.value.code, serves(volume)) == ("restore_reverted", ("old", "running"))
    assert volume.world.store.lock().run == "run-3"
    assert takes_writes(volume)


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


def test_what_was_written_since_an_interrupted_restore_is_not_taken_from_plone_without_consent(volume):
    volume.data, volume.kept, volume.written = "new and three days", "old", True
    with pytest.raises(RefusedError, match="was written since") as refused:
        go(volume, at="2026-01-01")
    assert (refused.value.code, volume.steps) == ("restore_interrupted", ["interrupted"])
    assert serves(volume) == ("new and three days", "running")
    assert refused.value.next == [
        ["./invoke", "plone.restore", "--to", "served"],
        ["./invoke", "plone.restore", "--to", "live", "--at", "2026-01-01", "--yes"],
    ]  # fmt: skip
    assert go(volume, agreed=True).code == "restored"
    assert (volume.aside, volume.world.noted("undone", "run-9")[0]["kept"]) == (
        "new and three days", "undone-restore-run-0",
    )  # fmt: skip


def test_what_was_brought_back_is_said_where_the_restore_is_refused_then(volume):
    volume.data, volume.kept, volume.fresh = "new", "old", False
    with pytest.raises(RefusedError, match="data from before an interrupted restore was brought back") as refused:
        go(volume)
    assert (refused.value.code, "Nothing was changed" in refused.value.message) == ("backup_not_fresh", False)


def test_an_image_that_would_remove_what_was_written_is_not_asked_to(volume):
    volume.data, volume.kept = "new and three days", "old"
    works = volume.works

    def older(command: tuple[str, ...]) -> Look:
        fields = json.loads(works(command).output)
        return Look(0, json.dumps({name: fields[name] for name in fields if name not in {"written", "transaction"}}))

    volume.world.engine.works = older
    with pytest.raises(RefusedError) as refused:
        go(volume, agreed=True)
    assert (refused.value.next, volume.data) == ([["./invoke", "deploy"]], "new and three days")
    volume.kept = None
    assert go(volume).code == "restored"
    assert "--transaction=03ff" not in volume.words["swap"]


def test_an_interrupted_restore_is_ended_with_what_plone_serves(volume):
    volume.data, volume.kept, volume.written = "new and three days", "old", True
    volume.world.store.save_plone_restore({"run": "run-0", "since": "2026-01-01T00:00:00Z", "writes": "refused"})
    volume.endpoint.refusals.append("Plone is restored.")
    done = go(volume, to="served")
    assert (done.code, serves(volume), takes_writes(volume)) == (
        "restore_ended", ("new and three days", "running"), True,
    )  # fmt: skip
    assert volume.steps == ["interrupted", "settle"]
    with pytest.raises(RefusedError) as refused:
        go(volume, to="served")
    assert refused.value.code == "restore_not_interrupted"


def test_an_interrupted_restore_is_ended_with_a_plone_that_is_unhealthy_for_a_moment(volume):
    volume.data, volume.kept = "new", "old"
    becomes(volume, unhealthy=0, healthy=30)
    assert (go(volume, to="served").code, serves(volume)) == ("restore_ended", ("new", "running"))


@pytest.mark.parametrize(("late", "steps"), [("stage", 3), ("swap", 5)])
def test_what_was_written_after_it_was_planned_is_not_replaced_without_consent(volume, late, steps):
    volume.fails = {late: "plone_written_meanwhile"}
    with pytest.raises(RefusedError, match="agree with --yes") as refused:
        go(volume)
    assert (refused.value.code, serves(volume), takes_writes(volume)) == (
        "plone_written_meanwhile", ("old", "running"), True,
    )  # fmt: skip
    assert len(volume.steps) == steps
    volume.fails, volume.late = {}, True
    with pytest.raises(RefusedError):
        go(volume)
    volume.fails = {}
    assert go(volume, agreed=True).code == "restored"


def test_writes_are_refused_from_the_consent_until_the_restore_is_over(volume):
    seen = {}

    def works(command: tuple[str, ...]) -> Look:
        seen[command[3]] = volume.endpoint.refusals[-1]
        return volume.works(command)

    volume.world.engine.works = works
    go(volume)
    refused = dict.fromkeys(["stage", "swap", "settle"], "Plone is restored.")
    assert seen == {"interrupted": None, "plan": None, **refused}
    assert takes_writes(volume)


@pytest.mark.parametrize("step", ["interrupted", "plan", "stage", "swap", "settle", "undo"])
def test_every_ending_takes_writes_again(volume, step):
    volume.fails = {step: "backup_failed", **({"swap": "backup_failed"} if step == "undo" else {})}
    with pytest.raises(PilotError):
        go(volume)
    assert volume.endpoint.refusals[-1] is None
    # What is stuck stays a finding.
    assert (volume.world.store.plone_restore() is None) == (step != "undo")


def test_a_restore_that_is_over_with_writes_refused_still_says_so(volume):
    def down(effect: str) -> None:
        if effect == "refuse_writes" and "settle" in volume.steps:
            raise ProxyDownError("HAProxy does not answer.")

    volume.world._before = down
    with pytest.raises(PersonError, match=r"Plone serves backup .* But writes are refused still") as stuck:
        go(volume)
    assert (stuck.value.code, stuck.value.next) == (
        "plone_writes_refused", [["docker", "restart", "eduhub-plone-endpoint"]],
    )  # fmt: skip


def test_an_endpoint_that_cannot_refuse_writes_stops_no_restore(volume):
    object.__setattr__(volume.endpoint, "knows", False)
    assert go(volume).code == "restored"
    assert (volume.endpoint.refusals, takes_writes(volume)) == ([None], True)


def test_killed_in_any_step_it_is_a_finding_of_the_status_and_the_next_one_takes_writes_again(volume):
    for step in ("stage", "swap", "settle"):

        def killed(command: tuple[str, ...], step: str = step) -> Look:
            if command[3] == step:
                raise Killed(step)
            return volume.works(command)

        volume.world.engine.works = killed
        with pytest.raises(Killed):
            go(volume)
        codes = [note["code"] for note in status(volume.world.host).data["status"]["notes"]]
        assert ("restore_interrupted" in codes, takes_writes(volume)) == (True, False), step
        volume.world.engine.works = volume.works
        assert go(volume, agreed=True).code == "restored"
        assert takes_writes(volume), step


def test_one_killed_between_the_stop_and_the_exchange_leaves_no_plone_stopped(volume):
    volume.world.store.save_plone_restore({"run": "run-0", "since": "2026-01-01T00:00:00Z", "writes": "refused"})
    volume.world.engine.containers[PLONE] = Container(PLONE, "exited", "sha256:plone")
    volume.fresh = False
    with pytest.raises(RefusedError):
        go(volume)
    assert (serves(volume), takes_writes(volume)) == (("old", "running"), True)


def test_a_person_is_needed_where_an_interrupted_one_cannot_be_undone(volume):
    volume.data, volume.kept, volume.fails = "new", "old", {"undo": "backup_failed"}
    with pytest.raises(PersonError, match=r"could not be brought back: undo\.") as stuck:
        go(volume)
    assert stuck.value.code == "restore_stuck"


def test_what_plone_does_not_serve_or_has_in_part_is_not_kept(volume):
    volume.data, volume.kept, volume.fails = "new", "old", {"settle": "restore_interrupted"}
    again = [["./invoke", "plone.restore", "--to", "live"]]
    for state in ("running", "exited"):
        volume.world.engine.containers[PLONE] = Container(PLONE, state, "sha256:plone", health="healthy")
        with pytest.raises(RefusedError) as refused:
            go(volume, to="served")
        assert (refused.value.code, refused.value.next) == ("restore_interrupted", again)
        assert serves(volume) == ("new", state)


def test_a_check_names_the_backup_and_the_space_and_changes_nothing(volume):
    files = {path: path.read_bytes() for path in volume.world.store.root.rglob("*") if path.is_file()}
    done = go(volume, check=True, at="2026-01-01")
    assert (done.code, done.changed, volume.steps, volume.data) == ("restore_planned", False, ["plan"], "old")
    assert "would replace Plone's data by backup 20260101T000000Z, the site as of 2025-12-31T23:00:00Z" in done.message
    assert "8100.0 MB" in done.message
    assert done.next == [["./invoke", "plone.restore", "--to", "live", "--at", "2026-01-01"]]
    assert volume.world.engine.parts == ["list"]  # beside a run that has the host, nothing of its is replaced
    assert volume.world.engine.worked[-1][2] is False
    assert files == {path: path.read_bytes() for path in volume.world.store.root.rglob("*") if path.is_file()}


def test_a_check_tells_what_the_restore_would_be_refused_for(volume):
    volume.fresh = False
    with pytest.raises(RefusedError) as refused:
        go(volume, check=True)
    assert (refused.value.code, refused.value.next[0]) == ("backup_not_fresh", ["./invoke", "plone.backup"])
    assert go(volume, check=True, agreed=True).next == [["./invoke", "plone.restore", "--to", "live", "--yes"]]
    volume.fails["plan"] = "restore_interrupted"
    with pytest.raises(RefusedError) as refused:
        go(volume, check=True)
    assert refused.value.code == "restore_interrupted"
    now = volume.world.clock.now()
    volume.world.store.take(Lock("bob@desk", "run-3", "upgrade", "begin", now, now, 900))
    with pytest.raises(RefusedError) as refused:
        restore.run(volume.world.host, argparse.Namespace(run="run-9", check=True, to="live", from_copy=False))
    assert (refused.value.code, volume.data) == ("lock_held", "old")


def test_a_check_without_the_directory_of_backups_says_that_there_is_none(volume):
    def absent(_: Any) -> Look:
        raise EngineDownError(f"The Docker Engine refused the request: {NO_MOUNT}: /backups.")

    volume.world.engine.works = absent
    with pytest.raises(RefusedError, match="/backups is not there, or not mounted") as refused:
        go(volume, check=True)
    assert refused.value.code == "backup_unknown"
