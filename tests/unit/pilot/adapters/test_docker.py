"""A run waits for the container that it made, and not for another one that has its name by then."""

from __future__ import annotations

from typing import Any

import pytest
from docker.errors import NotFound

from eduhub_pilot.adapters import docker
from eduhub_pilot.adapters.docker import DockerEngine
from eduhub_pilot.model.errors import EngineDownError
from eduhub_pilot.model.facts import Look
from eduhub_pilot.model.program import Program

PLONE = {"Id": "plone", "Image": "sha256:plone", "Config": {}, "HostConfig": {}}


class Client:
    """An engine's API with containers by id and name; what one runs ends when `ended` says so."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}  # by id
        self.ended: set[str] = set()
        self.made = 0

    def _id(self, name: str) -> str:
        found = next((each for each, known in self.names.items() if name in (each, known)), None)
        if found is None:
            raise NotFound(f"No such container: {name}")
        return found

    def create_host_config(self, **_: Any) -> dict[str, Any]:
        return {}

    def create_container(self, *_: Any, name: str, **__: Any) -> dict[str, str]:
        self.made += 1
        self.names[f"id-{self.made}"] = name
        return {"Id": f"id-{self.made}"}

    def start(self, name: str) -> None:
        self._id(name)

    def inspect_container(self, name: str) -> dict[str, Any]:
        if name == "eduhub-plone":
            return PLONE
        found = self._id(name)
        return {"State": {"Running": found not in self.ended, "ExitCode": 0}}

    def logs(self, name: str, **_: Any) -> bytes:
        return self._id(name).encode()

    def remove_container(self, name: str, **_: Any) -> None:
        del self.names[self._id(name)]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(docker, "LOOK_PAUSE_SECONDS", 0)
    return Client()


def engine(client: Client) -> DockerEngine:
    made = DockerEngine()
    made.__dict__["_client"] = client
    return made


def ran(client: Client, between: Any, part: str = "work") -> Look:
    return engine(client).work("eduhub-plone", ["true"], {}, False, between, part)


def program(client: Client, between: Any) -> Look:
    return engine(client).program(Program("eduhub-copy", "eduhub/copy:trixie", [], [], "h", "1g"), None, between)


@pytest.mark.parametrize("run", [ran, program])
def test_a_container_that_was_replaced_by_one_of_its_name_is_no_answer_and_the_other_stays(client, run):
    others: list[Look] = []

    def replaced() -> None:
        if not others:
            client.ended.add("id-2")
            others.append(run(client, lambda: None))
            client.create_container(name=client_name)  # a third run's, which is at work
            client.ended.add("id-3")

    client_name = "eduhub-plone-work" if run is ran else "eduhub-copy"
    with pytest.raises(EngineDownError):
        run(client, replaced)
    assert (others, client.names) == ([Look(0, "id-2")], {"id-3": client_name})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (None, True),
        (["SITE=Plone", "PROCESSES=2"], True),
        (["ZEO_ADDRESS=zeo:8100"], False),
        (["RELSTORAGE_DSN=host=db password=x"], False),
        (["SITE=Plone", "RELSTORAGE_DSN_FILE=/run/secrets/dsn"], False),
        (["ZEO_CLIENT_CACHE_SIZE=16MB"], True),
    ],
)
def test_a_container_tells_whether_its_database_is_in_files_and_nothing_else_of_its_environment(
    client, monkeypatch, environment, expected
):
    config = {} if environment is None else {"Env": environment}
    found = {"Id": "x", "Image": "sha256:x", "Config": config, "State": {"Status": "running"}}
    monkeypatch.setattr(client, "inspect_container", lambda _: found)
    container = engine(client).container("eduhub-plone")
    assert (container.in_files, "password" in repr(container)) == (expected, False)


def test_who_does_not_hold_the_lock_leaves_the_work_of_who_does_alone(client):
    lists: list[Look] = []

    def listed() -> None:
        client.ended |= {"id-1", "id-2"}
        lists.append(ran(client, lambda: None, "list"))

    assert ran(client, lambda: listed() if not lists else None) == Look(0, "id-1")
    assert (lists, client.names) == ([Look(0, "id-2")], {})
