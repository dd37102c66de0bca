"""Which backup is meant, which are kept, and that a file that was changed is noticed."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eduhub_plone.backup.errors import DamagedError, RefusedError
from eduhub_plone.backup.files import blobs_in, linked, need_space, shown
from eduhub_plone.backup.repository import (
    ID_FORMAT,
    backups,
    chosen,
    clean,
    of_version,
    paused,
    refuse_later,
    remove,
    superfluous,
    write_manifest,
)

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NOON = "20261129T120000Z"


def made(
    directory: Path, *days: float, proven: bool | None = True, parts: tuple[str, ...] = (), **more: str
) -> list[str]:
    """Make backups that are so many days old, each with a full copy of the database of its own, and `parts`."""
    (directory / "database").mkdir(exist_ok=True)
    ids = []
    for age in days:
        when = NOW - timedelta(days=age)
        names = (f"{when:%Y-%m-%d-%H-%M-%S}.fsz", *parts)
        folder = directory / when.strftime(ID_FORMAT)
        folder.mkdir()
        database = [{"name": name} for name in names]
        write_manifest(folder / "manifest.json", {"id": folder.name, "database": database, **more})
        for name in names:
            (directory / "database" / name).touch()
            (directory / "database" / name).with_suffix(".index").touch()
        if proven is not None:
            (folder / "proof.json").write_text(json.dumps({"proven": proven, "why": "x"}))
        ids.append(folder.name)
    return ids


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("", NOON),
        (NOON, NOON),
        ("2026-11-29T12:00:00Z", NOON),
        ("2026-11-29T13:00:00+01:00", NOON),
        ("2026-11-29T11:59:59", "20261128T120000Z"),
        ("2026-11-28", "20261128T120000Z"),
        ("2027-01-01", NOON),
    ],
)
def test_the_newest_backup_that_was_made_then_or_before_is_meant(tmp_path: Path, at: str, expected: str) -> None:
    made(tmp_path, 0, 1, 2)
    assert chosen(backups(tmp_path), at).id == expected


@pytest.mark.parametrize(
    ("at", "why"), [("yesterday", "neither the id of a backup nor a time"), ("2026-11-01", "the oldest is 20261127T")]
)
def test_a_time_without_a_backup_is_refused(tmp_path: Path, at: str, why: str) -> None:
    made(tmp_path, 0, 2)
    with pytest.raises(RefusedError, match=why):
        chosen(backups(tmp_path), at)
    with pytest.raises(RefusedError, match="There is no backup"):
        chosen([], "")


@pytest.mark.parametrize(
    ("version", "other", "expected"),
    [
        ("6.0.13", False, 0),
        ("6.1.4", False, 1),
        ("6.1.4", True, 0),
        ("6.0.13", True, 1),
        (None, False, 1),
        ("6.2.0", False, 1),
    ],
)
def test_a_backup_of_the_version_in_question_is_meant_where_there_is_one(
    tmp_path: Path, version: str | None, other: bool, expected: int
) -> None:
    ids = [*made(tmp_path, 2, plone="6.0.13"), *made(tmp_path, 1, plone="6.1.4")]
    assert chosen(of_version(backups(tmp_path), version, other=other), "").id == ids[expected]


def test_a_backup_of_an_unknown_version_is_one_of_each(tmp_path: Path) -> None:
    made(tmp_path, 3, plone="6.0.13")
    made(tmp_path, 2)
    (newest,) = made(tmp_path, 1, plone="6.1.4")
    (tmp_path / newest / "manifest.json").write_text("{")
    assert [len(of_version(backups(tmp_path), "6.0.13", other=other)) for other in (False, True)] == [3, 2]


def test_a_manifest_that_was_changed_is_none(tmp_path: Path) -> None:
    (name,) = made(tmp_path, 0)
    path = tmp_path / name / "manifest.json"
    path.write_text(path.read_text().replace("20261129", "20261130"))
    (found,) = backups(tmp_path)
    assert (found.state, found.document()["state"]) == ("damaged", "damaged")
    with pytest.raises(DamagedError):
        found.whole()


def test_a_backup_names_the_files_of_the_database_that_it_restores_from(tmp_path: Path) -> None:
    made(tmp_path, 1)
    made(tmp_path, 0, parts=("2026-11-29-13-00-00.deltafsz",))
    (tmp_path / "database/2026-11-29-13-00-00.index").unlink()
    assert [each.document()["parts"] for each in backups(tmp_path)] == [
        ["2026-11-28-12-00-00.fsz", "2026-11-28-12-00-00.index"],
        ["2026-11-29-12-00-00.fsz", "2026-11-29-13-00-00.deltafsz", "2026-11-29-12-00-00.index"],
    ]
    (tmp_path / NOON / "manifest.json").write_text("{")
    assert backups(tmp_path)[-1].document()["parts"] == []


def test_a_backup_is_made_then_proven_or_damaged(tmp_path: Path) -> None:
    made(tmp_path, 2, proven=None)
    made(tmp_path, 1, proven=False)
    made(tmp_path, 0)
    assert [each.state for each in backups(tmp_path)] == ["made", "damaged", "proven"]


def test_old_backups_go_but_for_the_newest_that_are_proven(tmp_path: Path) -> None:
    kept = [*made(tmp_path, 90, 80), *made(tmp_path, 10, proven=False), *made(tmp_path, 0, proven=None)]
    gone = [*made(tmp_path, 100), *made(tmp_path, 70, proven=False), *made(tmp_path, 60, proven=None)]
    found = superfluous(backups(tmp_path), keep=2, days=30, now=NOW)
    assert sorted(each.id for each in found) == sorted(gone)
    remove(tmp_path, found)
    assert sorted(each.id for each in backups(tmp_path)) == sorted(kept)
    assert not list(tmp_path.glob(".unfinished*"))


@pytest.mark.parametrize("ahead", [11, 35, 400, 9000])
@pytest.mark.parametrize("keep", [1, 14])
def test_a_clock_that_is_ahead_for_one_backup_makes_none_of_the_others_old(
    tmp_path: Path, keep: int, ahead: int
) -> None:
    made(tmp_path, *range(1, 30))
    made(tmp_path, -ahead)
    found = backups(tmp_path)
    assert superfluous(found, keep=keep, days=30, now=NOW + timedelta(days=ahead)) == []
    assert (paused(found, 30) is None) == (ahead == 11)


def test_after_a_pause_the_second_backup_removes_what_is_old(tmp_path: Path) -> None:
    old, last = made(tmp_path, 100, 90)
    made(tmp_path, 1)
    assert superfluous(backups(tmp_path), keep=1, days=30, now=NOW) == []
    assert f"the backup before it, {last}, is older than 30 days" in (paused(backups(tmp_path), 30) or "")
    made(tmp_path, 0)
    assert [each.id for each in superfluous(backups(tmp_path), keep=1, days=30, now=NOW)] == [old, last]
    assert [paused(backups(tmp_path)[:count], 30) for count in (0, 1)] == [None, None]


@pytest.mark.parametrize("part", ["2027-01-01-00-00-00.fsz", "2027-01-01-00-00-00.deltafsz"])
def test_a_time_that_is_yet_to_come_is_refused_with_all_that_would_have_to_go(tmp_path: Path, part: str) -> None:
    """Behind a clock that was ahead, repozo goes on from what is ahead of all that comes."""
    made(tmp_path, 1, 0)
    refuse_later(backups(tmp_path), tmp_path / "database", NOW)
    (needing,), (ahead,) = made(tmp_path, 2, parts=(part,)), made(tmp_path, -400)
    with pytest.raises(RefusedError) as refused:
        refuse_later(backups(tmp_path), tmp_path / "database", NOW)
    assert refused.value.code == "backup_time_ahead"
    names = refused.value.message.rpartition(": ")[2].split(", ")
    assert names == [needing, ahead, "database/2027-01-01-00-00-00.*", "database/2028-01-03-12-00-00.*"]
    for name in names:
        for path in tmp_path.glob(name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    refuse_later(backups(tmp_path), tmp_path / "database", NOW)


def test_a_part_that_no_backup_needs_is_refused_too_and_a_missing_repository_is_not(tmp_path: Path) -> None:
    refuse_later([], tmp_path / "database", NOW)
    (tmp_path / "database").mkdir()
    for name in ("2026-11-29-12-00-00.fsz", "lost+found", "readme"):
        (tmp_path / "database" / name).touch()
    refuse_later([], tmp_path / "database", NOW)
    (tmp_path / "database/2026-11-29-12-00-01.index").touch()
    with pytest.raises(RefusedError, match="2026-11-29-12-00-01"):
        refuse_later([], tmp_path / "database", NOW)


def test_a_part_of_the_database_goes_with_the_last_backup_that_needs_it(tmp_path: Path) -> None:
    (old,) = made(tmp_path, 50)
    shared = "2026-10-09-12-00-00.fsz"
    made(tmp_path, 40, 1, parts=(shared,))
    for name in ("2030-01-01-00-00-00.fsz", "tmp.tmp", "lost+found"):  # of runs that were killed, and another's
        (tmp_path / "database" / name).touch()
    remove(tmp_path, [each for each in backups(tmp_path) if each.id <= "20261120T000000Z"])
    names = {path.name for path in (tmp_path / "database").iterdir()}
    assert (old[:8], shared in names) == ("20261010", True)
    assert sorted(name for name in names if not name.endswith(".index")) == [
        shared, "2026-11-28-12-00-00.fsz", "lost+found",
    ]  # fmt: skip


def test_the_parts_of_a_backup_that_was_removed_by_hand_go_with_the_next(tmp_path: Path) -> None:
    old, _ = made(tmp_path, 50, 0)
    shutil.rmtree(tmp_path / old)
    remove(tmp_path, [])
    assert [path.stem for path in (tmp_path / "database").iterdir()] == ["2026-11-29-12-00-00"] * 2


def test_parts_stay_where_all_backups_are_moved_away(tmp_path: Path) -> None:
    (only,) = made(tmp_path, 0)
    (tmp_path / only).rename(tmp_path / "aside")
    remove(tmp_path, [])
    assert len(list((tmp_path / "database").iterdir())) == 2


def test_nothing_of_the_database_goes_while_a_manifest_cannot_be_read(tmp_path: Path) -> None:
    _, broken = made(tmp_path, 50, 1)
    (tmp_path / broken / "manifest.json").write_text("{")
    remove(tmp_path, backups(tmp_path)[:1])
    assert len(list((tmp_path / "database").glob("*.fsz"))) == 2


def test_what_a_killed_run_left_is_no_backup_and_goes(tmp_path: Path) -> None:
    for name in (".unfinished-20261129T120000Z", ".scratch"):
        (tmp_path / name / "blobs").mkdir(parents=True)
    assert backups(tmp_path) == []
    clean(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_blobs_are_found_without_what_no_transaction_committed(tmp_path: Path) -> None:
    for name in ("0x00/0x01/0x02.blob", "tmp/0x03.blob", ".layout", "0x00/.lock", "README"):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text("x")
    found = dict(blobs_in(tmp_path / "source"))
    assert found == {".layout": 1, "0x00/0x01/0x02.blob": 1}
    linked(tmp_path / "source", tmp_path / "target", found)
    assert dict(blobs_in(tmp_path / "target")) == found


def test_too_little_space_is_refused_with_both_numbers(tmp_path: Path) -> None:
    need_space(tmp_path, 0, "It")
    with pytest.raises(RefusedError, match=r"The backup needs 1000000\.0 TB, and .* are free there"):
        need_space(tmp_path, 10**18, "The backup")
    assert [shown(size) for size in (999, 1000, 1_500_000)] == ["999 B", "1.0 kB", "1.5 MB"]
