"""Proven backups are copied into a repository and restored from it; what restic fails at is told in a sentence."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from eduhub_pilot.commands.plone import backup, backups, copies, copy, copy_backups, restore
from eduhub_pilot.model.copies import Told, chosen, copies_in, failure, incomplete, told, waiting
from eduhub_pilot.model.errors import EngineDownError, FailedError, RefusedError, SupersededError
from eduhub_pilot.model.facts import Container, Image, Look
from eduhub_pilot.model.program import Program
from eduhub_pilot.rollout.status import status

IMAGE, PLACE, DIRECTORY = "eduhub/copy:trixie", "/mnt/nas/eduhub", "/var/backups/eduhub/plone"
WHERE = {
    "to": PLACE, "image": IMAGE, "name": "eduhub@cms", "check_days": 7.0,
    "keep": {"daily": 14, "weekly": 8, "monthly": 0},
}  # fmt: skip
HERE = Told(**WHERE)
LOCKED = '{"message_type":"exit_error","code":11,"message":"Fatal: unable to create lock in backend: locked by eduhub"}'


def document(name: str, site: str = "a1", state: str = "proven") -> dict[str, Any]:
    time = f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}:{name[13:15]}Z"
    return {"id": name, "time": time, "state": state, "sites": [site], "seconds": {}, "proof_seconds": 1.0,
            "recovery_point": time, "parts": [f"{name}.fsz", f"{name}.index"]}  # fmt: skip


FIRST, SECOND, THIRD = (document(f"2026010{day}T030000Z") for day in (1, 2, 3))


@dataclass
class Restic:
    """A repository, and what restic answers about it. `fails` has the end of a command that does nothing."""

    fails: dict[str, Look] = field(default_factory=dict)
    ends: dict[str, Look] = field(default_factory=dict)  # of what was done all the same
    there: bool = False
    snapshots: list[list[str]] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    during: Callable[[list[str]], None] = lambda _: None

    @property
    def commands(self) -> list[str]:
        return [each.command[0] for each in self.programs]

    def runs(self, program: Program) -> Look:
        self.programs.append(program)
        words = list(program.command)
        self.during(words)
        if words[0] in self.fails:
            return self.fails[words[0]]
        if words[0] == "init":
            self.there = True
        elif not self.there:
            return Look(10, '{"message_type":"exit_error","code":10,"message":"Fatal: repository does not exist"}')
        if words[0] == "backup":
            self.snapshots.append(words[words.index("--tag") + 1].split(","))
            made = {"data_added_packed": 2500000, "snapshot_id": f"{len(self.snapshots) - 1:064x}"}
            return self.ends.get("backup", Look(0, json.dumps({"message_type": "summary", **made})))
        if words[0] == "tag":
            self.snapshots[int(words[-1], 16)] = words[words.index("--set") + 1].split(",")
        wanted = words[words.index("--tag") + 1] if "--tag" in words else ""
        if "--unsafe-allow-remove-all" in words:
            self.snapshots = [each for each in self.snapshots if wanted not in each]
        listed = [{"id": f"{at:064x}", "tags": each} for at, each in enumerate(self.snapshots) if wanted in each]
        outputs = {
            "cat": f'{{\n  "version": 2,\n  "id": "{"7" * 64}"\n}}', "snapshots": json.dumps(listed),
            "stats": '{"total_size":4096}', "tag": '{"message_type":"summary","changed_snapshots":1}',
            "dump": 'a warning\n{"database": [{"size": 7}],\n "size": 1000}\n',
        }  # fmt: skip
        return Look(0, outputs.get(words[0], ""))


@pytest.fixture
def site(live, monkeypatch):
    """A host with a Plone, three proven backups, and what a deployment brings and makes for copies."""
    live.engine.containers["eduhub-plone"] = Container("eduhub-plone", "running", "sha256:plone", health="healthy")
    live.engine.images[IMAGE] = Image("sha256:copy", None)
    live.here, live.restic = [FIRST, SECOND, THIRD], Restic()
    monkeypatch.setattr(copies, "has_files", lambda _: True)

    def works(command: tuple[str, ...]) -> Look:
        answers: dict[str, dict[str, Any]] = {
            "list": {"code": "backups_listed", "backups": [dict(each) for each in reversed(live.here)]},
            "make": {"code": "backup_proven", "backup": dict(live.here[-1]), "removed": []},
            "prove": {"code": "backup_proven", "backup": FIRST},
            "plan": {"code": "restore_planned", "backup": FIRST, "fresh": False, "now": "now"},
            "settle": {"code": "restore_stepped", "before": "before-restore"},
            "interrupted": {"code": "restore_stepped", "interrupted": None},
        }
        answer = answers.get(command[3], {"code": "copy_fetched"})
        return Look(0, json.dumps({"exit": 0, "message": "Said.", **answer}))

    live.engine.works, live.engine.runs, live.engine.health = works, live.restic.runs, lambda: "healthy"
    copy.run(live.host, options())
    live.restic.programs.clear()
    return live


def options(**more: Any) -> argparse.Namespace:
    given = {
        "run": "run-9", "owner": "ana@desk", "directory": DIRECTORY, "full": False, "within_days": 0.0, "keep": "14",
        "days": "30", "full_days": "7", "at": "", "to": "", "copy": json.dumps(WHERE), "from_copy": False,
        "check": False, "agreed": False, "start_seconds": 60.0,
    }  # fmt: skip
    return argparse.Namespace(**{**given, **more})


def ids(restic: Restic) -> list[str]:
    return [tags[1] for tags in restic.snapshots if tags[0] == "eduhub-plone"]


def test_the_first_backup_copies_every_proven_one_oldest_first(site):
    site.here = [FIRST, document("20260102T030000Z", state="damaged"), THIRD]
    held = []
    site.engine.runs = lambda program: held.append(site.store.lock()) or site.restic.runs(program)
    done = backup.run(site.host, options())
    assert (done.code, ids(site.restic), set(held)) == ("backup_proven", [FIRST["id"], THIRD["id"]], {None})
    assert f"It was copied to {PLACE}, with 1 before it, in 0.0 s (5.0 MB were new there)." in done.message
    saved = site.restic.programs[site.restic.commands.index("backup")]
    assert list(saved.command)[-3:] == [
        "/backup/files", f"/backup/database/{FIRST['id']}.fsz", f"/backup/database/{FIRST['id']}.index",
    ]  # fmt: skip
    assert [(each.source, each.target, each.read_only) for each in saved.mounts[2:]] == [
        (PLACE, "/repository", False), (f"{DIRECTORY}/{FIRST['id']}", "/backup/files", True),
        (f"{DIRECTORY}/database", "/backup/database", True),
    ]  # fmt: skip
    rest, forgot = (each.command for each in site.restic.programs if each.command[0] == "forget")
    assert rest[rest.index("--tag") + 1 :] == ["eduhub-plone-unfinished", "--unsafe-allow-remove-all"]
    assert [word for word in forgot if "keep" in word] == ["--keep-daily=14", "--keep-weekly=8"]
    assert forgot[forgot.index("--host") + 1] == "eduhub@cms"
    found = status(site.host)
    assert (found.data["status"]["copy"]["last"]["id"], found.data["status"]["notes"]) == (THIRD["id"], [])
    assert f"Newest copy of a backup: {THIRD['id']}, in {PLACE}." in found.message
    assert [each["backup"] for each in site.noted("copied", "run-9")] == [FIRST["id"], THIRD["id"]]


def test_what_is_asked_without_the_lock_has_containers_of_its_own(site):
    backup.run(site.host, options())
    assert (site.engine.parts[0], set(site.engine.parts[1:])) == ("work", {"copy-list"})
    site.engine.parts.clear()
    backups.run(site.host, options())
    assert site.engine.parts == ["list"]


def test_no_secret_is_in_what_the_engine_is_told(site):
    given = json.dumps({**WHERE, "to": "sftp:backup@nas:/srv"})
    site.restic.there = False
    copy.run(site.host, options(copy=given))
    backup.run(site.host, options(copy=given))
    for program in site.restic.programs:
        assert "--password-file" in program.command
        assert set(program.environment) == {"GOMEMLIMIT", "TZ"}
        assert "StrictHostKeyChecking=yes" in " ".join(program.command)
        assert "/repository" not in [each.target for each in program.mounts]


def test_a_later_backup_copies_what_is_newer_and_not_what_is_no_longer_kept_there(site):
    site.here = [FIRST, SECOND]
    backup.run(site.host, options())
    site.restic.snapshots.pop(0)  # by retention
    site.here.append(THIRD)
    backup.run(site.host, options(run="run-10"))
    assert ids(site.restic) == [SECOND["id"], THIRD["id"]]


def test_the_repository_is_checked_part_by_part_when_that_is_due(site):
    checked = []
    for days in (0, 1, 6, 7 * 11):
        site.clock.sleep(days * 86400)
        site.restic.programs.clear()
        backup.run(site.host, options(run=f"run-{days + 10}"))
        checked += [word for each in site.restic.programs for word in each.command if "subset" in word]
    assert checked == [f"--read-data-subset={part}/12" for part in (1, 2, 3)]
    site.clock.sleep(7 * 86400)
    for said, code in (("repository contains errors", "copy_damaged"), ("something else", "copy_failed")):
        site.restic.fails["check"] = Look(1, f'{{"message_type":"exit_error","code":1,"message":"Fatal: {said}"}}')
        with pytest.raises(FailedError) as failed:
            backup.run(site.host, options(run="run-99"))
        assert failed.value.code == code


ENDS = [
    (Look(12, ""), "copy_password_wrong"),
    (Look(11, LOCKED), "copy_locked"),
    (Look(1, "Fatal: write /repository/data/7f: no space left on device"), "copy_space_short"),
    (Look(1, "subprocess ssh: Host key verification failed."), "copy_unreachable"),
    (Look(1, "subprocess ssh: backup@nas: Permission denied (publickey)."), "copy_unreachable"),
    (Look(1, "Fatal: unable to open repository: dial tcp: connect: connection refused"), "copy_unreachable"),
    (Look(137, "retrying after 5s", "seconds"), "copy_unreachable"),
    (Look(137, "", "memory"), "copy_failed"),
    (Look(1, "Fatal: mkdir /repository/keys: permission denied"), "copy_failed"),
    (Look(3, "Warning: at least one source file could not be read"), "copy_failed"),
]


@pytest.mark.parametrize(("look", "code"), ENDS)
def test_a_failed_copy_leaves_the_backup_proven_and_is_told_until_one_succeeds(site, look, code):
    site.restic.fails["cat"] = look
    with pytest.raises(FailedError) as failed:
        backup.run(site.host, options())
    assert (failed.value.code, failed.value.data["backup"]["state"]) == (code, "proven")
    assert failed.value.message.startswith(f"Backup {THIRD['id']} is proven, and was not copied. ")
    found = status(site.host).data["status"]
    assert (found["backup"]["id"], [each["code"] for each in found["notes"]]) == (THIRD["id"], ["last_copy_failed"])
    assert [each["code"] for each in site.noted("failed", "run-9")] == [code]
    site.restic.fails.clear()
    backup.run(site.host, options(run="run-10"))
    assert (status(site.host).data["status"]["notes"], len(site.restic.snapshots)) == ([], 3)


def test_a_place_that_was_a_repository_and_is_empty_now_gets_no_new_one(site):
    backup.run(site.host, options())
    site.restic.there = False  # its mount is gone
    with pytest.raises(FailedError) as failed:
        backup.run(site.host, options(run="run-10"))
    assert (failed.value.code, failed.value.next[0]) == ("copy_repository_missing", ["findmnt", "--target", PLACE])
    assert not site.restic.there


def test_a_mount_point_that_is_gone_is_a_repository_that_does_not_answer(site):
    def refused(_: Program) -> Look:
        raise EngineDownError("The Docker Engine refused: bind source path does not exist: /mnt/nas/eduhub.")

    site.engine.runs = refused
    with pytest.raises(FailedError) as failed:
        backup.run(site.host, options())
    assert failed.value.code == "copy_unreachable"


def test_a_part_of_the_backup_that_cannot_be_read_is_not_the_repositorys_fault():
    output = (
        '{"message_type":"error","error":{"message":"open /backup/a: permission denied"},"item":"/backup/a"}\n'
        '{"message_type":"exit_error","code":3,"message":"Warning: at least one source file could not be read"}'
    )
    found = incomplete("B", output)
    assert (found.code, "/backup/a, a part of backup B, could not be read" in found.message) == (
        "copy_incomplete", True,
    )  # fmt: skip


def test_another_directory_that_is_gone_is_not_the_repositorys_fault():
    said = "bind source path does not exist: /var/lib/eduhub/copy"
    assert failure(Look(125, said), HERE, "/f").code == "copy_failed"


def test_the_host_copies_its_last_backup_in_a_run_of_its_own(site):
    with pytest.raises(RefusedError, match="no proven backup"):
        copy_backups.run(site.host, options())
    backup.run(site.host, options(copy=""))
    assert ids(site.restic) == []
    done = copy_backups.run(site.host, options(run="run-10"))
    assert (done.code, ids(site.restic)[-1]) == ("backups_copied", THIRD["id"])


def test_a_copy_that_does_not_end_is_told_after_a_day(site):
    notes: list[list[str]] = []

    def hangs(words: list[str]) -> None:
        if words[0] == "backup" and not notes:
            for hours in (0, 23, 1):
                site.clock.sleep(hours * 3600)
                notes.append([each["code"] for each in status(site.host).data["status"]["notes"]])

    site.restic.during = hangs
    backup.run(site.host, options())
    assert notes == [[], [], ["copy_unfinished"]]
    assert status(site.host).data["status"]["notes"] == []
    site.restic.fails["snapshots"] = Look(1, "connection refused")
    with pytest.raises(FailedError):
        backup.run(site.host, options(run="run-10"))
    site.clock.sleep(48 * 3600)
    assert [each["code"] for each in status(site.host).data["status"]["notes"]] == ["last_copy_failed"]


def test_copies_of_another_site_under_the_same_name_are_left_alone(site):
    own = f"host:{site.store.copier()}"
    for tags in (["site:b2", own], ["site:a1", "host:another"], ["site:a1"]):
        site.restic.snapshots = [["eduhub-plone", "20270101T000000Z", *tags]]
        with pytest.raises(FailedError) as failed:
            backup.run(site.host, options())
        assert (failed.value.code, ids(site.restic)) == ("copy_foreign", ["20270101T000000Z"])
        assert not {"backup", "forget"} & set(site.restic.commands)


def test_a_backup_of_no_site_is_not_added_to_the_copies_of_one(site):
    backup.run(site.host, options())
    site.here += [{**document("20260104T030000Z"), "sites": []}, document("20260105T030000Z")]
    with pytest.raises(FailedError) as failed:
        backup.run(site.host, options(run="run-10"))
    assert (failed.value.code, len(ids(site.restic))) == ("copy_foreign", 3)


def test_what_restic_could_not_copy_as_a_whole_is_no_copy_and_is_removed_by_the_next_one(site):
    site.restic.ends["backup"] = Look(3, "Warning: at least one source file could not be read")
    with pytest.raises(FailedError):
        backup.run(site.host, options())
    assert (ids(site.restic), len(site.restic.snapshots)) == ([], 3)
    site.restic.ends.clear()
    backup.run(site.host, options(run="run-10"))
    assert (ids(site.restic), len(site.restic.snapshots)) == ([FIRST["id"], SECOND["id"], THIRD["id"]], 3)


def test_a_backup_that_cannot_be_read_is_told_and_keeps_no_newer_one_from_being_copied(site):
    partly = Look(3, "Warning: at least one source file could not be read")

    def unread(words: list[str]) -> None:
        site.restic.ends.clear()
        if words[0] == "backup" and FIRST["id"] in words[-1]:
            site.restic.ends["backup"] = partly

    site.restic.during = unread
    with pytest.raises(FailedError, match="was copied, but not all was done") as failed:
        backup.run(site.host, options())
    assert (failed.value.code, FIRST["id"] in failed.value.message) == ("copy_incomplete", True)
    assert ids(site.restic) == [SECOND["id"], THIRD["id"]]
    backup.run(site.host, options(run="run-10"))
    assert status(site.host).data["status"]["notes"] == []


def test_what_a_check_found_is_not_told_as_a_copy_that_failed(site):
    site.restic.fails["check"] = Look(1, "Fatal: repository contains errors")
    with pytest.raises(FailedError, match=r"is proven, and was copied, but not all was done\.") as failed:
        backup.run(site.host, options())
    assert (failed.value.code, len(ids(site.restic))) == ("copy_damaged", 3)


def test_a_deployment_that_names_another_repository_during_a_check_stays_as_it_was_written(site):
    def elsewhere(words: list[str]) -> None:
        if words[0] == "check":
            site.store.save_copy({"to": "/mnt/other", "repository": "8"})

    site.restic.during = elsewhere
    backup.run(site.host, options())
    assert {name: value for name, value in site.store.copy().items() if name != "schema"} == {
        "to": "/mnt/other", "repository": "8",
    }  # fmt: skip


def test_a_failure_is_not_told_of_a_repository_that_was_named_meanwhile(site):
    def elsewhere(words: list[str]) -> None:
        if words[0] == "check":
            site.store.save_copy({"to": "/mnt/other", "repository": "8"})

    site.restic.during = elsewhere
    site.restic.fails["check"] = Look(1, "Fatal: repository contains errors")
    with pytest.raises(FailedError):
        backup.run(site.host, options())
    assert "failed" not in site.store.copy()


def test_an_identity_that_cannot_be_read_is_not_made_again(site):
    (site.store.root / "plone-copier.json").write_text('{"id": "')
    with pytest.raises(FailedError, match=r"plone-copier\.json in the state directory.* cannot be read"):
        backup.run(site.host, options())
    assert ids(site.restic) == []


def test_a_backup_that_is_removed_while_it_is_copied_is_no_copy(site):
    def removed(words: list[str]) -> None:
        if words[0] == "backup" and FIRST in site.here:
            site.here = [SECOND, THIRD]
            site.restic.ends["backup"] = Look(3, "Warning: at least one source file could not be read")
        else:
            site.restic.ends.clear()

    site.restic.during = removed
    backup.run(site.host, options())
    assert ids(site.restic) == [SECOND["id"], THIRD["id"]]


def test_a_backup_with_files_that_are_not_there_is_not_copied(site):
    site.restic.ends["backup"] = Look(0, "/backup/database/1.fsz does not exist, skipping\n")
    with pytest.raises(FailedError, match=r"/backup/database/1\.fsz, a part of backup \w+, is not there"):
        backup.run(site.host, options())
    assert ids(site.restic) == []


def test_a_copy_that_is_gone_before_it_counts_is_a_failure(site):
    site.restic.fails["tag"] = Look(0, '{"message_type":"summary","changed_snapshots":0}')
    with pytest.raises(FailedError, match="is gone from"):
        backup.run(site.host, options())


@pytest.mark.parametrize("local", [True, False])
def test_a_copy_from_when_the_clock_was_ahead_keeps_none_from_being_made(site, local):
    ahead = document("20990101T000000Z")
    site.here = [ahead]
    backup.run(site.host, options())
    site.here = [*([ahead] if local else []), FIRST]
    backup.run(site.host, options(run="run-10"))
    assert ids(site.restic) == [ahead["id"], FIRST["id"]]


def test_a_backup_without_a_copy_afterwards_is_a_failure(site):
    site.here[-1] = {**THIRD, "state": "damaged"}
    with pytest.raises(FailedError, match=f"has no copy of backup {THIRD['id']}"):
        backup.run(site.host, options())


def test_what_is_proven_while_copies_are_tidied_up_is_copied_too_and_none_twice(site):
    later = document("20260103T040000Z")

    def meanwhile(words: list[str]) -> None:
        if words[0] == "forget" and later not in site.here:
            site.here.append(later)
        elif words[0] == "forget":  # of a day the last copy stays
            site.restic.snapshots = [each for each in site.restic.snapshots if THIRD["id"] not in each]

    site.restic.during = meanwhile
    backup.run(site.host, options())
    assert ids(site.restic) == [FIRST["id"], SECOND["id"], later["id"]]
    assert site.restic.commands.count("backup") == 4


@pytest.mark.parametrize("command", ["forget", "check"])
def test_a_repository_that_others_have_locked_is_tidied_up_after_a_later_backup(site, command):
    site.restic.fails[command] = Look(11, LOCKED)
    done = backup.run(site.host, options())
    assert (done.code, "Another run has it locked" in done.message) == ("backup_proven", True)
    assert status(site.host).data["status"]["notes"] == []
    site.restic.fails.clear()
    site.restic.programs.clear()
    site.here.append(document("20260104T030000Z"))
    backup.run(site.host, options(run="run-10"))
    assert command in site.restic.commands


def test_plones_image_without_what_copies_need_is_told(site):
    site.here = [{name: value for name, value in FIRST.items() if name not in {"sites", "parts"}}]
    with pytest.raises(FailedError, match="older than copies"):
        backup.run(site.host, options())


def test_a_host_that_replaces_another_adds_to_its_copies_once_it_has_restored_them(site):
    old = ["eduhub-plone", FIRST["id"], "host:another", "site:a1"]
    site.restic.snapshots, site.here = [old], [SECOND]
    with pytest.raises(FailedError, match="another host made"):
        backup.run(site.host, options())
    restore.run(site.host, options(run="run-10", from_copy=True))  # to scratch
    with pytest.raises(FailedError, match="another host made"):
        backup.run(site.host, options(run="run-11"))
    restore.run(site.host, options(run="run-12", from_copy=True, to="live", agreed=True))
    backup.run(site.host, options(run="run-13"))
    assert ids(site.restic) == [FIRST["id"], SECOND["id"]]
    site.restic.snapshots.append(["eduhub-plone", THIRD["id"], "host:third", "site:a1"])
    with pytest.raises(FailedError, match="another host made"):
        backup.run(site.host, options(run="run-14"))


def test_locks_have_the_name_of_one_host_alone(site):
    backup.run(site.host, options())
    (name,) = {each.hostname for each in site.restic.programs}
    assert site.store.copier() in name
    (site.store.root / "plone-copier.json").unlink()  # another host
    assert site.store.copier() not in name


def test_a_second_run_leaves_the_repository_to_the_one_that_copies(site):
    with copies.alone(site.host) as free:
        done = backup.run(site.host, options())
        with pytest.raises(RefusedError) as refused:
            restore.run(site.host, options(from_copy=True))
    assert (free, "still runs: it takes this backup too" in done.message, refused.value.code) == (
        True, True, "copy_running",
    )  # fmt: skip
    assert site.restic.programs == []


def test_a_deployment_makes_sure_of_the_repository_and_goes_on_where_a_known_one_is_away(site):
    (site.store.root / "plone-copy.json").unlink()
    site.restic.there = False
    first, again = (copy.run(site.host, options()) for _ in range(2))
    assert [(each.code, each.changed) for each in (first, again)] == [("copy_ready", True), ("copy_ready", False)]
    assert site.restic.commands == ["cat", "init", "cat", "cat"]
    for look, _ in ENDS[1:]:
        site.restic.fails["cat"] = look
        assert copy.run(site.host, options()).code == "copy_later"
    with pytest.raises(FailedError, match="restic ended with 3"):
        copy.run(site.host, options(copy=json.dumps({**WHERE, "to": "/mnt/other"})))
    site.restic.fails["cat"] = Look(12, "")
    with pytest.raises(FailedError, match="does not open"):
        copy.run(site.host, options())
    site.restic.fails.clear()
    site.restic.there = False  # its mount is gone
    assert (copy.run(site.host, options()).code, site.restic.there) == ("copy_later", False)


def test_a_backup_makes_no_repository(site):
    site.restic.there = False
    for place in (PLACE, "/mnt/other"):
        with pytest.raises(FailedError) as failed:
            backup.run(site.host, options(copy=json.dumps({**WHERE, "to": place})))
        assert (failed.value.code, site.restic.there) == ("copy_repository_missing", False)


def test_the_list_says_which_backups_have_a_copy_and_what_is_only_there(site):
    backup.run(site.host, options())
    site.here.pop(0)
    done = backups.run(site.host, options())
    assert [each["copied"] for each in done.data["backups"]] == [True, True]
    assert f"  {SECOND['id']}  also on this host\n" in done.message
    assert done.message.endswith(f"  {FIRST['id']}  only there")
    site.restic.fails["cat"] = Look(1, "connection refused")
    done = backups.run(site.host, options())
    assert ([each["copied"] for each in done.data["backups"]], done.code) == ([None, None], "backups_listed")


def test_a_copy_is_fetched_proven_and_restored_in_place_of_another_site_once_that_is_agreed_to(site):
    backup.run(site.host, options())
    wanted = {"from_copy": True, "to": "live", "at": "2026-01-02"}
    site.restic.programs.clear()
    with pytest.raises(RefusedError, match="whatever site that is") as refused:
        restore.run(site.host, options(**wanted))
    assert (refused.value.code, site.restic.programs) == ("backup_not_fresh", [])
    site.engine.worked.clear()
    done = restore.run(site.host, options(**wanted, agreed=True))
    assert (done.code, f"adds to the copies in {PLACE}" in done.message) == ("restored", True)
    assert [command[3:] for command, _, _ in site.engine.worked[:2]] == [("interrupted",), ("room", "--bytes=5096")]
    fetched = [program for program in site.restic.programs if program.command[0] == "restore"][-2:]
    assert [program.command[-4:-2] for program in fetched] == [
        ["--target", f"/restored/{SECOND['id']}"], ["--target", "/restored/database"],
    ]  # fmt: skip
    below = f"{DIRECTORY}/.copy"
    steps = [(command[3], next(iter(folders))) for command, folders, _ in site.engine.worked]
    assert steps == [
        ("interrupted", DIRECTORY), ("room", DIRECTORY),
        *((step, below) for step in ("prove", "interrupted", "plan", "stage", "swap", "settle")),
        ("clear", DIRECTORY),
    ]  # fmt: skip
    assert site.store.lock() is None


@pytest.mark.parametrize("asked", ["cat", "unlock", "snapshots", "stats", "dump", "restore"])
def test_whoever_takes_the_lock_over_ends_a_restore_from_a_copy_at_once(site, asked):
    backup.run(site.host, options())
    site.restic.programs.clear()

    def taken(words: list[str]) -> None:
        if words[0] == asked:
            site.store.renew(replace(site.store.lock(), run="run-3"))

    site.restic.during = taken
    with pytest.raises(SupersededError):
        restore.run(site.host, options(from_copy=True, run="run-10"))
    assert site.restic.commands[-1] == asked
    # What the other run has at work by then is left alone.
    assert site.engine.parts[-1] == ("copy-clear" if asked == "restore" else "copy-list")


def test_without_a_repository_or_a_copy_none_is_restored(site):
    for given in (options(from_copy=True, copy=""), options(from_copy=True)):
        site.restic.there = True
        with pytest.raises(RefusedError) as refused:
            restore.run(site.host, given)
        assert refused.value.code == "copy_unknown"


COPIES = copies_in(json.dumps([{"id": f"s{at}", "tags": ["x", each["id"]]} for at, each in enumerate((SECOND, FIRST))]))


@pytest.mark.parametrize(
    ("at", "found"),
    [("", SECOND), ("2026-01-02", SECOND), ("2026-01-01", FIRST), (SECOND["id"], SECOND),
     ("2026-01-02T04:00:00+02:00", FIRST), ("2026-01-02T05:00:00+02:00", SECOND)],
)  # fmt: skip
def test_a_time_names_the_newest_copy_until_then_in_any_time_zone(at, found):
    assert chosen(COPIES, at, HERE).id == found["id"]


@pytest.mark.parametrize("at", ["2025-12-31", "yesterday"])
def test_a_time_without_a_copy_is_refused(at):
    with pytest.raises(RefusedError) as refused:
        chosen(COPIES, at, HERE)
    assert refused.value.code == "copy_unknown"


def test_only_proven_backups_wait_for_a_copy():
    there = {FIRST["id"], SECOND["id"]}
    assert waiting([THIRD, document("20260104T030000Z", state="made")], there, THIRD["id"]) == [THIRD]
    assert told("") is None


def test_what_ssh_says_stands_before_restics_own_error():
    output = (
        "subprocess ssh: connect to host nas port 22: No route to host\n"
        '{"message_type":"exit_error","code":1,"message":"Fatal: unable to start the sftp session"}'
    )
    assert "No route to host | unable to start the sftp session" in failure(Look(1, output), HERE, "/f").message


def test_the_password_is_looked_for_on_the_host(live):
    live.engine.images[IMAGE] = Image("sha256:copy", None)
    with pytest.raises(FailedError, match="are not on this host"):
        copies.Repository(live.host, HERE).copies()
    folder = Path(live.host.settings.config) / "copy"
    folder.mkdir(parents=True)
    (folder / "password").touch()
    assert copies.has_files(live.host)
