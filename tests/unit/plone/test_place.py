"""Versions of Plone do not share a database: each finds its own, and refuses that of another."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from eduhub_plone import turn
from eduhub_plone.place import claim, leave_for, place, refuse_other_version
from eduhub_plone.settings import Refused


def test_the_first_version_has_the_volume_and_one_that_came_by_an_upgrade_its_own_directory(tmp_path: Path) -> None:
    """No version opens what was made for another."""
    (tmp_path / "versions/6.1.4").mkdir(parents=True)
    assert [place(tmp_path, each) for each in ("6.0.13", "6.1.4", "6.1.5", None)] == [
        tmp_path, tmp_path / "versions/6.1.4", tmp_path, tmp_path,
    ]  # fmt: skip


def test_a_database_belongs_to_the_version_that_opened_it_first(tmp_path: Path) -> None:
    """One from before images left a mark is taken by the one that comes; an image without a version leaves none."""
    claim(tmp_path, None)
    refuse_other_version(tmp_path, "6.1.4")
    claim(tmp_path, "6.0.13")
    claim(tmp_path, "6.0.13")
    refuse_other_version(tmp_path, "6.0.13")
    for other in (lambda: refuse_other_version(tmp_path, "6.1.4"), lambda: claim(tmp_path, "6.1.4")):
        with pytest.raises(Refused, match=r"is that of Plone 6\.0\.13, and this image has 6\.1\.4"):
            other()
    assert [path.name for path in tmp_path.iterdir()] == ["plone-version"]


def test_a_database_that_was_left_is_opened_by_no_version_until_somebody_says_so(tmp_path: Path) -> None:
    """An inventory that still names the version from before must not serve what was true then."""
    claim(tmp_path, "6.0.13")
    leave_for(tmp_path, "6.1.4")
    with pytest.raises(Refused, match=r'write plone_version: "6\.1\.4" into the inventory, or remove .*/left-for to'):
        claim(tmp_path, "6.0.13")
    (tmp_path / "left-for").unlink()
    claim(tmp_path, "6.0.13")


def test_the_lock_of_the_first_database_says_whose_turn_it_is(tmp_path: Path) -> None:
    """A container of the first version, which knows no other lock, waits for one that has another database."""
    database = tmp_path / "Data.fs"
    turn.hold_turn(database)
    try:
        assert not turn.free(database)
        with pytest.raises(BlockingIOError):
            turn.hold_turn(database)
    finally:
        held = turn.HELD.pop(0)
        fcntl.flock(held, fcntl.LOCK_UN)
        held.close()
    assert turn.free(database)
