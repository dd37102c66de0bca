"""Runs in Plone's image: backs up, restores and upgrades on a disk with room for what a command needs, and no more.

Prints one JSON object, by the name of each play what came of it: None, or the code of the refusal.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ZODB.blob import Blob
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

from eduhub_plone.backup import files, restore, upgrade
from eduhub_plone.backup import make as making
from eduhub_plone.backup.errors import BackupError
from eduhub_plone.backup.make import Site, make
from eduhub_plone.backup.prove import prove
from eduhub_plone.backup.repository import Backup, backups, remove, superfluous

ABOUT = {"stack": "test", "image": "sha256:0", "python": "3", "plone": "6.0.13"}
SPARE = 100_000
BYTES = 400_000


def code_of(action: Callable[[], object]) -> str | None:
    """Return the code with which an action is refused; None where it is not."""
    try:
        action()
    except BackupError as error:
        return error.code
    return None


class Disk:
    """A disk that has `left` bytes free beside what is in `folder` by the time that this is set."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.capacity = folder, 0
        files.SPARE_BYTES = SPARE
        files.shutil = SimpleNamespace(disk_usage=self.usage)

    def usage(self, _: Path) -> SimpleNamespace:
        return SimpleNamespace(free=self.capacity - self.taken())

    def taken(self) -> int:
        seen = {found.st_ino: found.st_size for found in (each.lstat() for each in self.folder.rglob("*"))}
        return sum(seen.values())

    def leave(self, size: int) -> None:
        self.capacity = self.taken() + size


def written(data: Path, number: int = 1) -> None:
    """Commit so many objects of BYTES that do not compress, and as many blobs; the database is closed then."""
    (data / "filestorage").mkdir(parents=True, exist_ok=True)
    database = DB(FileStorage(str(data / "filestorage/Data.fs"), blob_dir=str(data / "blobstorage")))
    for _ in range(number):
        with database.transaction() as connection:
            blob = Blob()
            with blob.open("w") as file:
                file.write(os.urandom(BYTES))
            name = str(len(connection.root()))
            connection.root().update({name: os.urandom(BYTES), f"blob {name}": blob})
    database.close()


def full_while(action: Callable[[], object]) -> str | None:
    """Return why an action fails that can write no marker."""
    write, restore.write_json = restore.write_json, raise_full
    try:
        action()
    except OSError as error:
        return error.strerror
    finally:
        restore.write_json = write
    return None


def raise_full(*_: object) -> None:
    """Fail as on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def restores(site: Site, directory: Path, backup: Backup) -> dict[str, Any]:
    """Return what a restore is refused for, with room for it alone: at first, and once one was killed or ended."""
    disk, found = Disk(site.data), {}
    size = backup.whole()["size"] + backup.whole()["blob_bytes"]

    def plan() -> str | None:
        return code_of(lambda: restore.plan(site, backup, backups(directory), "test", "6.0.13"))

    disk.leave(size)
    found["too small"] = plan()
    disk.leave(size + SPARE * 2)
    found["first"] = plan()
    half = site.data / "restore-killed/filestorage"
    half.mkdir(parents=True)
    shutil.copyfile(site.database, half / "Data.fs")
    found["after a killed one"] = plan()
    restore.stage(site, backup, directory, "full")
    found["full while swapping"] = full_while(lambda: restore.swap(site, "full"))
    found["left by that"] = sorted(path.name for path in site.data.glob("*restore*"))
    restore.stage(site, backup, directory, "ended")
    restore.swap(site, "ended")
    restore.settle(site)
    found["after one that ended"] = plan()
    found["left"] = sorted(path.name for path in site.data.glob("*restore*"))
    os.link(site.data / "before-restore-ended/filestorage/Data.fs", site.data / "kept.fs")
    found["where removing frees nothing"] = plan()
    (site.data / "kept.fs").unlink()
    shutil.rmtree(site.data / "before-restore-ended")
    return found


def upgrades(site: Site, directory: Path, backup: Backup) -> dict[str, Any]:
    """Return what a second upgrade of the version is refused for, with room for two copies alone."""
    disk, found = Disk(site.data), {}
    served = site.data / "versions/6.1.4"
    served.mkdir(parents=True)
    for name in ("filestorage", "blobstorage"):
        shutil.copytree(site.data / name, served / name)
    shutil.copytree(served, site.data / "versions/6.0.14")
    manifest = {**backup.whole(), "plone": "6.1.4"}
    of_served = replace(backup, manifest=manifest)

    def stage() -> str | None:
        return code_of(lambda: upgrade.stage(site.data, "6.1.4", of_served, directory, "next"))

    disk.capacity = disk.taken() // 3
    found["too small"] = stage()
    found["then kept"] = sorted(path.name for path in (site.data / "versions").iterdir()), site.database.exists()
    disk.leave(SPARE)
    found["room for two"] = stage()
    left = sorted(str(path.relative_to(site.data)) for path in site.data.glob("[uv]*/*"))
    found["left"] = left, site.database.exists()
    return found


def next_second() -> None:
    """Wait until repozo, which names its files by the second, can write another."""
    time.sleep(1.1 - time.time() % 1)


def thinned(directory: Path, keep: int) -> list[Backup]:
    """Remove the backups that are no longer kept."""
    found = backups(directory)
    gone = superfluous(found, keep, 0, found[-1].time)
    remove(directory, gone)
    return gone


def failing(what: str) -> Callable[..., Any]:
    """Return what fails as a full disk does."""

    def fail(*_: object) -> Any:
        raise OSError(28, "No space left on device", what)

    return fail


def made(site: Site, directory: Path, full: bool = True, keep: int = 0) -> str | None:
    """Make a backup; return the code where it is refused, or what failed."""
    next_second()
    try:
        return code_of(lambda: prove(make(
            site, directory, ABOUT, full=full, full_days=7, thin=lambda: thinned(directory, keep) if keep else (),
        ), directory))  # fmt: skip
    except OSError as error:
        return error.strerror


def parts(directory: Path) -> list[int]:
    """Return how many full copies of the database there are, all other files there, and what is beside them."""
    found = [path.name for path in (directory / "database").iterdir()]
    full = sum(name.endswith(".fsz") for name in found)
    return [full, sum("tmp" in name for name in found), len(list(directory.glob(".unfinished*")))]


def makes(site: Site, directory: Path) -> dict[str, Any]:
    """Return how backups end on a disk that is full, and what they leave there."""
    disk, found = Disk(directory), {}
    disk.leave(10**9)
    found["first"] = made(site, directory), parts(directory)
    copy, making.shutil = making.shutil, SimpleNamespace(**{**vars(shutil), "copyfile": failing("blob")})
    found["blobs fail"] = [made(site, directory) for _ in range(2)], parts(directory)
    making.shutil, saves = copy, making.save_database

    def half(source: Path, repository: Path, full: bool) -> Any:
        saves(source, repository, full)
        (repository / "tmp.tmp").write_bytes(b"0" * BYTES)
        return failing("repozo")()

    making.save_database = half
    found["repozo fails"] = made(site, directory), parts(directory)
    making.save_database = saves
    saves(site.database, directory / "database", True)
    (directory / "database/tmp.tmp").touch()
    found["killed"] = parts(directory), made(site, directory), parts(directory)
    shutil.rmtree(backups(directory)[0].folder)
    found["removed by hand"] = made(site, directory), parts(directory), len(backups(directory))
    disk.leave(SPARE)
    found["too small"] = made(site, directory), len(backups(directory))
    disk.leave(10**9)
    found["third"] = made(site, directory), parts(directory)
    written(site.data)
    needed = making.Plan.of(site, directory, False, backups(directory)[0].time - timedelta(days=9)).bytes
    disk.leave(needed + SPARE - 1000)
    found["more kept"] = made(site, directory, full=False, keep=9), parts(directory)[0]
    oldest = backups(directory)[0].id
    found["fewer kept"] = made(site, directory, full=False, keep=1), parts(directory)[0]
    found["gone"] = [oldest not in {each.id for each in backups(directory)}, len(backups(directory))]
    disk.capacity = 0
    found["fewer are not enough"] = made(site, directory, keep=1), [each.state for each in backups(directory)]
    return found


def main() -> None:
    """Print what came of each play."""
    folder = Path(tempfile.mkdtemp())
    site, directory = Site(folder / "data"), folder / "backups"
    directory.mkdir()
    written(site.data, 2)
    backup = prove(make(site, directory, ABOUT, full=False, full_days=7), directory)
    found = {"restores": restores(site, directory, backup), "upgrades": upgrades(site, directory, backup)}
    (folder / "others").mkdir()
    found["makes"] = makes(Site(folder / "data/versions/6.1.4"), folder / "others")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
