"""The directory of backups: what is in it, which backup is meant, and which are no longer kept.

    database/            repozo's repository, shared by all backups
    ID/manifest.json     what the site was when it was backed up; ID is the time, as 20261129T034012Z
    ID/blobs/            every blob, a hard link where a backup before had it
    ID/blobs.sha256      their digests, as sha256sum writes and checks them
    ID/proof.json        what the last restore to scratch found
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .errors import DamagedError, RefusedError
from .files import write_json

SCHEMA = 1
ID = re.compile(r"\d{8}T\d{6}Z")
ID_FORMAT = "%Y%m%dT%H%M%SZ"
# How repozo names the files of a backup, but for their ends.
PART = re.compile(r"\d{4}(-\d\d){5}")
# A file that it had not written whole.
HALF = "tmp.tmp"
PART_FORMAT = "%Y-%m-%d-%H-%M-%S"
UNFINISHED = ".unfinished-"
SCRATCH = ".scratch"
# A copy that was fetched from a repository elsewhere is alone in a directory of backups of its own, below this one.
FETCHED = ".copy"


@dataclass(frozen=True)
class Backup:
    """One backup: its manifest and its last proof, both None where they cannot be read or are not there."""

    id: str
    folder: Path
    manifest: Mapping[str, Any] | None
    proof: Mapping[str, Any] | None

    @property
    def time(self) -> datetime:
        """When it was made."""
        return time_of(self.id)

    @property
    def state(self) -> str:
        """`made`, `proven` by its last restore to scratch, or `damaged`."""
        if self.manifest is None:
            return "damaged"
        return "made" if self.proof is None else "proven" if self.proof.get("proven") is True else "damaged"

    def document(self) -> dict[str, Any]:
        """Return the backup for an answer."""
        known, proof = self.manifest or {}, self.proof or {}
        names = ("time", "plone", "full", "size", "added", "last_transaction", "recovery_point", "counts", "seconds")
        why = proof.get("why") if self.manifest else "Its manifest cannot be read, or was changed after it was written."
        return {
            "id": self.id, "state": self.state, "why": why, "proof_seconds": proof.get("seconds"),
            "restore_seconds": proof.get("restore_seconds"),
            "note": " ".join(filter(None, (known.get("note"), proof.get("note")))) or None,
            "sites": sorted(each for each in (known.get("sites") or {}).values() if each), "parts": self._parts(),
            **{name: known.get(name) for name in names},
        }  # fmt: skip

    def _parts(self) -> list[str]:
        """Return the names of the files in database/ that a restore needs, or can use."""
        names = [file["name"] for file in (self.manifest or {}).get("database", [])]
        folder = self.folder.parent / "database"
        indices = [Path(each).with_suffix(".index").name for each in names]
        return [*names, *(each for each in indices if (folder / each).exists())]

    def stems(self) -> set[str]:
        """Return the names of the files in database/ that a restore needs, without their ends."""
        return {Path(file["name"]).stem for file in (self.manifest or {}).get("database", [])}

    def whole(self) -> Mapping[str, Any]:
        """Return the manifest. Raises DamagedError."""
        if self.manifest is None:
            raise DamagedError(f"The manifest of backup {self.id} cannot be read, or was changed after it was written.")
        return self.manifest


def time_of(backup: str) -> datetime:
    """Return the time that an id stands for."""
    return datetime.strptime(backup, ID_FORMAT).replace(tzinfo=timezone.utc)


def backups(directory: Path) -> list[Backup]:
    """Return the backups in a directory, oldest first."""
    found = sorted(path for path in directory.iterdir() if ID.fullmatch(path.name)) if directory.is_dir() else []
    return [Backup(path.name, path, read(path / "manifest.json"), read(path / "proof.json", sealed=False))
            for path in found]  # fmt: skip


def write_manifest(path: Path, fields: Mapping[str, Any]) -> None:
    """Write a manifest, sealed with its own digest."""
    document = {"schema": SCHEMA, **fields}
    write_json(path, {**document, "digest": seal(document)})


def seal(document: Mapping[str, Any]) -> str:
    """Return the digest of a document without its field `digest`."""
    kept = {name: value for name, value in document.items() if name != "digest"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def read(path: Path, sealed: bool = True) -> dict[str, Any] | None:
    """Return the document in a file; None where it is absent, unreadable, or not what was written."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    sound = isinstance(document, dict) and (not sealed or document.get("digest") == seal(document))
    return document if sound else None


def refuse_later(found: Sequence[Backup], repository: Path, now: datetime) -> None:
    """Raise RefusedError where a backup, or a part of one in `repository`, has a time after `now`.

    The order of names is that of their times, so what is ahead would be the newest backup of all to come.
    """
    ahead = now.strftime(PART_FORMAT)
    parts = {path.stem for path in repository.iterdir()} if repository.is_dir() else set()
    later = sorted(stem for stem in parts if PART.fullmatch(stem) and stem > ahead)
    needing = [each.id for each in found if each.time > now or not each.stems().isdisjoint(later)]
    if later or needing:
        names = ", ".join([*needing, *(f"{repository.name}/{stem}.*" for stem in later)])
        raise RefusedError(
            "backup_time_ahead",
            f"Backups are of a time that is yet to come, or have parts of one: by the clock of this host it is "
            f"{now:%Y-%m-%dT%H:%M:%SZ}. They would be taken for newer than what is new. Nothing was changed. Correct "
            f"the clock; where it is right, move these out of the directory of backups: {names}",
        )


def of_version(found: Sequence[Backup], version: str | None, *, other: bool = False) -> Sequence[Backup]:
    """Return the backups that are of a `version` of Plone, or of any `other`; all of them where none is.

    One whose version is not known is taken for both.
    """
    known = [(each, (each.manifest or {}).get("plone")) for each in found]
    fitting = [each for each, its in known if None in (its, version) or (its != version) == other]
    return fitting or found


def chosen(found: Sequence[Backup], at: str) -> Backup:
    """Return the newest backup that was made at `at` or before; without `at` the newest. Raises RefusedError.

    `at` is an id, or a time as ISO 8601 writes it, in UTC where it names no zone.
    """
    if not found:
        raise RefusedError("backup_unknown", "There is no backup of this site. Nothing was changed.")
    if not at:
        return found[-1]
    moment = parsed(at)
    before = [each for each in found if each.time <= moment]
    if not before:
        raise RefusedError(
            "backup_unknown",
            f"There is no backup from {at} or before: the oldest is {found[0].id}. Nothing was changed.",
        )
    return before[-1]


def parsed(at: str) -> datetime:
    """Return the time in `at`. Raises RefusedError."""
    try:
        if ID.fullmatch(at):
            return time_of(at)
        moment = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", at.strip()))
    except ValueError:
        raise RefusedError(
            "backup_unknown",
            f"{at!r} is neither the id of a backup nor a time like 2026-11-29T03:40:12Z. Nothing was changed.",
        ) from None
    if len(at.strip()) == len("2026-11-29"):  # a day means all of it
        moment += timedelta(days=1, seconds=-1)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def superfluous(found: Sequence[Backup], keep: int, days: float, now: datetime) -> list[Backup]:
    """Return the backups that are no longer kept: older than `days`, and not among the newest `keep` that are proven.

    A damaged one is kept no longer than `days`; of those that are only made, the newest stays. Their age counts up
    to the backup before the newest: a clock that is ahead for the newest makes no other old.
    """
    proven = [each.id for each in found if each.state == "proven"]
    kept = {*proven[-max(keep, 1) :], *(each.id for each in found[-1:])}
    old = min([now, *(each.time for each in found[-2:-1])]) - timedelta(days=days)
    return [each for each in found if each.id not in kept and each.time < old]


def paused(found: Sequence[Backup], days: float) -> str | None:
    """Return in words that no backup was made for `days` before the newest, by its time; None where one was."""
    if len(found) < 2 or found[-1].time - found[-2].time <= timedelta(days=days):
        return None
    return (
        f"By this host's clock the backup before it, {found[-2].id}, is older than {days:g} days: those that are no "
        "longer kept go with the next one, should the clock be wrong."
    )


def remove(directory: Path, gone: Sequence[Backup]) -> None:
    """Remove backups, and what of repozo's repository none of the others needs."""
    for each in gone:
        aside = directory / f"{UNFINISHED}{each.id}"
        shutil.rmtree(aside, ignore_errors=True)
        each.folder.rename(aside)  # so that half a backup is never taken for one
        shutil.rmtree(aside)
    prune(directory)


def prune(directory: Path) -> None:
    """Remove what of repozo's repository no backup needs: what only removed ones did, or a run left that failed."""
    left, repository = backups(directory), directory / "database"
    if not left or not repository.is_dir() or any(each.manifest is None for each in left):
        return  # what an unreadable manifest needs, or a backup that is moved away for a time, is not known
    needed = {stem for each in left for stem in each.stems()}
    for path in repository.iterdir():
        if path.name == HALF or (PART.fullmatch(path.stem) and path.stem not in needed):
            path.unlink()


def clean(directory: Path) -> None:
    """Remove what a run left that was killed."""
    for path in directory.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path)
    for name in (SCRATCH, FETCHED):
        shutil.rmtree(directory / name, ignore_errors=True)
