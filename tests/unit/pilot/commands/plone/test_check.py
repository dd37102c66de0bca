"""What an upgrade of Plone would do, or be refused for, is told without a lock and without a change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from eduhub_pilot.commands.plone import check
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Look
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import Lock, stamp
from tests.unit.pilot.plone_host import DIRECTORY, PLONE, SERVES_OLD, STANDBY, FakeEndpoint, found, go, unconfirmed


@pytest.fixture
def plone(plone: FakeEndpoint) -> FakeEndpoint:
    """Our Plone 6.0.13 on Python 3.9 without a standby, with a proven backup of 8100.0 MB."""
    world = plone.world
    del world.engine.containers[STANDBY]
    world.store.save_backup({"id": "b1", "time": stamp(world.clock.now()), "directory": DIRECTORY, "plone": "6.0.13"})
    answer = {"code": "restore_planned", "exit": 0, "message": "", "bytes": 8_100_000_000}
    world.engine.works = lambda _: Look(0, json.dumps(answer))
    return plone


def looks(plone: FakeEndpoint, **more: Any) -> Outcome:
    """Look, and make sure that nothing was changed."""
    root = plone.world.store.root
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    try:
        outcome: Outcome = go(plone, check, **{"version": "", "python": "", "within_days": 0.0, **more})
    finally:
        assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        assert found(plone) == SERVES_OLD or STANDBY in found(plone)
        assert {may for _, _, may in plone.world.engine.worked} <= {False}
    assert outcome.changed is False
    return outcome


def test_another_version_names_the_backup_and_the_space(plone):
    done = looks(plone, version="6.1.4")
    assert (done.code, done.next) == ("plone_checked", [["./invoke", "plone.upgrade", "--version", "6.1.4"]])
    assert "Plone 6.0.13 on Python 3.9.2 can be upgraded to Plone 6.1.4. A backup is made first" in done.message
    assert "a copy of 8100.0 MB is written beside its data, for which there is room" in done.message
    assert "Backup b1 is used" in looks(plone, version="6.1.4", within_days=1.0).message
    assert set(plone.world.engine.parts) == {"list"}  # beside a run that has the host, nothing of its is replaced


def test_another_python_takes_no_copy_and_the_same_one_is_nothing_to_do(plone):
    done = looks(plone, python="3.11")
    assert (done.code, "to Python 3.11." in done.message, plone.world.engine.worked) == ("plone_checked", True, [])
    assert "can be upgraded to Plone 6.1.4 on Python 3.13." in looks(plone, version="6.1.4", python="3.13").message
    assert looks(plone, python="3.9", version="6.0.13").code == "plone_unchanged"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("older", "plone_version_older"), ("endpoint", "plone_endpoint_old"), ("standby", "hand_over_interrupted"),
        ("unconfirmed", "plone_upgrade_unconfirmed"), ("run", "lock_held"), ("stopped", "plone_absent"),
        ("zeo", "plone_database_unsupported"), ("restore", "restore_interrupted"), ("space", "backup_space_short"),
    ],
)  # fmt: skip
def test_what_it_would_be_refused_for_is_told(plone, what, code):
    world, serves = plone.world, plone.world.engine.containers[PLONE]
    now, wanted = world.clock.now(), "6.0.2" if what == "older" else "6.1.4"
    match what:
        case "endpoint":
            world.host = replace(world.host, before_plone=replace(plone, knows=False))
        case "standby":
            world.engine._made(replace(serves, name=STANDBY))
        case "unconfirmed":
            unconfirmed(plone)
        case "run":
            world.store.take(Lock("bob@desk", "run-3", "upgrade", "begin", now, now, 900))
        case "stopped":
            world.engine.containers[PLONE] = replace(serves, state="exited")
        case "zeo":
            world.engine.containers[PLONE] = replace(serves, in_files=False)
        case "restore":
            world.store.save_plone_restore({"run": "run-3", "since": stamp(now), "writes": "refused"})
        case "space":
            answer = {"code": code, "exit": 2, "message": "The restored copy needs 8.5 GB, and 2.0 GB are free there."}
            world.engine.works = lambda _: Look(2, json.dumps(answer))
    with pytest.raises(RefusedError) as refused:
        go(plone, check, version=wanted, python="", within_days=0.0)
    assert refused.value.code == code
