"""Restores a backup in place of the site's data, in steps that the pilot takes one by one.

`stage` writes the copy beside the data while the site serves; `swap` exchanges both by renaming, with the site stopped;
`undo` exchanges them back; `settle` ends it. What was replaced stays, until the next restore. A marker in the volume
says that a restore is between `swap` and `settle`. What Plone wrote in between is never removed.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from zc.lockfile import LockError, LockFile
from ZODB.FileStorage import FileStorage

from . import database as zodb
from . import reads
from .errors import DamagedError, RefusedError
from .files import BLOBS, DATA_FS, digest_of, need_space, sync, write_json
from .make import SUMS, Site, identities, sums
from .prove import check_blobs, restore_database
from .repository import Backup, read

MARKER = "restore.json"
STAGED = "restore-"
BEFORE = "before-restore-"
UNDONE = "undone-restore-"
FOLDERS = (Path(DATA_FS).parts[0], BLOBS)


def interrupted(site: Site) -> str | None:
    """Return the run of a restore that was neither undone nor settled; None where there is none."""
    marker = read(site.data / MARKER, sealed=False)
    return str(marker["run"]) if marker else None


def written(site: Site) -> bool:
    """Return whether the data that an unsettled restore put in place was written since, or may have been.

    What reads write does not count: Plone writes it as soon as the restored site is looked at.
    """
    marker = read(site.data / MARKER, sealed=False)
    if marker is None:
        return False
    if "written" in marker:  # an undo that was interrupted knew it
        return bool(marker["written"])
    if not (site.data / f"{BEFORE}{marker['run']}" / FOLDERS[0]).exists() or not site.database.exists():
        return False  # the data from before is in place, or none is
    return written_since(site, str(marker.get("last_transaction")))


def last(database: Path) -> str:
    """Return the id of the last transaction in a file, by its end alone; nothing sensible while it is written."""
    try:
        return zodb.last_transaction(database, database.stat().st_size).hex()
    except (OSError, ValueError, OverflowError):
        return ""


def written_since(site: Site, transaction: str) -> bool:
    """Return whether the site was written after `transaction`, but for what reads write, or may have been.

    The database is opened only where its end is another: Plone may be stopped for this.
    """
    if last(site.database) == transaction:
        return False
    try:
        return reads.written(site.database, transaction) is not None
    except Exception:  # a damaged database or marker; what it holds is not known
        return True


def refuse_written(site: Site, transaction: str) -> None:
    """Raise RefusedError where the site was written after `transaction`, but for what reads write; none is any."""
    if transaction and written_since(site, transaction):
        raise RefusedError(
            "plone_written_meanwhile",
            f"Plone's data was written after it was compared with its backups (its last transaction is "
            f"{last(site.database) or 'not known'} instead of {transaction}).",
        )


def plan(
    site: Site, backup: Backup, found: Sequence[Backup], stack: str, version: str | None, any_site: bool = False
) -> dict[str, Any]:
    """Return what a restore would do. Raises RefusedError where it must not be tried.

    `fresh`: whether a proven backup holds the site as it is now, but for what reads write. A backup of another site is
    one for `any_site`.
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
        fresh = holds_all(storage, found)
    there = identities({"sites": here}) if here else set()
    if there and not identities(manifest) & there and not any_site:
        raise RefusedError(
            "backup_foreign",
            f"Backup {backup.id} is of another site: it has none of those in this database. Nothing was changed.",
        )
    needed = manifest["size"] + manifest["blob_bytes"]
    need_space(site.data, needed, "The restored copy, beside the data that stays,", replaced(site))
    return {"fresh": fresh, "now": zodb.when(bytes.fromhex(now)), "transaction": now, "bytes": needed}


def holds_all(storage: FileStorage, found: Sequence[Backup]) -> bool:
    """Return whether a proven backup holds all that a site has, but for what reads write.

    Only the newest is compared: what was written since that one was written since each older one too.
    """
    now = str(storage.lastTransaction().hex())
    proven = [str(each.whole()["last_transaction"]) for each in found if each.state == "proven"]
    newest = max((each for each in proven if each <= now), default=None)
    return newest is not None and (newest == now or reads.only_by_reads(storage, bytes.fromhex(newest)))


def stage(site: Site, backup: Backup, directory: Path, run: str, transaction: str = "") -> None:
    """Write the backup's data beside that of the site, and compare it with the manifest. Raises DamagedError.

    RefusedError where the site was written after `transaction`.
    """
    refuse_written(site, transaction)
    for path in replaced(site):
        shutil.rmtree(path)
    write_copy(backup, directory, site.data / f"{STAGED}{run}")


def replaced(site: Site) -> list[Path]:
    """Return what the next restore removes before it writes its copy: what restores left, killed ones too."""
    return [*site.data.glob(f"{STAGED}*"), *site.data.glob(f"{BEFORE}*")]


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


def swap(site: Site, run: str, transaction: str = "") -> None:
    """Exchange the site's data and the staged copy. Raises RefusedError while the site is open.

    Or where it was written after `transaction`. The copy is removed then, and where nothing was exchanged because the
    disk is full: Plone, which is started again, needs the space.
    """
    closed(site)
    before, staged = site.data / f"{BEFORE}{run}", site.data / f"{STAGED}{run}"
    try:
        refuse_written(site, transaction)
        before.mkdir()
        write_json(site.data / MARKER, {"run": run, "last_transaction": last(staged / DATA_FS)})
    except (RefusedError, OSError):
        shutil.rmtree(staged, ignore_errors=True)
        with suppress(OSError):
            before.rmdir()
        raise
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


def undo(site: Site) -> str | None:
    """Bring the data back that an unsettled restore replaced. Repeatable.

    Return where in the volume the data is that Plone had meanwhile, if it was written; None where nothing was.
    """
    run = interrupted(site)
    if run is None:
        return None
    kept = written(site)
    if kept:  # for an undo that repeats this one: the data is not where it was by then
        write_json(site.data / MARKER, {"run": run, "written": True})
    before, staged = site.data / f"{BEFORE}{run}", site.data / f"{STAGED}{run}"
    aside = site.data / f"{UNDONE}{run}" if kept else staged
    aside.mkdir(exist_ok=True)
    for name in FOLDERS:
        if (before / name).exists():
            if (site.data / name).exists():
                if not kept:
                    shutil.rmtree(aside / name, ignore_errors=True)
                (site.data / name).rename(free(aside / name))
            (before / name).rename(site.data / name)
    sync(aside)
    sync(site.data)
    (site.data / MARKER).unlink()
    shutil.rmtree(staged, ignore_errors=True)
    shutil.rmtree(before, ignore_errors=True)
    return aside.name if kept else None


def free(path: Path) -> Path:
    """Return a path that is not taken yet: this one, or this one with a number."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())


def settle(site: Site) -> str:
    """End a restore; return where in the volume the data is that it replaced. RefusedError while it is half done."""
    marker = read(site.data / MARKER, sealed=False) or {}
    staged = site.data / f"{STAGED}{marker.get('run')}"
    half = any((staged / name).exists() or not (site.data / name).exists() for name in FOLDERS)
    if marker and (half or "written" in marker):
        raise RefusedError(
            "restore_interrupted",
            f"The restore of run {marker['run']} was interrupted while the data was exchanged, so Plone has a part of "
            "it alone. Nothing was changed. A restore brings back what was there before, and begins again.",
        )
    (site.data / MARKER).unlink(missing_ok=True)
    sync(site.data)
    return f"{BEFORE}{marker.get('run')}"


def refuse_interrupted(site: Site) -> None:
    """Raise RefusedError where a restore was interrupted."""
    run = interrupted(site)
    if run:
        raise RefusedError(
            "restore_interrupted",
            f"The restore of run {run} was interrupted: it is not known which data Plone should have. Nothing was "
            "changed. A restore brings back what was there before, and begins again; --to served keeps what Plone has.",
        )
