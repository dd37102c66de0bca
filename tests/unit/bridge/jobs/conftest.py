"""A Plone that keeps content, bridges that share a directory and a key, and the words to talk to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.bridge.helpers import until
from tests.unit.bridge.process import Answer, Process
from tests.unit.bridge.restapi import Restapi, basic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASYNC = "Prefer: respond-async"


class Slot(Process):
    """A bridge, asked in the name of a user."""

    def api(self, method: str, path: str, *fields: str, body: bytes = b"", as_user: str = "admin") -> Answer:
        head = [f"Authorization: {basic(as_user) if ' ' not in as_user else as_user}"] if as_user else []
        if body:
            head.append(f"Content-Length: {len(body)}")
        return self.get(f"/api/v1{path}", *head, *fields, method=method, body=body)

    def bulk(self, operations: list[dict[str, Any]], *fields: str, query: str = "", as_user: str = "admin") -> Answer:
        kind = "Content-Type: application/x-ndjson"
        return self.api("POST", f"/bulk{query}", kind, *fields, body=ndjson(operations), as_user=as_user)

    def job(self, job: str) -> Any:
        return self.api("GET", f"/jobs/{job}").json()


def ndjson(operations: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in operations)


def results(answer: Answer) -> list[dict[str, Any]]:
    """Return the lines of an answer."""
    return [json.loads(line) for line in answer.body.splitlines()]


def create(title: str, path: str = "/courses", **more: Any) -> dict[str, Any]:
    return {"op": "create", "path": path, "item": {"@type": "Document", "title": title}, **more}


def titles(cms: Restapi) -> list[str]:
    """Return the titles of the courses, in the order in which they were made."""
    return [item.fields["title"] for item in cms.items.values() if item.path.startswith("/courses/")]


def ended(slot: Slot, job: str) -> Any:
    """Return the job once it has ended."""
    return until(lambda: (found := slot.job(job))["state"] in ("done", "failed", "cancelled") and found)


class Slots:
    """Starts one slot after the other, all on one store and with one key: slots(NAME=value…)."""

    def __init__(self, folder: Path, plone_url: str) -> None:
        self.folder, self.started = folder, []
        (folder / "state").mkdir()
        (folder / "key").write_text("a key that both slots are given, long enough")
        self.shared = {
            "EDUHUB_STATE_DIR": str(folder / "state"), "EDUHUB_STATE_KEY_FILE": str(folder / "key"),
            "EDUHUB_JOB_LEASE_SECONDS": "1", "EDUHUB_PLONE_SECONDS": "3",
        }  # fmt: skip
        self.url = plone_url

    def __call__(self, **more: str) -> Slot:
        folder = self.folder / f"slot{len(self.started)}"
        folder.mkdir()
        given = {name: value for name, value in {**self.shared, **more}.items() if value}
        self.started.append(Slot(folder, self.url, **given))
        return self.started[-1]

    def kill(self) -> None:
        for each in self.started:
            each.kill()


@pytest.fixture(scope="session")
def _cms() -> Iterator[Restapi]:
    restapi = Restapi().start()
    yield restapi
    restapi.stop()


@pytest.fixture
def cms(_cms: Restapi) -> Restapi:
    """A site with the folder /courses and nothing else."""
    _cms.reset()
    _cms.put("/courses", "Folder")
    return _cms


@pytest.fixture(scope="session")
def _bridge(_cms: Restapi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slot]:
    slots = Slots(tmp_path_factory.mktemp("jobs"), _cms.url)
    yield slots()
    slots.kill()


@pytest.fixture
def bridge(_bridge: Slot, cms: Restapi) -> Iterator[Slot]:  # noqa: ARG001 - the site it stands before comes with it
    """A slot that remembers the keys of earlier tests: name yours after the test."""
    yield _bridge
    for user in ("admin", "editor"):  # what a failed test left must not write into the next one's site
        for job in _bridge.api("GET", "/jobs", as_user=user).json()["items"]:
            if job["state"] not in ("done", "failed", "cancelled"):
                _bridge.api("DELETE", f"/jobs/{job['job']}", as_user=user)


@pytest.fixture
def slots(cms: Restapi, tmp_path: Path) -> Iterator[Slots]:
    """For tests that start, stop or kill slots of their own."""
    made = Slots(tmp_path, cms.url)
    yield made
    made.kill()
