"""Prepares the database of another version of Plone beside the one that is served, in steps that the pilot takes.

`stage` writes a backup's data into the volume; `migrate` brings it to this image's version; `enter` makes it the
database of that version, unless the served one was written meanwhile; `leave` removes it, or puts it aside. The served
one is untouched, until `confirm` notes in it that it is no longer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..place import VERSIONS, claim, is_left, leave_for, place, take_back
from ..turn import free
from .errors import RefusedError
from .files import BLOBS, DATA_FS, need_space, sync, write_json
from .make import Site
from .migrate import migrate
from .pages import served
from .reads import written
from .repository import Backup, read
from .restore import closed, last, write_copy
from .restore import free as untaken

STAGED = "upgrade-"
# What was written to a new version that did not stay.
UNDONE = "undone-upgrade-"
# In the directory of a migrated database: its last transaction, before any request.
MIGRATED = "migrated.json"


def stage(volume: Path, serves: str, backup: Backup, directory: Path, run: str) -> None:
    """Write the backup's data into the volume, in place of what earlier upgrades left.

    Raises RefusedError where one of those is open, so that `serves` is not the one that serves; DamagedError.
    """
    manifest = backup.whole()
    refuse_other_label(serves, manifest.get("plone"))
    refuse_open(volume, serves)
    for path in volume.glob(f"{STAGED}*"):
        shutil.rmtree(path)
    older = replaced(volume, serves)
    need_space(volume, manifest["size"] + manifest["blob_bytes"], "The copy that is upgraded", older)
    for path in older:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_copy(backup, directory, volume / f"{STAGED}{run}")


def replaced(volume: Path, serves: str) -> list[Path]:
    """Return what an upgrade removes before it writes its copy: every database but that of `serves`.

    Where the first one is not the one that is served, all of that but its lock and marks.
    """
    first = place(volume, serves) != volume
    parts = [path for path in (volume / BLOBS, *volume.glob(f"{DATA_FS}*")) if path.exists() and path.suffix != ".lock"]
    others = [path for path in volume.glob(f"{VERSIONS}/*") if path.name != serves]
    return [*others, *(parts if first else [])]


def refuse_other_label(label: str, plone: str | None) -> None:
    """Raise RefusedError where an image's label has another version than its Plone, if that is known."""
    if plone and plone != label:
        raise RefusedError(
            "plone_label_differs",
            f"The image that serves says that it has Plone {label} (label org.opencontainers.image.version), and has "
            f"{plone}: which database is whose would be mistaken. Nothing was changed. Build it with the label {plone} "
            "and deploy it first.",
        )


def refuse_open(volume: Path, serves: str) -> None:
    """Raise RefusedError where a process has one of the databases open that are not that of `serves`."""
    own = place(volume, serves)
    others = [path for path in volume.glob(f"{VERSIONS}/*") if path != own]
    if own != volume and not is_open(own):  # the one that serves has the lock of the first database too
        others.append(volume)
    for data in others:
        if is_open(data):
            raise RefusedError(
                "plone_runs",
                f"Plone has the database in {data} open, and not that of Plone {serves}, which is said to serve: it "
                "would have been removed. Nothing was changed.",
            )


def is_open(data: Path) -> bool:
    """Return whether a process has the database in `data` open."""
    database = Site(data).database
    return database.parent.is_dir() and not free(database)


def upgrade(volume: Path, run: str, environ: Mapping[str, str], version: str | None) -> dict[str, Any]:
    """Migrate the staged copy, and return what `migrate` does. Raises BackupError."""
    data = volume / f"{STAGED}{run}"
    with served(data, environ):
        done = migrate()
    claim(data, version)
    note_migrated(data)
    os.sync()
    return done


def note_migrated(data: Path) -> None:
    """Note with which transaction a migrated database begins to be served."""
    write_json(data / MIGRATED, {"last_transaction": last(Site(data).database)})


def enter(volume: Path, serves: str, version: str, run: str, transaction: str) -> None:
    """Make the staged copy the database of `version`. Raises RefusedError where the served one was written since."""
    unwritten(volume, serves, transaction)
    (volume / VERSIONS).mkdir(exist_ok=True)
    (volume / f"{STAGED}{run}").rename(volume / VERSIONS / version)
    sync(volume / VERSIONS)
    sync(volume)


def unwritten(volume: Path, serves: str, transaction: str) -> None:
    """Raise RefusedError where the database of `serves` was written after `transaction`, but for what reads write.

    Reads go on: the new version makes a scale again, and a lock is not needed to save a form.
    """
    if now := written(Site(place(volume, serves)).database, transaction):
        raise RefusedError(
            "plone_written_meanwhile",
            f"Plone's database was written after the backup of which the new version has a copy (transaction {now} "
            f"instead of {transaction}), by a request that was under way or past Plone's endpoint.",
        )


def confirm(volume: Path, origin: str, version: str) -> None:
    """Let no Plone open the database of `origin` unless somebody says so: what is written is in that of `version`.

    Nor the first one, which every version takes that has no other.
    """
    others = {volume, place(volume, origin)} - {place(volume, version)}
    new = [data for data in others if not is_left(data)]
    try:
        for data in others:
            leave_for(data, version)
            sync(data)
    except OSError:  # a full disk: a rollback needs both
        for data in new:
            take_back(data)
        raise


def leave(volume: Path, version: str, run: str = "") -> str | None:
    """Remove the database of `version`, which no process has open, and copies that were not finished. Repeatable.

    What was written to that database since it was migrated, as by a link that writes by GET, is put aside: return where
    in the volume that of the upgrade `run` is, None where nothing was written.
    """
    data, undone = place(volume, version), volume / f"{UNDONE}{run}"
    if data != volume:
        closed(Site(data))
        aside = untaken(undone) if served_writes(data) else volume / f"{STAGED}left"
        shutil.rmtree(volume / f"{STAGED}left", ignore_errors=True)
        data.rename(aside)
        sync(volume / VERSIONS)
        sync(volume)
    for path in volume.glob(f"{STAGED}*"):
        shutil.rmtree(path)
    return undone.name if undone.is_dir() else None


def served_writes(data: Path) -> bool:
    """Return whether a migrated database was written once it was served, or may have been."""
    marker = read(data / MIGRATED, sealed=False)
    if marker is None or not Site(data).database.exists():  # of an earlier release, or never finished
        return False
    try:
        return written(Site(data).database, str(marker["last_transaction"])) is not None
    except Exception:  # a damaged database or marker; what it holds is not known
        return True
