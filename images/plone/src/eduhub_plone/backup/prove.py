"""Proves a backup: restores it to scratch, loads every object, reads every blob, and compares all with its manifest."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import database as zodb
from .errors import BackupError, DamagedError
from .files import BLOBS, blobs_in, digest_of, linked, need_space, write_json
from .make import SUMS, Timer, has_blob, sums
from .repository import SCRATCH, Backup


def prove(
    backup: Backup, directory: Path, then: Callable[[Path], None] = lambda _: None, *, by_maker: bool = False,
    migrates: bool = False,
) -> Backup:  # fmt: skip
    """Restore a backup to scratch and note whether it is what its manifest says; return it with that note.

    `then` is called with the restored directory where it is. `by_maker`: in the image that made it, just then: what
    that cannot load, is broken in the site. `migrates`: in the image of another version, whose proof is not kept.

    BackupError, and the note of before stays, where the files are what they were and this image finds less in them.
    """
    timer = Timer()
    known: list[str] | None = (backup.proof or {}).get("unreadable")
    why = note = None
    try:
        with timer.step("proof"):
            scratch = restored(backup, directory, timer)
            try:
                wrong = check_contents(scratch / "Data.fs", scratch / BLOBS, backup.whole())
            except DamagedError as error:
                if migrates or backup.state == "proven":
                    raise unreadable_here(f"it finds other content in backup {backup.id}. {error.message}") from None
                raise
            beyond = [] if known is None else [what for oid, what in wrong.items() if oid not in known]
            if beyond and not (by_maker or migrates):
                less = f"it cannot load {len(beyond)} objects of backup {backup.id}: {zodb.told(beyond)}."
                raise unreadable_here(less)
            itself = by_maker or (known is not None and not beyond)
            where = ", as in the site itself" if itself else " by this image"
            if wrong:
                note = f"{len(wrong)} objects cannot be loaded{where}: {zodb.told(list(wrong.values()))}."
            known = list(wrong) if by_maker else known
        then(scratch)
    except DamagedError as error:
        why = error.message
    finally:
        shutil.rmtree(directory / SCRATCH, ignore_errors=True)
    proof = {
        "proven": why is None, "why": why, "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "note": note, "unreadable": known, "seconds": timer.seconds["proof"],
        "restore_seconds": timer.seconds.get("restore"),
    }  # fmt: skip
    if why or not migrates:
        write_json(backup.folder / "proof.json", proof)
    return Backup(backup.id, backup.folder, backup.manifest, proof)


def unreadable_here(less: str) -> BackupError:
    """Return that this image finds less in a backup than the one that made it."""
    return BackupError(
        "backup_unreadable",
        f"This image of Plone reads less than the one that made the backup: {less} The backup and its proof are as "
        "before, and the site is untouched.",
    )


def restored(backup: Backup, directory: Path, timer: Timer) -> Path:
    """Restore a backup to scratch, and return where: its Data.fs and blobstorage. Raises DamagedError."""
    manifest = backup.whole()
    scratch = directory / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)  # left by a run that was killed
    need_space(directory, manifest["size"], "The copy that proves the backup")
    with timer.step("restore"):
        check_blobs(backup)
        restore_database(backup, directory / "database", scratch)
    (scratch / BLOBS).mkdir()
    linked(backup.folder / "blobs", scratch / BLOBS, sums(backup.folder / SUMS))
    return scratch


def check_blobs(backup: Backup) -> None:
    """Raise DamagedError unless every blob is there, and is what was copied."""
    manifest = backup.whole()
    try:
        if digest_of(backup.folder / SUMS)[0] != manifest["blob_sums"]:
            raise DamagedError(f"The list of blobs of backup {backup.id} was changed after it was written.")
        expected = sums(backup.folder / SUMS)
        wrong = sorted(expected.keys() - {name for name, _ in blobs_in(backup.folder / "blobs")})
        if wrong:
            raise DamagedError(f"Backup {backup.id} lacks {len(wrong)} of its blobs: {zodb.told(wrong)}.")
        wrong = [name for name, known in expected.items() if digest_of(backup.folder / "blobs" / name)[0] != known]
    except OSError as error:
        raise unreadable(backup, error) from None
    if wrong:
        raise DamagedError(f"{len(wrong)} blobs of backup {backup.id} are not what was copied: {zodb.told(wrong)}.")


def unreadable(backup: Backup, error: OSError) -> DamagedError:
    """Return that a file of a backup cannot be read."""
    return DamagedError(f"Backup {backup.id} cannot be read: {error.strerror or error} ({error.filename}).")


def restore_database(backup: Backup, repository: Path, folder: Path) -> None:
    """Write the backup's Data.fs into a new `folder`, by repozo from exactly its own files. Raises DamagedError."""
    manifest = backup.whole()
    folder.mkdir(parents=True)
    parts = folder / "parts"
    parts.mkdir()
    for file in manifest["database"]:
        path = repository / file["name"]
        if not path.is_file():
            raise DamagedError(f"Backup {backup.id} lacks {file['name']}, a part of its database.")
        try:
            found = digest_of(path)
        except OSError as error:
            raise unreadable(backup, error) from None
        if found != (file["sha256"], file["size"]):
            raise DamagedError(f"{file['name']}, a part of the database of backup {backup.id}, was changed.")
    for file in manifest["database"]:
        for path in (repository / file["name"], (repository / file["name"]).with_suffix(".index")):
            (parts / path.name).symlink_to(path)
    words = ["--recover", "--repository", str(parts), "--date", "9999", "--output", str(folder / "Data.fs")]
    ran = subprocess.run(
        [sys.executable, "-m", "ZODB.scripts.repozo", *words],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DamagedError(f"repozo could not restore backup {backup.id} (exit code {ran.returncode}): {last}")
    shutil.rmtree(parts)
    if digest_of(folder / "Data.fs") != (manifest["sha256"], manifest["size"]):
        raise DamagedError(f"The database that backup {backup.id} restores is not the one that was copied.")


def check_contents(path: Path, blobs: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Raise DamagedError unless a restored database holds all that the manifest counts.

    Every object is loaded; those that cannot be are returned. The database is the site's, byte for byte: they are
    broken there too, or this is not its image.
    """
    backup = manifest["id"]
    tid = zodb.last_transaction(path, manifest["size"])
    with zodb.opened(path, blobs=blobs) as storage:
        found = zodb.contents(storage, tid, has_blob(blobs))
        wrong = zodb.unreadable(storage)
    lost = sorted(set(found.missing) - set(manifest["missing"]))
    if lost:
        raise DamagedError(f"Backup {backup} lacks the blobs of {len(lost)} objects: {zodb.told(lost)}.")
    for name, value in {**found.counts, "last_transaction": found.last_transaction, "sites": found.sites}.items():
        expected = {**manifest["counts"], **manifest}[name]
        if isinstance(value, dict):  # by site: a backup of an earlier release names none below a folder
            value = {site: of for site, of in value.items() if site in expected or "/" not in site}  # noqa: PLW2901
        if value != expected:
            raise DamagedError(f"Backup {backup} restores {name} {value}, and the site had {expected}.")
    return wrong
