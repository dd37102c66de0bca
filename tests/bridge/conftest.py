"""A real Plone, and the bridge in front of it once for each Python: what runs here says how compatible we are.

Not among `testpaths`: `pytest tests/bridge` runs it, and fails with a sentence where engine or image are missing.
A test that takes `bridge` runs once for each Python of the day's pair, in a complete run for every Python.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.bridge import stack
from tests.bridge.seed import seed
from tests.bridge.sides import Sides

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.bridge.stack import Server


@dataclass(frozen=True)
class Member:
    """Somebody who may add content below /submissions, and nothing else."""

    login: str
    password: str

    @property
    def credentials(self) -> tuple[str, str]:
        return (self.login, self.password)


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    """The engine that the containers run on."""
    return stack.engine()


@pytest.fixture(scope="session")
def plone(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Plone with the sample courses; a test leaves the courses as they are."""
    with stack.plone(engine, tmp_path_factory.mktemp("plone")) as server:
        yield server


@pytest.fixture(scope="session", params=stack.PYTHONS, ids=lambda python: f"py{python}")
def bridge(request: pytest.FixtureRequest, engine: docker.DockerClient, plone: Server) -> Iterator[Server]:
    """The checkout's bridge in front of `plone`, on each Python in turn."""
    with stack.bridge(engine, plone, request.param) as server:
        yield server


@pytest.fixture(scope="session")
def classic(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A classic site with every add-on that plone.restapi has services for; scripts of one origin may call it."""
    settings = {"TYPE": "classic", "CORS_ALLOW_ORIGIN": "http://localhost:3000"}
    with stack.plone(engine, tmp_path_factory.mktemp("classic"), "plone-classic", **settings) as server:
        yield server


@pytest.fixture(scope="session")
def sides(engine: docker.DockerClient, classic: Server) -> Iterator[Sides]:
    """The seeded classic site, and a bridge on each Python before it."""
    with ExitStack() as running:
        bridges = {
            python: running.enter_context(stack.bridge(engine, classic, python)) for python in stack.PYTHONS
        }
        sides = Sides(classic, bridges)
        seed(sides.doors["plone"])
        yield sides
        sides.close()


@pytest.fixture(scope="session")
def admin(plone: Server) -> tuple[str, str]:
    """The administrator's name and password."""
    return plone.admin


@pytest.fixture(scope="session")
def member(plone: Server) -> Member:
    """A member, made in Plone itself."""
    made = Member("ada", "correct-horse-battery-1")
    new = {"username": made.login, "password": made.password, "email": "ada@example.org", "fullname": "Ada Lovelace"}
    assert plone.ask("POST", "/@users", plone.admin, json=new).status_code == 201
    return made
