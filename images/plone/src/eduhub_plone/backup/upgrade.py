"""Prepares the database of another version of Plone beside the one that is served, in steps that the pilot takes.

`stage` writes a backup's data into the volume; `migrate` brings it to this image's version; `enter` makes it the
database of that version, unless the served one was written meanwhile; `leave` removes it. The served one is untouched,
until `confirm` notes in it that it is no longer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..place import VERSIONS, claim, leave_for, place
from ..turn import free
from . import database as zodb
from .errors import RefusedError
from .files import BLOBS, DATA_FS, need_space, sync
from .make import Site
from .migrate import migrate
from .pages import served
from .repository import Backup
from .restore import closed, write_copy

STAGED = "upgrade-"


def stage(volume: Path, serves: str, backup: Backup, directory: Path, run: str) -> None:
    """Write the backup's data into the volume, in place of what earlier upgrades left.

    Raises RefusedError where one of those is open, so that `serves` is not the one that serves; DamagedError.
    """
    manifest = backup.whole()
    refuse_other_label(serves, manifest.get("plone"))
    refuse_open(volume, serves)
    for path in volume.glob(f"{STAGED}*"):
        shutil.rmtree(path)
    need_space(volume, manifest["size"] + manifest["blob_bytes"], "The copy that is upgraded")
    for path in volume.glob(f"{VERSIONS}/*"):
        if path.name != serves:
            shutil.rmtree(path)
    if place(volume, serves) != volume:  # the first database is not the one that is served: all but its lock and marks
        shutil.rmtree(volume / BLOBS, ignore_errors=True)
        for path in volume.glob(f"{DATA_FS}*"):
            if path.suffix != ".lock":
                path.unlink()
    write_copy(backup, directory, volume / f"{STAGED}{run}")


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
    os.sync()
    return done


def enter(volume: Path, serves: str, version: str, run: str, transaction: str) -> None:
    """Make the staged copy the database of `version`. Raises RefusedError where the served one was written since."""
    unwritten(volume, serves, transaction)
    (volume / VERSIONS).mkdir(exist_ok=True)
    (volume / f"{STAGED}{run}").rename(volume / VERSIONS / version)
    sync(volume / VERSIONS)
    sync(volume)


def unwritten(volume: Path, serves: str, transaction: str) -> None:
    """Raise RefusedError where the database of `serves` was written after `transaction`."""
    with zodb.opened(Site(place(volume, serves)).database) as storage:
        now = storage.lastTransaction().hex()
    if now != transaction:
        raise RefusedError(
            "plone_written_meanwhile",
            f"Plone's database was written after the backup of which the new version has a copy (transaction {now} "
            f"instead of {transaction}), by a request that was under way or past Plone's endpoint.",
        )


def confirm(volume: Path, origin: str, version: str) -> None:
    """Let no Plone open the database of `origin` unless somebody says so: what is written is in that of `version`.

    Nor the first one, which every version takes that has no other.
    """
    for data in {volume, place(volume, origin)} - {place(volume, version)}:
        leave_for(data, version)
        sync(data)


def leave(volume: Path, version: str) -> None:
    """Remove the database of `version`, which nobody has open, and copies that were not finished. Repeatable."""
    data = place(volume, version)
    if data != volume:
        closed(Site(data))
        aside = volume / f"{STAGED}left"
        shutil.rmtree(aside, ignore_errors=True)
        data.rename(aside)
        sync(volume / VERSIONS)
    for path in volume.glob(f"{STAGED}*"):
        shutil.rmtree(path)
