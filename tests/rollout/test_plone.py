"""Plone's data is backed up, restored, and taken over by another container, with a real Plone."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rollout.operator import PASSWORD, STACK, STATE, WITH_DOCUMENTS, LoadGenerator, docker, touched, until

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


def sentences(done: subprocess.CompletedProcess[str]) -> str:
    """What was said, unfolded, and without the times that stand at the end of a phase's first line."""
    return " ".join(re.sub(r" +\d+\.\d s$", "", done.stdout, flags=re.MULTILINE).split())


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


def asked(path: str, method: str | None = None, **document: str) -> int:
    """Ask Plone as its administrator, to make a document where one is given; return the status."""
    return answered(path, method, **document)[0]


def answered(path: str, method: str | None = None, **document: str) -> tuple[int, bytes]:
    """Return status and body of what Plone answers its administrator."""
    port = docker("port", f"{PLONE}-endpoint", "8080/tcp")
    token = base64.b64encode(f"admin:{PASSWORD.read_text().strip()}".encode()).decode()
    request = urllib.request.Request(
        f"http://{port}/Plone{path}", json.dumps(document).encode() if document else None,
        {"Accept": "application/json", "Content-Type": "application/json", "Authorization": f"Basic {token}"},
        method=method,
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


VOLUME = '{{range .Mounts}}{{if eq .Destination "/data"}}{{.Source}}{{end}}{{end}}'
WRITES = 40


def reads() -> dict[str, int]:
    """How many reads Plone's endpoint has given to each process."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(STATE / "run/plone-endpoint/admin.sock"))
        admin.sendall(b"show stat -1 4 -1\n")
        table = b"".join(iter(lambda: admin.recv(65536), b"")).decode()
    rows = csv.DictReader(table.removeprefix("# ").splitlines())
    return {row["svname"]: int(row["stot"]) for row in rows if row["pxname"] == "reads" and row["svname"] != "wait"}


@pytest.mark.usefixtures("operator")
def test_what_one_process_wrote_the_others_read_at_once() -> None:
    """Reads in a row go to each process in turn; one without `server-sync` answers with what it had."""
    assert asked("", **{"@type": "Document", "id": "fresh", "title": "New"}) in {201, 400}
    before = reads()
    titles = [f"Written {number}" for number in range(WRITES)]
    stale = []
    for title in titles:
        assert asked("/fresh", "PATCH", title=title) == 204
        stale += [title for _ in range(2) if json.loads(answered("/fresh")[1])["title"] != title]
    after = reads()
    assert (stale, sorted(after), all(after[each] > before[each] for each in after)) == ([], ["plone", "plone-2"], True)


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


def content(backup: str, directory: Path) -> dict[str, str]:
    """Return the digests of what Plone has in its volume: the database as far as a backup goes, and each blob."""
    data = Path(docker("inspect", "--format", VOLUME, PLONE).strip())
    size = json.loads((directory / backup / "manifest.json").read_text())["size"]
    with (data / "filestorage/Data.fs").open("rb") as stream:
        found = {"Data.fs": hashlib.sha256(stream.read(size)).hexdigest()}
    blobs = data / "blobstorage"
    return found | {
        str(path.relative_to(blobs)): hashlib.sha256(path.read_bytes()).hexdigest() for path in blobs.rglob("*.blob")
    }


# Of the host nothing is left but what a deployment brings: its data, its backups and its state are gone.
@pytest.mark.timeout(1200)
def test_a_lost_host_comes_back_from_a_copy_elsewhere(operator: Operator, directory: Path, tmp_path: Path) -> None:
    place, lost = tmp_path / "nas", tmp_path / "lost"
    place.mkdir()
    os.chown(place, 500, 500)
    without = operator.with_variables(tmp_path / "unnamed", plone_backup_copy_to=str(place)).types("deploy")
    assert (without.returncode, "backup-copy/password" in sentences(without)) == (2, True)
    kept = {"plone_backup_copy_to": str(place), "plone_backup_copy_same_disk": True}
    named = operator.with_variables(tmp_path / "named", **kept)
    secrets = tmp_path / "named/backup-copy"
    secrets.mkdir()
    (secrets / "password").write_text("a secret\n")
    assert named.types("deploy").returncode == 0
    assert asked("", **{"@type": "Document", "id": "kept-elsewhere", "title": "Kept elsewhere"}) == 201
    done = named.types("plone.backup")
    assert (done.returncode, f"It was copied to {place}" in sentences(done)) == (0, True)
    (backup,) = sorted(path.name for path in directory.glob("2*") if path.is_dir())
    listed = named.types("plone.backups")
    assert (listed.returncode, f"{backup} also on this host" in sentences(listed)) == (0, True)
    before, used = content(backup, directory), named.status()["copy"]
    (secrets / "password").write_text("another\n")
    wrong = named.types("deploy")
    assert (wrong.returncode, "does not open the repository" in sentences(wrong)) == (1, True)
    (secrets / "password").write_text("a secret\n")
    shutil.move(directory, lost)
    assert named.types("destroy", "--data", "--yes").returncode == 0
    assert named.types("deploy", seconds=1200).returncode == 0
    assert (asked("/kept-elsewhere"), named.status()["copy"]["repository"]) == (404, used["repository"])
    foreign = named.types("plone.backup")
    assert (foreign.returncode, "has copies that another host made" in sentences(foreign)) == (1, True)
    shutil.rmtree(directory)
    restored = named.types("plone.restore", "--from-copy", "--to", "live", "--yes")
    assert (restored.returncode, f"Plone serves backup {backup}" in sentences(restored)) == (0, True)
    assert (content(backup, lost), asked("/kept-elsewhere")) == (before, 200)
    again = named.types("plone.backup")
    assert (again.returncode, f"It was copied to {place}" in sentences(again)) == (0, True)
    assert operator.types("deploy").returncode == 0


@pytest.mark.usefixtures("directory")
def test_a_pack_removes_the_past_and_leaves_the_content(operator: Operator) -> None:
    database = Path(docker("inspect", "--format", VOLUME, PLONE).strip()) / "filestorage/Data.fs"
    assert asked("", **{"@type": "Document", "id": "packed", "title": "First"}) == 201
    assert {asked("/packed", "PATCH", title=title) for title in ("Second", "Third")} == {204}
    wrong = operator.types("plone.pack", "--days", "a week")
    assert (wrong.returncode, "--days takes a whole number" in sentences(wrong)) == (2, True)
    before = database.stat().st_size
    done = operator.types("plone.pack", "--days", "0")
    assert (done.returncode, "Plone's database was packed" in sentences(done)) == (0, True)
    assert (database.stat().st_size < before, database.with_name("Data.fs.old").exists()) == (True, False)
    assert (asked("/packed"), operator.types("plone.backup").returncode) == (200, 0)


def test_changed_settings_of_plone_fail_no_request_and_one_that_does_not_start_changes_nothing(
    operator: Operator, tmp_path: Path
) -> None:
    """Another number of processes is taken over in both directions: they have the same files."""
    variables = {"plone_environment": {"ZODB_CACHE_SIZE": "40000"}, "plone_processes": 1}
    changed = operator.with_variables(tmp_path / "changed", **variables)
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
    assert ("ZODB_CACHE_SIZE=40000" in after, "PROCESSES=1" in after, unchanged == after) == (True, True, True)
    assert "ZODB_CACHE_SIZE='many' cannot be used" in refused.stdout
    assert {kind: count for kind, count in result["failures"].items() if count} == {}
    assert result["audit"] == {"missing": [], "duplicate": [], "unexpected": []}
    assert docker("ps", "--all", "--quiet", "--filter", f"name={PLONE}-standby") == ""


VERSION = "org.opencontainers.image.version"
# The data of any content ends in an error. The images' bytecode is not compared with its source.
BREAK = (
    "import py_compile, plone.restapi.serializer as s; f = s.__path__[0] + '/dxcontent.py'; "
    "open(f, 'a').write('\\nSerializeToJson.__call__ = lambda *_: 1 / 0\\n'); py_compile.compile(f)"
)
# The first is the one that runs. No other Python is built each day: what is told of them stands on labels.
BUILT = {
    "3.11": "",
    "3.8": f'LABEL org.eduhub.python="3.8.1"\nUSER root\nRUN {json.dumps(["python3", "-c", BREAK])}\nUSER 500:500',
    "3.9": 'LABEL org.eduhub.python="3.9.2"',
    "3.12": f'LABEL org.eduhub.python="3.12.1" {VERSION}="6.1.4"',
}


def without_others() -> None:
    """Remove the containers beside the Plone that serves."""
    names = [f"name={PLONE}-{part}" for part in ("previous", "standby")]
    found = docker("ps", "--all", "--quiet", *(word for name in names for word in ("--filter", name))).split()
    if found:
        docker("rm", "--force", *found)


@pytest.fixture
def ladder(operator: Operator, tmp_path: Path) -> Iterator[str]:
    """Plones that differ by their labels, and one whose data is broken; yields how an inventory names them."""
    without_others()
    ours = docker("inspect", "--format", "{{.Image}}", PLONE)
    image = f"{STACK}/plone:6.0.13-py{{python}}"
    for python, lines in BUILT.items():
        subprocess.run(
            ["docker", "build", "--quiet", "--tag", image.format(python=python), "-"],
            input=f"FROM {ours}\n{lines}\n", text=True, check=True,
        )  # fmt: skip
    yield image
    end = operator.with_variables(tmp_path / "end", plone_image="eduhub/plone:6.0.13-py3.11").types("deploy")
    assert end.returncode == 0, end.stdout
    without_others()
    docker("rmi", "--force", *(image.format(python=python) for python in BUILT))


def test_plones_python_is_changed_and_rolled_back_under_load_and_what_cannot_be_is_refused(
    operator: Operator, ladder: str, directory: Path, tmp_path: Path
) -> None:
    named = operator.with_variables(tmp_path / "named", plone_image=ladder, plone_watch_seconds=5)
    before = touched()
    for python, code, what in (
        ("3.10", 2, f"There is no image {STACK}/plone:6.0.13-py3.10"), ("3.12", 2, "has Plone 6.1.4, and 6.0.13 runs"),
        ("", 2, "type --python"),
        ("3.8", 1, "as JSON for admin: 500 application/json instead of 200 application/json"),
    ):  # fmt: skip
        refused = named.types("plone.upgrade", *(["--python", python] if python else []))
        assert (refused.returncode, what in sentences(refused), touched()) == (code, True, before)
    assert "no container from before is kept" in sentences(operator.types("plone.rollback"))
    with LoadGenerator.running(tmp_path / "load", 300, *WITH_DOCUMENTS, warm=True) as load:
        done = named.types("plone.upgrade", "--python", "3.9")
        upgraded = named.status()["plone"]
        again = named.types("deploy")
        stayed = named.status()["plone"]
        back = named.types("plone.rollback")
        rolled_back = named.status()["plone"]
        result = load.result()
    print(json.dumps(result, indent=1))
    assert (done.returncode, again.returncode, back.returncode) == (0, 0, 0)
    assert (upgraded["python"], upgraded["rollback"]["ready"], stayed["image"]) == ("3.9.2", True, upgraded["image"])
    assert (rolled_back["python"].startswith("3.11."), rolled_back["rollback"]["python"]) == (True, "3.9.2")
    # The two images are one, and differ by their labels: a difference between their pages would be the gate's own.
    assert "requests on the backup are answered as by the one before" in sentences(done)
    assert {kind: count for kind, count in result["failures"].items() if count} == {}
    assert result["audit"] == {"missing": [], "duplicate": [], "unexpected": []}
    assert len([path for path in directory.glob("2*") if path.is_dir()]) >= 1


NEWER = ("--version", "6.1.4", "--python", "3.13")


def takes_writes(operator: Operator) -> bool:
    """Whether no upgrade of Plone's version waits, and nobody works on the host."""
    status = operator.status()
    waits = "plone_upgrade_unconfirmed" in [note["code"] for note in status["notes"]]
    return not waits and status["lock"] is None


# Two upgrades, a return, and the return by hand.
@pytest.mark.timeout(2400)
@pytest.mark.usefixtures("directory")
def test_plones_version_is_upgraded_and_returns_unconfirmed_and_is_confirmed_and_no_read_fails(
    operator: Operator, tmp_path: Path
) -> None:
    without_others()
    assert asked("", **{"@type": "Document", "id": "before", "title": "Before"}) in {201, 400}
    named = operator.with_variables(
        tmp_path / "named", plone_image="eduhub/plone:{version}-py{python}", plone_confirm_seconds=90
    )
    with LoadGenerator.running(tmp_path / "load", 900, warm=True) as load:
        done = named.types("plone.upgrade", *NEWER)
        assert done.returncode == 0, done.stdout
        upgraded, read_only = named.status(), asked("", **{"@type": "Document", "id": "lost", "title": "Lost"})
        other = named.types("deploy")
        until("the host rolls back by itself", lambda: takes_writes(named), 240, pause=2)
        rolled_back, written = named.status(), asked("", **{"@type": "Document", "id": "kept", "title": "Kept"})
        result = load.result()
    print(json.dumps(result, indent=1))
    assert "requests for content of the backup are answered as by the one before" in sentences(done)
    versions = upgraded["plone"]["version"], upgraded["plone"]["rollback"]["version"]
    assert (versions, read_only) == (("6.1.4", "6.0.13"), 503)
    assert "plone_upgrade_unconfirmed" in [note["code"] for note in upgraded["notes"]]
    assert (other.returncode, "confirm it, or roll it back" in sentences(other)) == (2, True)
    assert (rolled_back["plone"]["version"], written, asked("/kept")) == ("6.0.13", 201, 200)
    assert {kind: count for kind, count in result["failures"].items() if count} == {}
    again, confirmed = named.types("plone.upgrade", *NEWER), named.types("plone.confirm")
    assert (again.returncode, confirmed.returncode) == (0, 0), again.stdout + confirmed.stdout
    assert (asked("/kept"), asked("", **{"@type": "Document", "id": "new", "title": "New"})) == (200, 201)
    assert "no container from before is kept" in sentences(named.types("plone.rollback"))
    older = named.types("plone.restore", "--to", "live", "--yes")
    assert (older.returncode, "is of Plone 6.0.13, and 6.1.4 runs" in sentences(older)) == (2, True)
    # The runbook's return to the old version, which loses what was written since, and is not gone by accident.
    data = docker("inspect", "--format", VOLUME, PLONE)
    assert operator.types("destroy").returncode == 0
    stale = operator.types("deploy")
    assert (stale.returncode != 0, "was left for that of Plone 6.1.4" in sentences(stale)) == (True, True)
    (Path(data.strip()) / "left-for").unlink()
    assert operator.types("deploy").returncode == 0
    assert (operator.status()["plone"]["version"], asked("/kept"), asked("/new")) == ("6.0.13", 200, 404)
