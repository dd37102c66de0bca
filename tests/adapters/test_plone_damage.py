"""The proof of a backup notices every damage, in Plone's image, with a database that is open for writing meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.plone_image import printed

# What is written, but by reads, is neither replaced nor removed unless that was agreed to, and then it is kept.
WRITTEN_MEANWHILE = {
    "fresh but for a scale": True, "scaled stage": None, "scaled swap": None, "fresh with an item more": False,
    "late stage": "plone_written_meanwhile", "late swap": "plone_written_meanwhile", "copy of the late": False,
    "written": [False, False, True], "late undone": ["undone-restore-lost", None], "undone after a read": [None, False],
    "settled half": "restore_interrupted",
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What the program in the container printed."""
    return printed("plone_damage.py")


def test_every_damage_is_noticed(found: dict[str, Any]) -> None:
    assert len(found["damages"]) == 14
    assert [name for name, why in found["damages"].items() if not why] == []
    assert "lacks the blobs of 1 objects" in found["damages"]["wrong order"]
    assert "lacks 1 of its blobs" in found["damages"]["blob removed"]
    assert "a part of its database" in found["damages"]["incremental missing"]


def test_what_is_not_damaged_is_proven_with_the_counts_of_the_site(found: dict[str, Any]) -> None:
    backups = [found[name] for name in ("first", "second", "packed")]
    assert [each["state"] for each in backups] == ["proven"] * 3
    assert [each["counts"]["blobs"] for each in backups] == [3, 5, 6]
    assert backups[-1]["counts"]["objects"] == found["objects"]
    assert found["after all"] is None


def test_a_restore_in_place_ends_with_the_old_data_or_the_new_wherever_it_is_killed(found: dict[str, Any]) -> None:
    old, new = found["objects"], found["second"]["counts"]["objects"]
    assert old > new
    killed = range(4)
    assert found["restores"] == {
        "plan": True, "plan of another stack": "backup_foreign",
        "plan of another version": "backup_version_differs", "while open": "plone_runs", "before": old,
        **{f"refused after {after}": "restore_interrupted" for after in killed},
        **{f"undone after {after}": old for after in killed},
        "swapped": new, "undone": old, "settled": new, "kept": old + 1,
        "left": ["before-restore-settled", "blobstorage", "filestorage", "undone-restore-lost"],
        **WRITTEN_MEANWHILE, "served again": old + 1, "kept of the lost": new + 1,
    }  # fmt: skip


def test_behind_a_clock_that_was_ahead_no_backup_is_the_one_of_before(found: dict[str, Any]) -> None:
    assert found["ahead"] == {
        "refused": ["backup_time_ahead"] * 2, "beside": ["proven", True, True], "again": True,
        "of before": "backup_failed",
    }  # fmt: skip


def test_what_another_image_cannot_load_fails_its_proof_and_leaves_that_of_the_maker(found: dict[str, Any]) -> None:
    said = found["other image"]
    assert {name: answer[0] for name, answer in said.items()} == {
        "without the maker's": "proven", "in the site itself": "proven", "as before": "proven", "maker": "proven",
        "other": "backup_unreadable", "migrates": "proven", "other content": "backup_unreadable", "kept": "proven",
    }  # fmt: skip
    assert "2 objects cannot be loaded by this image" in said["without the maker's"][1]
    assert all("as in the site itself" in said[name][1] for name in ("in the site itself", "as before"))
    assert (said["maker"][1], said["kept"][1]) == (None, True)
    assert "cannot load 2 objects" in said["other"][1]
    assert "of another release" in said["other"][1]


def test_a_second_backup_copies_only_what_is_new(found: dict[str, Any]) -> None:
    assert [found[name]["full"] for name in ("first", "second")] == [True, False]
    assert found["second"]["added"] < found["first"]["added"]
    assert found["links"] == [2]
