"""Restores, upgrades and backups on a disk that has room for what they need, in Plone's image."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.plone_image import printed

SHORT = "backup_space_short"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What the program in the container printed."""
    return printed("plone_space.py")


def test_a_restore_counts_what_it_removes_before_as_free(found: dict[str, Any]) -> None:
    assert found["restores"] == {
        "too small": SHORT, "first": None, "after a killed one": None, "after one that ended": None,
        "full while swapping": "No space left on device", "left by that": [],
        "left": ["before-restore-ended"], "where removing frees nothing": SHORT,
    }  # fmt: skip


def test_a_second_upgrade_of_the_version_needs_room_for_two_copies(found: dict[str, Any]) -> None:
    assert found["upgrades"] == {
        "too small": SHORT, "then kept": [["6.0.14", "6.1.4"], True], "room for two": None,
        "left": [["upgrade-next/blobstorage", "upgrade-next/filestorage", "versions/6.1.4"], False],
    }  # fmt: skip


def test_a_backup_that_fails_or_was_killed_leaves_nothing_that_takes_space(found: dict[str, Any]) -> None:
    """Each number: full copies of the database, files that repozo had begun, and directories of blobs."""
    full = "No space left on device"
    made = found["makes"]
    assert made["first"] == [None, [1, 0, 0]]
    assert made["blobs fail"] == [[full, full], [1, 0, 0]]
    assert made["repozo fails"] == [full, [1, 0, 0]]
    assert made["killed"] == [[2, 1, 0], None, [2, 0, 0]]


def test_what_only_a_removed_backup_needs_goes_with_the_next(found: dict[str, Any]) -> None:
    assert found["makes"]["removed by hand"] == [None, [2, 0, 0], 2]
    assert found["makes"]["third"] == [None, [3, 0, 0]]


def test_where_space_is_short_a_backup_first_removes_those_that_are_no_longer_kept(found: dict[str, Any]) -> None:
    made = found["makes"]
    assert made["too small"] == [SHORT, 2]
    assert made["more kept"] == [SHORT, 3]
    assert (made["fewer kept"], made["gone"]) == ([None, 2], [True, 3])
    assert made["fewer are not enough"] == [SHORT, ["proven", "proven"]]
