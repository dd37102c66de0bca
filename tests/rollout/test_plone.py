"""Plone's data is backed up, restored, and taken over by another container, with a real Plone."""

from __future__ import annotations

import base64
import json
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rollout.operator import PASSWORD, STACK, WITH_DOCUMENTS, LoadGenerator, docker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rollout.operator import Operator

PLONE = f"{STACK}-plone"
# Each takes two minutes: it waits for several containers of the image of Plone.
pytestmark = pytest.mark.rotates(1, by="module")


@pytest.fixture
def directory() -> Iterator[Path]:
    """The directory of backups of the tests' stack, removed in the end."""
    directory = Path("/var/backups") / STACK
    shutil.rmtree(directory, ignore_errors=True)
    yield directory / "plone"
    shutil.rmtree(directory, ignore_errors=True)


def started() -> str:
    """When Plone's container was started."""
    return docker("inspect", "--format", "{{.State.StartedAt}}", PLONE).strip()


def test_a_backup_is_made_listed_and_restored_to_scratch_while_plone_runs(operator: Operator, directory: Path) -> None:
    before = started()
    none = operator.types("plone.restore")
    assert (none.returncode, "There is no backup of this site" in none.stdout) == (2, True)
    for _ in range(2):
        done = operator.types("plone.backup")
        assert done.returncode == 0, done.stdout
    first, second = sorted(path for path in directory.glob("2*") if path.is_dir())
    manifest = json.loads((second / "manifest.json").read_text())
    assert (manifest["counts"]["items"]["Plone"] > 0, manifest["counts"]["blobs"] > 0) == (True, True)
    assert [path.stat().st_nlink for path in second.rglob("*.blob")] == [2] * manifest["counts"]["blobs"]
    assert directory.stat().st_mode & 0o777 == 0o700
    listed = operator.types("plone.backups")
    assert (listed.returncode, re.findall(r"(\d{8}T\d{6}Z) +proven", listed.stdout)) == (0, [second.name, first.name])
    status = operator.status()
    assert (status["backup"]["id"], status["lock"], started()) == (second.name, None, before)
    next(second.rglob("*.blob")).unlink()
    damaged = operator.types("plone.restore", "--at", second.name)
    assert (damaged.returncode, "lacks 1 of its blobs" in damaged.stdout) == (1, True)
    earlier = operator.types("plone.restore", "--at", first.name)
    assert (earlier.returncode, f"Backup {first.name} restores" in earlier.stdout) == (0, True)


def asked(path: str, **document: str) -> int:
    """Ask Plone as its administrator, to make a document where one is given; return the status."""
    port = docker("port", f"{PLONE}-endpoint", "8080/tcp")
    token = base64.b64encode(f"admin:{PASSWORD.read_text().strip()}".encode()).decode()
    request = urllib.request.Request(
        f"http://{port}/Plone{path}", json.dumps(document).encode() if document else None,
        {"Accept": "application/json", "Content-Type": "application/json", "Authorization": f"Basic {token}"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_restore_in_place_brings_the_backup_back_and_is_refused_without_a_fresh_one(
    operator: Operator, directory: Path
) -> None:
    assert operator.types("plone.backup").returncode == 0
    assert asked("", **{"@type": "Document", "id": "after-the-backup", "title": "After the backup"}) == 201
    refused = operator.types("plone.restore", "--to", "live")
    assert (refused.returncode, "add --yes" in refused.stdout) == (2, True)  # nobody is there to ask
    assert operator.types("plone.backup").returncode == 0
    first, second = sorted(path.name for path in directory.glob("2*") if path.is_dir())
    done = operator.types("plone.restore", "--to", "live", "--at", first, "--yes")
    assert (done.returncode, f"Plone serves backup {first}" in done.stdout) == (0, True)
    assert (asked("/after-the-backup"), asked("")) == (404, 200)
    again = operator.types("plone.restore", "--to", "live", "--at", second, "--yes")
    assert again.returncode == 0, again.stdout
    assert asked("/after-the-backup") == 200


def test_changed_settings_of_plone_fail_no_request_and_one_that_does_not_start_changes_nothing(
    operator: Operator, tmp_path: Path
) -> None:
    changed = operator.with_variables(tmp_path / "changed", plone_environment={"ZODB_CACHE_SIZE": "40000"})
    broken = operator.with_variables(tmp_path / "broken", plone_environment={"ZODB_CACHE_SIZE": "many"})
    with LoadGenerator.running(tmp_path / "load", 300, *WITH_DOCUMENTS, warm=True) as load:
        done = changed.types("deploy")
        after = docker("inspect", "--format", "{{.Id}} {{.Config.Env}}", PLONE)
        refused = broken.types("deploy")
        unchanged = docker("inspect", "--format", "{{.Id}} {{.Config.Env}}", PLONE)
        back = operator.types("deploy")
        result = load.result()
    print(json.dumps(result, indent=1))
    assert (done.returncode, refused.returncode, back.returncode) == (0, 1, 0)
    assert ("ZODB_CACHE_SIZE=40000" in after, unchanged == after) == (True, True)
    assert "ZODB_CACHE_SIZE='many' cannot be used" in refused.stdout
    assert {kind: count for kind, count in result["failures"].items() if count} == {}
    assert result["audit"] == {"missing": [], "duplicate": [], "unexpected": []}
    assert docker("ps", "--all", "--quiet", "--filter", f"name={PLONE}-standby") == ""
