"""restic of the image of copies does what the pilot takes for granted: ends, locks, retention and a whole restore."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from eduhub_pilot.adapters.docker import DockerEngine
from eduhub_pilot.adapters.store import Store
from eduhub_pilot.commands.plone import copies
from eduhub_pilot.commands.plone.copies import Repository
from eduhub_pilot.model.copies import Told, chosen
from eduhub_pilot.model.errors import FailedError

IMAGE = "eduhub/copy:trixie"
OWNER = 500


def given(path: Path, text: str | bytes = b"") -> None:
    """Write a file of Plone's user, with its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    for each in (path, *path.parents[:2]):
        os.chown(each, OWNER, OWNER)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Any]:
    """A host's directories, with two backups that share a blob, and a directory for the repository."""
    stack = f"eduhub-test-{secrets.token_hex(4)}"
    config, state, kept = Path("/etc") / stack, Path("/var/lib") / stack, tmp_path / "kept"
    for folder in (kept, state / "copy", tmp_path / "restored"):
        folder.mkdir(parents=True)
        os.chown(folder, OWNER, OWNER)
    given(config / "copy/password", "a secret\n")
    for at in ("20260101T030000Z", "20260102T030000Z"):
        given(tmp_path / at / "manifest.json", f'{{"id": "{at}", "size": 4096}}')
        given(tmp_path / at / "blobs/one.blob", b"\0" * 100 + b"blob")
        given(tmp_path / "database" / f"{at}.fsz", at * 9)
    settings = SimpleNamespace(
        stack=stack, config=config, shown_config=str(config), shown=str(state), container=lambda part: f"{stack}-{part}"
    )
    yield SimpleNamespace(
        host=SimpleNamespace(settings=settings, engine=DockerEngine(), store=Store(state, str(state))),
        stack=stack, config=config, kept=kept, folder=tmp_path,
    )  # fmt: skip
    for folder in (config, state):
        shutil.rmtree(folder)


def repository(place: Any, to: str = "", keep: int = 14) -> Repository:
    where = Told(to or str(place.kept), IMAGE, "eduhub@cms", {"daily": keep}, 7)
    return Repository(place.host, where)


def backup(day: int) -> dict[str, Any]:
    name = f"2026010{day}T030000Z"
    return {"id": name, "time": f"2026-01-0{day}T03:00:00Z", "sites": ["a1"], "parts": [f"{name}.fsz"]}


def copied(there: Repository, place: Any, day: int) -> int:
    """Copy a backup, and return how many bytes were new."""
    snapshot, added = there.save(str(place.folder), backup(day))
    there.finish(snapshot, backup(day))
    return added


def test_copies_are_made_listed_forgotten_checked_and_restored_whole(place: Any) -> None:
    there = repository(place, keep=1)
    assert there.identity(first=True) == there.identity(first=False) != ""
    for day in (1, 2):
        assert copied(there, place, day) > 0
    own = place.host.store.copier()
    assert [(copy.id, set(copy.sites), copy.host) for copy in there.copies()] == [
        (backup(day)["id"], {"a1"}, own) for day in (1, 2)
    ]
    there.forget()
    for part in (1, 12):
        there.check(part)
    (copy,) = there.copies()
    assert there.size(copy) >= 4096 + 104
    there.fetch(chosen([copy], "2026-01-02", there.where), str(place.folder / "restored"))
    assert [path.name for path in (place.folder / "restored/database").iterdir()] == [f"{copy.id}.fsz"]
    names = [f"{copy.id}/manifest.json", f"{copy.id}/blobs/one.blob", f"database/{copy.id}.fsz"]
    assert [(place.folder / "restored" / name).read_bytes() for name in names] == [
        (place.folder / name).read_bytes() for name in names
    ]


def test_what_could_not_be_copied_as_a_whole_is_no_copy_and_is_removed(place: Any) -> None:
    there, hidden = repository(place), place.folder / "20260101T030000Z/blobs/hidden.blob"
    there.identity(first=True)
    given(hidden, b"hidden")
    os.chown(hidden, 0, 0)
    hidden.chmod(0o600)
    with pytest.raises(FailedError, match=r"/blobs/hidden\.blob, a part of backup 20260101T030000Z, could not be read"):
        there.save(str(place.folder), backup(1))
    with pytest.raises(FailedError, match=r"gone\.fsz, a part of backup \w+, is not there"):
        there.save(str(place.folder), {**backup(2), "parts": ["gone.fsz"]})
    assert (there.copies(), len(list((place.kept / "snapshots").iterdir()))) == ([], 2)
    there.forget()
    assert list((place.kept / "snapshots").iterdir()) == []


def test_each_end_of_restic_has_its_code(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "ANSWER_SECONDS", 8.0)  # restic asks a server again for a quarter of an hour

    def code(**more: Any) -> str:
        with pytest.raises(FailedError) as failed:
            repository(place, **more).identity(first=False)
        return failed.value.code

    assert code() == "copy_repository_missing"
    repository(place).identity(first=True)
    given(place.config / "copy/known_hosts")
    assert code(to="sftp:backup@127.0.0.1:9/x") == "copy_unreachable"
    assert code(to=str(place.folder / "not-mounted")) == "copy_unreachable"
    assert code(to="rest:http://127.0.0.1:9/") == "copy_unreachable"
    (place.config / "copy/password").write_text("another\n")
    assert code() == "copy_password_wrong"


def test_a_lock_that_a_killed_run_left_is_removed_by_the_next_one_and_one_of_another_host_is_not(place: Any) -> None:
    # One that has its name, as a host that replaces it.
    (place.folder / "other").mkdir()
    another: Any = SimpleNamespace(**{**vars(place.host), "store": Store(place.folder / "other", "")})
    there = repository(place)
    other = Repository(another, there.where)
    there.identity(first=True)
    given(place.folder / "20260101T030000Z/blobs/large.blob", os.urandom(400_000_000))
    client = docker.DockerClient()
    killer = f"{place.stack}-copy"

    def kill() -> None:
        deadline = time.monotonic() + 60
        while not any((place.kept / "locks").iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        client.containers.get(killer).kill()

    thread = Thread(target=kill)
    thread.start()
    with pytest.raises(FailedError):
        there.save(str(place.folder), backup(1))
    thread.join()
    assert len(list((place.kept / "locks").iterdir())) == 1
    other.unlock()
    assert len(list((place.kept / "locks").iterdir())) == 1
    there.unlock()
    assert list((place.kept / "locks").iterdir()) == []
    copied(there, place, 1)
    there.forget()
