"""Processes of Plone on one database, in Plone's image: packed, with a full disk, after a pack that was interrupted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.plone_image import printed

OBJECTS = 300


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What the program in the container printed."""
    return printed("plone_processes.py", "--tmpfs", "/data:size=80m,uid=500,gid=500")


def test_a_pack_removes_the_past_and_keeps_no_copy_of_it(found: dict[str, Any]) -> None:
    before, after = found["sizes"]
    assert (after < 0.7 * before, found["packed"], found["left"]) == (True, OBJECTS, [])


def test_one_process_is_not_packed(found: dict[str, Any]) -> None:
    assert found["alone"] == "pack_unsupported"


def test_a_full_disk_stops_no_read(found: dict[str, Any]) -> None:
    """A cache in the volume could not be written, and each object goes through it."""
    assert found["disk full"] == OBJECTS


def test_a_pack_that_was_interrupted_loses_nothing(found: dict[str, Any]) -> None:
    """ZODB moves the old file away before the new one takes its place; without either it would begin an empty one."""
    assert found["interrupted"] == OBJECTS
