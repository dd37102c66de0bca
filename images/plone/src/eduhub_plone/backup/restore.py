"""Restores a backup in place of the site's data, in steps that the pilot takes one by one.

`stage` writes the copy beside the data while the site serves; `swap` exchanges both by renaming, with the site stopped;
`undo` exchanges them back; `settle` ends it. What was replaced stays, until the next restore. A marker in the volume
says that a restore is between `swap` and `settle`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zc.lockfile import LockError, LockFile

from . import database as zodb
from .errors import DamagedError, RefusedError
from .files import BLOBS, DATA_FS, digest_of, need_space, sync, write_json
from .make import SUMS, Site, identities, sums
from .prove import check_blobs, restore_database
from .repository import Backup, read

MARKER = "restore.json"
STAGED = "restore-"
BEFORE = "before-restore-"
FOLDERS = (Path(DATA_FS).parts[0], BLOBS)


def interrupted(site: Site) -> str | None:
    """Return the run of a restore that was neither undone nor settled; None where there is none."""
    marker = read(site.data / MARKER, sealed=False)
    return str(marker["run"]) if marker else None


def plan(
    site: Site, backup: Backup, found: Sequence[Backup], stack: str, version: str | None, any_site: bool = False
) -> dict[str, Any]:
    """Return what a restore would do. Raises RefusedError where it must not be tried.

    `fresh`: whether a proven backup holds the site as it is now. A backup of another site is one for `any_site`.
    """
    refuse_interrupted(site)
    if backup.state != "proven":
        raise RefusedError(
            "backup_not_proven",
            f"Backup {backup.id} is {backup.state}, not proven. Nothing was changed. Restore it to scratch first.",
        )
    manifest = backup.whole()
    if manifest["stack"] != stack:
        raise RefusedError("backup_foreign", f"Backup {backup.id} is of the stack {manifest['stack']}, not {stack}.")
    if manifest.get("plone") != version:
        raise RefusedError(
            "backup_version_differs",
            f"Backup {backup.id} is of Plone {manifest.get('plone')}, and {version} runs: versions do not share a "
            "database. Nothing was changed.",
        )
    with zodb.opened(site.database) as storage:
        now = storage.lastTransaction().hex()
        here = zodb.sites(storage)
    there = identities({"sites": here}) if here else set()
    if there and not identities(manifest) & there and not any_site:
        raise RefusedError(
            "backup_foreign",
            f"Backup {backup.id} is of another site: it has none of those in this database. Nothing was changed.",
        )
    needed = manifest["size"] + manifest["blob_bytes"]
    need_space(site.data, needed, "The restored copy, beside the data that stays,")
    fresh = any(each.state == "proven" and each.whole()["last_transaction"] == now for each in found)
    return {"fresh": fresh, "now": zodb.when(bytes.fromhex(now)), "bytes": needed}


def stage(site: Site, backup: Backup, directory: Path, run: str) -> None:
    """Write the backup's data beside that of the site, and compare it with the manifest. Raises DamagedError."""
    for path in (*site.data.glob(f"{STAGED}*"), *site.data.glob(f"{BEFORE}*")):
        shutil.rmtree(path)
    write_copy(backup, directory, site.data / f"{STAGED}{run}")


def write_copy(backup: Backup, directory: Path, target: Path) -> None:
    """Write the backup's data into a new directory, and compare it with the manifest. Raises DamagedError."""
    try:
        check_blobs(backup)
        restore_database(backup, directory / "database", target / FOLDERS[0])
        copy_blobs(backup, target / BLOBS)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    os.sync()


def copy_blobs(backup: Backup, folder: Path) -> None:
    """Copy a backup's blobs into a new directory. Raises DamagedError."""
    folder.mkdir()
    for name, known in sums(backup.folder / SUMS).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(backup.folder / "blobs" / name, folder / name)
        if digest_of(folder / name)[0] != known:
            raise DamagedError(f"The blob {name} was not what backup {backup.id} has, once it was copied.")


def swap(site: Site, run: str) -> None:
    """Exchange the site's data and the staged copy. Raises RefusedError while the site is open."""
    closed(site)
    before, staged = site.data / f"{BEFORE}{run}", site.data / f"{STAGED}{run}"
    before.mkdir()
    write_json(site.data / MARKER, {"run": run})
    for name in FOLDERS:
        if (site.data / name).exists():
            (site.data / name).rename(before / name)
    for name in FOLDERS:
        (staged / name).rename(site.data / name)
    staged.rmdir()
    sync(site.data)


def closed(site: Site) -> None:
    """Raise RefusedError while a process has the database open."""
    try:
        LockFile(f"{site.database}.lock").close()
    except LockError:
        raise RefusedError("plone_runs", "Plone has its database open. Nothing was changed.") from None


def undo(site: Site) -> bool:
    """Bring the data back that an unsettled restore replaced; return whether there was one. Repeatable."""
    run = interrupted(site)
    if run is None:
        return False
    before, aside = site.data / f"{BEFORE}{run}", site.data / f"{STAGED}{run}"
    aside.mkdir(exist_ok=True)
    for name in FOLDERS:
        if (before / name).exists():
            if (site.data / name).exists():
                shutil.rmtree(aside / name, ignore_errors=True)
                (site.data / name).rename(aside / name)
            (before / name).rename(site.data / name)
    sync(site.data)
    (site.data / MARKER).unlink()
    shutil.rmtree(aside)
    shutil.rmtree(before)
    return True


def settle(site: Site) -> str:
    """End a restore that succeeded; return where in the volume the data is that it replaced."""
    run = interrupted(site)
    (site.data / MARKER).unlink(missing_ok=True)
    sync(site.data)
    return f"{BEFORE}{run}"


def refuse_interrupted(site: Site) -> None:
    """Raise RefusedError where a restore was interrupted."""
    run = interrupted(site)
    if run:
        raise RefusedError(
            "restore_interrupted",
            f"The restore of run {run} was interrupted: it is not known which data Plone should have. Nothing was "
            "changed. A restore brings back what was there before, and begins again.",
        )
