"""The pilot runs Plone's own backup program under the lock of rollouts, and hands on what it answers."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from eduhub_pilot.commands.plone import backup, backups, pack, restore
from eduhub_pilot.model.errors import EngineDownError, FailedError, PilotError, RefusedError, SupersededError
from eduhub_pilot.model.facts import Container, Look
from eduhub_pilot.model.state import Lock, stamp
from eduhub_pilot.rollout.plone import VERSION
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.fakes import Killed

BACKUP = {
    "id": "20260101T000000Z", "time": "2026-01-01T00:00:00Z", "state": "proven", "proof_seconds": 2.0,
    "recovery_point": "2025-12-31T23:00:00Z", "seconds": {"database": 1.0},
}  # fmt: skip


def answered(**fields: Any) -> Look:
    """Return what the program prints, after a line of somebody else's."""
    return Look(fields["exit"], "a warning\n" + json.dumps({"message": "It said so.", **fields}) + "\n")


PROVEN = answered(code="backup_proven", exit=0, backup=BACKUP, removed=[], backups=[BACKUP])


@pytest.fixture
def site(live):
    """A host with a release that is live, and a Plone."""
    live.engine.containers["eduhub-plone"] = Container("eduhub-plone", "running", "sha256:plone")
    live.engine.works = lambda _: PROVEN
    return live


def options(run: str = "run-9", **more: Any) -> argparse.Namespace:
    given = {"full": False, "within_days": 0.0, "keep": "14", "days": "30", "full_days": "7", "at": "", "to": "",
             "check": False, "copy": "", "from_copy": False}  # fmt: skip
    return argparse.Namespace(run=run, owner="ana@desk", directory="/var/backups/eduhub/plone", **given | more)


def test_a_backup_is_made_with_the_lock_and_noted(site):
    held = []
    site.engine.works = lambda _: held.append(site.store.lock()) or PROVEN
    done = backup.run(site.host, options(full=True))
    assert (done.code, done.changed, done.data["backup"]) == ("backup_proven", True, BACKUP)
    assert (held[0].run, held[0].verb, site.store.lock()) == ("run-9", "plone.backup", None)
    ((command, folders, writes),) = site.engine.worked
    assert (command[:3], command[-1], folders, writes) == (
        ("python3", "-m", "eduhub_plone.backup"), "--full", {"/var/backups/eduhub/plone": "/backups"}, False,
    )  # fmt: skip
    assert [each["backup"] for each in site.noted("proven", "run-9")] == [BACKUP["id"]]
    found = status(site.host)
    assert found.data["status"]["backup"]["id"] == BACKUP["id"]
    assert "Last proven backup of Plone: 20260101T000000Z, as of 2025-12-31T23:00:00Z." in found.message


@pytest.mark.parametrize(
    ("code", "number", "kind"),
    [("backup_damaged", 1, FailedError), ("backup_failed", 1, FailedError), ("backup_space_short", 2, RefusedError)],
)
def test_what_the_program_refuses_or_fails_at_is_handed_on_and_the_lock_is_free(site, code, number, kind):
    site.engine.works = lambda _: answered(code=code, exit=number, backup={"id": "x"})
    with pytest.raises(kind) as raised:
        backup.run(site.host, options())
    assert (raised.value.code, raised.value.message) == (code, "It said so.")
    assert raised.value.data == {"backup": {"id": "x"}}
    assert raised.value.next
    assert (site.store.lock(), site.store.backup()) == (None, None)
    assert [each["code"] for each in site.noted("failed", "run-9")] == [code]
    (note,) = status(site.host).data["status"]["notes"]
    assert (note["code"], "run-9) failed: It said so." in note["message"]) == ("last_backup_failed", True)
    site.engine.works = lambda _: PROVEN
    backup.run(site.host, options("run-10"))
    assert status(site.host).data["status"]["notes"] == []


def test_a_backup_that_failed_after_a_proven_one_leaves_that_the_last(site):
    backup.run(site.host, options())
    site.engine.works = lambda _: answered(code="backup_failed", exit=1)
    with pytest.raises(FailedError):
        backup.run(site.host, options("run-10"))
    found = status(site.host).data["status"]
    assert (found["backup"]["id"], [note["code"] for note in found["notes"]]) == (BACKUP["id"], ["last_backup_failed"])


def test_where_nothing_is_mounted_no_backup_is_made_beside_those_that_are(site):
    """Nor a first one below the mount point, by the timer: with --full, in another directory, or once it is there."""
    backup.run(site.host, options())
    here, steps = [], []

    def works(command: tuple[str, ...]) -> Look:
        steps.append(command[3])
        return answered(code="backups_listed", exit=0, backups=here) if command[3] == "list" else PROVEN

    site.engine.works = works
    with pytest.raises(RefusedError) as refused:
        backup.run(site.host, options("run-10"))
    assert (refused.value.code, steps) == ("backup_directory_empty", ["list"])
    assert ["findmnt", "--target", "/var/backups/eduhub/plone"] in refused.value.next
    (note,) = status(site.host).data["status"]["notes"]
    assert "run-10) failed: /var/backups/eduhub/plone has no backup" in note["message"]
    assert site.store.backup()["id"] == BACKUP["id"]
    listed = backups.run(site.host, options()).message
    assert "The last proven one, 20260101T000000Z, was made in /var/backups/eduhub/plone" in listed
    steps.pop()
    here.append(BACKUP)
    assert "The last proven one" not in backups.run(site.host, options()).message
    steps.pop()
    assert backup.run(site.host, options("run-11")).code == "backup_proven"
    here.clear()
    assert backup.run(site.host, options("run-12", full=True)).code == "backup_proven"
    elsewhere = options("run-13")
    elsewhere.directory = "/mnt/backups"
    assert backup.run(site.host, elsewhere).code == "backup_proven"
    assert steps == ["list", "list", "make", "make", "make"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('invalid mount config for type "bind": bind source path does not exist: /mnt/x', "backup_directory_empty"),
        ("Docker does not answer.", "engine_down"),
    ],
)
def test_a_directory_that_is_gone_with_its_mount_is_one_without_backups(site, said, code):
    backup.run(site.host, options())

    def works(_: object) -> Look:
        raise EngineDownError(said)

    site.engine.works = works
    with pytest.raises(PilotError) as refused:
        backup.run(site.host, options("run-10"))
    assert refused.value.code == code


def test_a_backup_that_was_killed_is_told_until_one_is_proven(site):
    """As by a reboot: its timer does not make up for it. While it runs, or its lock has not expired, it is at work."""
    backup.run(site.host, options())
    at_work = []

    def killed(command: tuple[str, ...]) -> Look:
        if command[3] == "list":
            return PROVEN
        at_work.append(status(site.host).data["status"]["notes"])
        raise Killed("host")

    site.engine.works = killed
    with pytest.raises(Killed):
        backup.run(site.host, options("run-10"))
    assert at_work == [[]]
    site.store.take(Lock("ana@desk", "run-10", "plone.backup", "begin", site.clock.now(), site.clock.now(), 60))
    assert status(site.host).data["status"]["notes"] == []
    site.clock.sleep(61)
    found = status(site.host).data["status"]
    (note,) = found["notes"]
    assert (found["backup"], note["code"]) == ({"schema": 1, **site.store.backup()}, "last_backup_failed")
    assert note["message"].startswith("The backup of Plone that run run-10 began at 2026-01-01T00:0")
    assert "begun" not in found["backup"]
    site.engine.works = lambda _: answered(code="backup_failed", exit=1)
    with pytest.raises(FailedError):
        backup.run(site.host, options("run-11"))
    (note,) = status(site.host).data["status"]["notes"]
    assert "run-11) failed: It said so." in note["message"]
    site.engine.works = lambda _: PROVEN
    backup.run(site.host, options("run-12"))
    assert status(site.host).data["status"]["notes"] == []


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (Look(1, "No module named eduhub_plone.backup"), "it said: No module named eduhub_plone.backup"),
        (Look(137, "", "memory"), "plone_memory"),
        (Look(0, ""), "it said nothing"),
        (Look(0, '{"code": "of another version", "exit": 0}'), "without an answer"),
    ],
)
def test_a_program_that_does_not_answer_is_a_failure_that_tells_what_it_said(site, look, why):
    site.engine.works = lambda _: look
    with pytest.raises(FailedError) as raised:
        backup.run(site.host, options())
    assert (raised.value.code, why in raised.value.message) == ("backup_failed", True)


def test_there_is_nothing_to_back_up_without_a_plone_of_ours(live):
    for verb in (backup, backups, restore):
        with pytest.raises(RefusedError) as refused:
            verb.run(live.host, options())
        assert refused.value.code == "plone_absent"


def test_it_is_refused_while_a_rollout_holds_the_lock_or_is_not_over(site):
    site.begin("run-2", "upgrade", python="3.11")
    for verb in (backup, restore):
        with pytest.raises(RefusedError, match="ana@desk holds the lock") as refused:
            verb.run(site.host, options())
        assert refused.value.code == "lock_held"
    site.clock.sleep(site.settings.lock_seconds + 1)
    with pytest.raises(RefusedError, match="The rollout of run run-2 is not over"):
        backup.run(site.host, options())
    assert site.engine.worked == []


def test_a_rollout_and_a_second_backup_are_refused_meanwhile(site):
    refused: list[str] = []

    def during(_: object) -> Look:
        for start in (
            lambda: site.begin("run-3", "upgrade", owner="bob@desk", python="3.11"),
            lambda: backup.run(site.host, options("run-10")),
        ):
            with pytest.raises(PilotError) as raised:
                start()
            refused.append(raised.value.code)
        return PROVEN

    site.engine.works = during
    backup.run(site.host, options())
    assert refused == ["lock_held", "lock_held"]


def test_a_lock_that_was_taken_over_ends_the_backup_and_stays_with_the_other_run(site):
    def taken_over(_: object) -> Look:
        site.store.renew(replace(site.store.lock(), run="run-3"))
        return PROVEN

    site.engine.works = taken_over
    with pytest.raises(SupersededError):
        backup.run(site.host, options())
    assert (site.store.lock().run, site.store.backup()) == ("run-3", None)


def test_a_lock_that_expired_is_taken(site):
    site.store.take(Lock("bob@desk", "run-1", "plone.backup", "begin", site.clock.now(), site.clock.now(), 60))
    site.clock.sleep(61)
    assert backup.run(site.host, options()).code == "backup_proven"
    assert site.store.lock() is None


def test_backups_are_listed_without_the_lock(site):
    site.begin("run-2", "upgrade", python="3.11")
    site.engine.works = lambda _: answered(code="backups_listed", exit=0, backups=[BACKUP])
    done = backups.run(site.host, options())
    assert (done.code, done.changed, done.data) == ("backups_listed", False, {"backups": [BACKUP]})


def test_a_restore_to_scratch_names_the_time_and_only_reads_the_site(site):
    assert restore.run(site.host, options(at="2026-01-01")).code == "backup_proven"
    assert [(command[3:], writes) for command, _, writes in site.engine.worked] == [
        (("prove", "--at=2026-01-01"), False)
    ]


@pytest.mark.parametrize(("days", "made"), [(0.0, True), (1.0, False), (0.1, True)])
def test_a_backup_that_is_new_enough_is_made_no_second_time(site, days, made):
    backup.run(site.host, options())
    site.clock.sleep(12 * 3600)
    done = backup.run(site.host, options("run-10", within_days=days))
    assert (done.code, len(site.engine.worked)) == (("backup_proven", 3) if made else ("backup_recent", 1))


def test_a_backup_whose_time_is_yet_to_come_is_not_new_enough(site):
    """It was made while the clock was ahead: how old it is, is not known."""
    site.store.save_backup({**BACKUP, "time": stamp(site.clock.now() + timedelta(days=400))})
    assert backup.run(site.host, options(within_days=7.0)).code == "backup_proven"


UPGRADE = {"run": "run-8", "from": "6.0.13", "to": "6.1.4", "since": "2026-01-01T00:00:00Z"}


def serve(site: Any, version: str) -> None:
    """Let Plone of this version run."""
    site.engine.containers["eduhub-plone"] = Container("eduhub-plone", "running", "sha256:plone", {VERSION: version})


def test_no_backup_is_made_of_a_version_that_may_still_be_rolled_back(site):
    """It would be the last proven one once the version of before, which cannot be restored from it, serves again."""
    serve(site, "6.0.13")
    backup.run(site.host, options())
    serve(site, "6.1.4")
    site.store.save_plone_upgrade(UPGRADE)
    with pytest.raises(RefusedError) as refused:
        backup.run(site.host, options("run-10", within_days=7.0))
    assert (refused.value.code, site.store.lock()) == ("plone_upgrade_unconfirmed", None)
    assert (len(site.engine.worked), site.store.backup()["plone"]) == (1, "6.0.13")
    assert status(site.host).data["status"]["backup"]["id"] == BACKUP["id"]


@pytest.mark.parametrize(
    ("was", "code"), [("6.0.13", "backup_recent"), ("6.1.4", "backup_proven"), (None, "backup_recent")]
)
def test_a_backup_of_another_version_is_not_new_enough(site, was, code):
    """One that was noted before versions were is taken as it was."""
    serve(site, "6.0.13")
    site.store.save_backup({**BACKUP, "time": stamp(site.clock.now()), **({"plone": was} if was else {})})
    assert backup.run(site.host, options(within_days=7.0)).code == code


def test_a_pack_holds_the_lock_and_only_asks_the_process_that_has_the_database(site):
    held = []
    packed = answered(code="plone_packed", exit=0, before=92_000_000, after=21_000_000, seconds=4.2)
    site.engine.works = lambda _: held.append(site.store.lock()) or packed
    done = pack.run(site.host, options(keep_days=0))
    sizes = {"before": 92_000_000, "after": 21_000_000, "seconds": 4.2}
    assert (done.code, done.changed, done.data) == ("plone_packed", True, sizes)
    assert (held[0].verb, site.store.lock()) == ("plone.pack", None)
    ((command, _, writes),) = site.engine.worked
    assert (command[3:], writes) == (("pack", "--days", "0"), False)
    ((noted),) = site.noted("packed", "run-9")
    assert {name: noted[name] for name in sizes} == sizes


@pytest.mark.parametrize(
    ("code", "number", "kind"), [("pack_unsupported", 2, RefusedError), ("pack_failed", 1, FailedError)]
)
def test_what_a_pack_is_refused_or_fails_for_is_handed_on(site, code, number, kind):
    site.engine.works = lambda _: answered(code=code, exit=number)
    with pytest.raises(kind) as raised:
        pack.run(site.host, options(keep_days=7))
    assert (raised.value.code, site.store.lock()) == (code, None)


@pytest.mark.parametrize("begins", [True, False])
def test_a_backup_that_begins_or_ends_while_the_status_is_read_was_not_killed(site, monkeypatch, begins):
    """Whatever the status has read by then; once it is over, or at work, the note is gone or its run has the lock."""
    lock = Lock("ana@desk", "run-10", "plone.backup", "begin", site.clock.now(), site.clock.now(), 60)

    def begin() -> None:
        site.store.take(lock)
        site.store.save_backup_begun({"time": stamp(site.clock.now()), "run": "run-10"})

    def end() -> None:
        site.store.save_backup(BACKUP)
        site.store.free()

    before, after = (end, begin) if begins else (begin, end)
    begin()
    if begins:
        end()
    reads, left = 0, [0]
    for name in ("lock", "backup_begun"):
        real = getattr(type(site.store), name)

        def read(store: Any, real: Any = real) -> Any:
            left[0] -= 1
            if left[0] == 0:
                left[0] = -99  # what happens reads too
                after()
            return real(store)

        monkeypatch.setattr(type(site.store), name, read)
    while True:
        reads += 1
        left[0] = reads
        found = status(site.host).data["status"]["notes"]
        assert found == [], reads
        if left[0] > 0:
            break
        before()
    assert reads > 2
