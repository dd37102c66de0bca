"""One bridge before one Plone for all tests that leave both as they were; its own pair for each other test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.unit.bridge.fake_plone import Plone
from tests.unit.bridge.postgres import PROGRAMS, Server
from tests.unit.bridge.process import Process
from tests.unit.bridge.restapi import Restapi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def _plone() -> Iterator[Plone]:
    plone = Plone().start()
    yield plone
    plone.stop()


@pytest.fixture(scope="session")
def _bridge(_plone: Plone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    settings = {"EDUHUB_PLONE_SECONDS": "3", "EDUHUB_PLONE_FAILURES": "1000", "EDUHUB_CACHE_SECONDS": "0"}
    process = Process(tmp_path_factory.mktemp("bridge"), _plone.url, **settings)
    yield process
    process.kill()


@pytest.fixture
def plone(_plone: Plone) -> Plone:
    """The Plone that `bridge` calls, with nothing seen yet."""
    _plone.seen.clear()
    _plone.most.clear()
    _plone.says.clear()
    _plone.slow, _plone.trouble = 0.0, ""
    _plone.told.clear()
    _plone.release.clear()
    return _plone


@pytest.fixture
def bridge(_bridge: Process, plone: Plone) -> Process:  # noqa: ARG001 - the one it calls comes with it
    """A running bridge that gives Plone three seconds and never a rest, and stores nothing."""
    return _bridge


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a bridge of the test's own: start(plone_url, NAME=value…)."""
    started: list[Process] = []

    def _start(plone_url: str, **more: str) -> Process:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Process(folder, plone_url, **more))
        return started[-1]

    yield _start
    for process in started:
        process.kill()


@pytest.fixture
def cms() -> Iterator[Restapi]:
    """A Plone that answers as plone.restapi does, with one published folder."""
    restapi = Restapi().start()
    restapi.put("/courses", "Folder", state="published")
    yield restapi
    restapi.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server with no database in it."""
    if not PROGRAMS:
        # CI installs it (.ci/run): a suite that leaves these out there would say nothing about PostgreSQL at all.
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no PostgreSQL here: apt install postgresql")
    server = Server()
    yield server
    server.remove()
