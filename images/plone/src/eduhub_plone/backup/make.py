"""Makes a backup beside the running site: its database by repozo, and only then its blobs.

In that order, because a blob that no object names yet does no harm, while an object whose blob was not copied is lost.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ZODB.scripts import repozo

from . import database as zodb
from .errors import BackupError, RefusedError
from .files import BLOBS, DATA_FS, LAYOUT, blobs_in, digest, digest_of, linked, need_space, sync
from .repository import ID_FORMAT, PART_FORMAT, UNFINISHED, Backup, backups, clean, prune, refuse_later, write_manifest

SUMS = "blobs.sha256"
ALL_TIME = "9999"
UNCHANGED = "Nothing was changed."
# The names under which Plone is told of a database that is not files.
ELSEWHERE = ("ZEO_ADDRESS", "RELSTORAGE_DSN", "RELSTORAGE_DSN_FILE")


@dataclass(frozen=True)
class Site:
    """A site's data: the directory that its container has at /data."""

    data: Path

    @property
    def database(self) -> Path:
        return self.data / DATA_FS

    @property
    def blobs(self) -> Path:
        return self.data / BLOBS

    def check(self, environment: Mapping[str, str]) -> None:
        """Raise RefusedError unless the site's database is files."""
        if any(environment.get(name) for name in ELSEWHERE):
            raise RefusedError(
                "plone_database_unsupported",
                "Plone's database is not in files (ZEO_ADDRESS or RELSTORAGE_DSN): back it up where it is. "
                "Nothing was changed.",
            )
        if not self.database.is_file():
            raise RefusedError(
                "plone_database_unsupported",
                f"There is no database {DATA_FS} in Plone's volume. Nothing was changed.",
            )


class Timer:
    """Seconds of each step, by its name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - begun, 2)


def usable(directory: Path) -> None:
    """Raise RefusedError unless backups can be written into `directory`."""
    if not os.access(directory, os.W_OK | os.X_OK):
        raise RefusedError(
            "backup_directory_unusable",
            f"User {os.getuid()} cannot write into the directory of backups. Nothing was changed.",
        )


@dataclass(frozen=True)
class Plan:
    """What a backup begins with: those that were `found`, and the newest `sound` one, with which it shares blobs."""

    found: Sequence[Backup]
    full: bool
    sound: Backup | None
    bytes: int

    @classmethod
    def of(cls, site: Site, directory: Path, full: bool, due: datetime) -> Plan:
        """Return the plan of a backup that is a full one where the newest full copy is from before `due`."""
        found = [each for each in backups(directory) if each.manifest is not None]
        full = full or not found or began(found) < due
        sound = None if full else next((each for each in reversed(found) if each.state != "damaged"), None)
        before = dict(blobs_in(sound.folder / "blobs")) if sound else {}
        added = sum(size for name, size in blobs_in(site.blobs) if before.get(name) != size)
        return cls(found, full, sound, 2 * site.database.stat().st_size + added)

    def fit(self, directory: Path, removed: int = 0) -> None:
        """Raise RefusedError unless there is room for it, by now without the `removed` backups."""
        ending = f"{removed} that are no longer kept were removed, the site is untouched." if removed else UNCHANGED
        need_space(directory, self.bytes, "The backup, with the copy that proves it,", ending=ending)


def make(
    site: Site, directory: Path, about: Mapping[str, Any], full: bool, full_days: float,
    thin: Callable[[], Sequence[Backup]] = tuple,
) -> Backup:  # fmt: skip
    """Make a backup and return it; BackupError, and any other failure, leaves the backups that were there.

    Where there is no room for it, `thin` first removes those that are no longer kept, and returns them.
    """
    usable(directory)
    clean(directory)
    found = [each for each in backups(directory) if each.manifest is not None]
    foreign(found, about)
    now = datetime.now(timezone.utc)
    refuse_later(backups(directory), directory / "database", now)
    prune(directory)
    due = now - timedelta(days=full_days)
    plan = Plan.of(site, directory, full, due)
    try:
        plan.fit(directory)
    except RefusedError:
        gone = thin()
        plan = Plan.of(site, directory, full, due)
        plan.fit(directory, len(gone))
    there = names(directory / "database")
    try:
        write(site, directory, about, plan, now)
    except BaseException:
        if not (directory / now.strftime(ID_FORMAT)).exists():
            shutil.rmtree(directory / f"{UNFINISHED}{now.strftime(ID_FORMAT)}", ignore_errors=True)
            for name in names(directory / "database") - there:
                (directory / "database" / name).unlink()
        raise
    return next(each for each in backups(directory) if each.id == now.strftime(ID_FORMAT))


def names(folder: Path) -> set[str]:
    """Return the names in a directory; none where it is not there."""
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def write(site: Site, directory: Path, about: Mapping[str, Any], plan: Plan, now: datetime) -> None:
    """Write the backup of `now`, which is there whole or not at all."""
    unfinished = directory / f"{UNFINISHED}{now.strftime(ID_FORMAT)}"
    (unfinished / "blobs").mkdir(parents=True)
    timer = Timer()
    with timer.step("database"):
        older = {file["name"] for each in plan.found for file in each.whole()["database"]}
        least = zodb.last_transaction(site.database, zodb.complete(site.database))
        files = save_database(site.database, directory / "database", plan.full)
        new = [each for each in files if each.name not in older]
    with timer.step("blobs"):
        copied = save_blobs(site.blobs, unfinished, plan.sound)
    with timer.step("check"):
        fields = compared(site, files, least)
    manifest = {
        **about, **fields, "id": now.strftime(ID_FORMAT), "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "full": files == new and not copied["blob_files_linked"], **copied, "seconds": timer.seconds,
        "added": sum(each.stat().st_size for each in new) + copied["blob_bytes_copied"],
    }  # fmt: skip
    same_site(plan.found, manifest)
    write_manifest(unfinished / "manifest.json", {**manifest, "note": note(plan.found, manifest)})
    os.sync()
    unfinished.rename(directory / manifest["id"])
    sync(directory)


def foreign(found: Sequence[Backup], about: Mapping[str, Any]) -> None:
    """Raise RefusedError where the newest backup is of another stack."""
    stack = found[-1].whole().get("stack") if found else about["stack"]
    if stack != about["stack"]:
        raise RefusedError(
            "backup_foreign",
            f"The directory holds backups of the stack {stack}, and this is {about['stack']}: name another in "
            "plone_backup_directory. Nothing was changed.",
        )


def same_site(found: Sequence[Backup], manifest: Mapping[str, Any]) -> None:
    """Raise RefusedError where no site of the newest backup is in this one, and both have some."""
    before = identities(found[-1].whole()) if found else set()
    if before and identities(manifest) and not before & identities(manifest):
        raise RefusedError(
            "backup_foreign",
            f"The directory holds backups of another site: the newest, {found[-1].id}, has none of this database's "
            "sites. Move them away, or name another directory in plone_backup_directory. No backup was made.",
        )


def identities(manifest: Mapping[str, Any]) -> set[str]:
    """Return what tells the sites of a backup from all others; empty where they have nothing that does."""
    return {each for each in manifest["sites"].values() if each}


def began(found: Sequence[Backup]) -> datetime:
    """Return when the newest full copy of the database was made."""
    first = Path(found[-1].whole()["database"][0]["name"]).stem
    return datetime.strptime(first, PART_FORMAT).replace(tzinfo=timezone.utc)


def save_database(source: Path, repository: Path, full: bool) -> list[Path]:
    """Run repozo; return the files that a restore of now needs, in order: a full copy and what came after it."""
    repository.mkdir(exist_ok=True)
    before = {path.name for path in repository.iterdir()}
    words = ["--backup", "--verbose", "--gzip", "--repository", str(repository), "--file", str(source)]
    ran = subprocess.run(
        [sys.executable, "-m", "ZODB.scripts.repozo", *words, *(["--full"] if full else [])],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BackupError(
            "backup_failed",
            f"repozo could not copy the database of the running site (exit code {ran.returncode}): {last} "
            "No backup was made; the site is untouched.",
        )
    written = {path.stem for path in repository.iterdir() if path.name not in before}
    return needed_files(repository, max(written, default=ALL_TIME))  # it writes nothing where nothing is new


def needed_files(repository: Path, until: str = ALL_TIME) -> list[Path]:
    """Return what repozo would restore from: the newest full copy made `until` then, and the parts after it."""
    wanted = SimpleNamespace(repository=str(repository), date=until)
    return [Path(path) for path in repozo.find_files(wanted)]


def save_blobs(source: Path, target: Path, before: Backup | None) -> dict[str, Any]:
    """Copy the blobs, each once: what the backup `before` has, is the same file. Write their digests beside them.

    A committed blob is never written again, so an equal name and size are an equal blob; the proof reads all of them.
    """
    known = sums(before.folder / SUMS) if before else {}
    sizes = dict(blobs_in(before.folder / "blobs")) if before else {}
    kept, copied, total, lines = 0, 0, 0, []
    for name, size in blobs_in(source):
        if before and name in known and sizes.get(name) == size and name != LAYOUT:
            linked(before.folder / "blobs", target / "blobs", [name])
            found = known[name]
            kept += 1
        else:
            (target / "blobs" / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(source / name, target / "blobs" / name)
            except FileNotFoundError:
                raise changed("a blob was removed") from None
            found, size = digest_of(target / "blobs" / name)  # noqa: PLW2901 - that of the copy
            copied += size
        total += size
        lines.append(f"{found}  {name}\n")
    (target / SUMS).write_text("".join(lines), "utf-8")
    return {
        "blob_files": len(lines), "blob_files_linked": kept, "blob_bytes": total, "blob_bytes_copied": copied,
        "blob_sums": digest_of(target / SUMS)[0],
    }  # fmt: skip


def changed(what: str) -> BackupError:
    """Return the failure of a backup during which the site's past changed."""
    return BackupError(
        "backup_failed",
        f"The database was packed while it was copied ({what}). No backup was made; the site is untouched. "
        "Repeat the command when the pack has ended.",
    )


def sums(path: Path) -> dict[str, str]:
    """Return the digest of each blob by its name, from a file as sha256sum writes it."""
    return {line[66:]: line[:64] for line in path.read_text("utf-8").splitlines()}


def compared(site: Site, files: Sequence[Path], least: bytes) -> dict[str, Any]:
    """Return what the site holds, up to the transaction with which the copy ends. Raises BackupError.

    The copy has to be, byte for byte, the beginning of the site's own file, with the transaction `least` in it.
    """
    copy, size = unpacked(files)
    with site.database.open("rb") as stream:
        if digest(stream, size) != (copy, size):
            raise changed("its beginning is another now")
    tid = zodb.last_transaction(site.database, size)
    if tid < least:
        raise BackupError(
            "backup_failed",
            f"The copy of the database ends with transaction {tid.hex()}, and the site had {least.hex()} before it. "
            "No backup was made; the site is untouched. --full makes a copy that goes on from none before.",
        )
    with zodb.opened(site.database, stop=tid) as storage:
        found = zodb.contents(storage, tid, has_blob(site.blobs))
    return {
        "database": [
            {"name": each.name, "size": each.stat().st_size, "sha256": digest_of(each)[0]} for each in files
        ],
        "size": size, "sha256": copy, "last_transaction": found.last_transaction, "recovery_point": zodb.when(tid),
        "counts": found.counts, "sites": found.sites, "missing": found.missing,
    }  # fmt: skip


def unpacked(files: Sequence[Path]) -> tuple[str, int]:
    """Return digest and size of the Data.fs in repozo's files. Raises OSError or EOFError for damaged ones."""
    return digest(Joined(files))  # type: ignore[arg-type] # all that is asked of it is `read`


class Joined:
    """The content of compressed files, one after the other."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._left = list(files)
        self._file: Any = None

    def read(self, size: int) -> bytes:
        while self._file or self._left:
            self._file = self._file or gzip.open(self._left.pop(0), "rb")  # noqa: SIM115 - closed at its end
            block: bytes = self._file.read(size)
            if block:
                return block
            self._file.close()
            self._file = None
        return b""


def has_blob(folder: Path) -> Callable[[bytes, bytes], bool]:
    """Return whether a `bushy` directory of blobs has the file of an object's revision (ZODB.blob.BushyLayout)."""

    def has(oid: bytes, serial: bytes) -> bool:
        place = folder.joinpath(*(f"0x{byte:02x}" for byte in oid))
        return (place / f"0x{serial.hex()}.blob").is_file()

    return has


def note(found: Sequence[Backup], manifest: Mapping[str, Any]) -> str | None:
    """Return what an operator should know of the site, None where there is nothing."""
    said = []
    if manifest["missing"]:
        said.append(
            f"The site itself lacks {len(manifest['missing'])} of its blobs (objects "
            f"{zodb.told(manifest['missing'])}), so every backup does"
        )
    if found and manifest["last_transaction"] < found[-1].whole()["last_transaction"]:
        said.append(
            f"the site's last change is of {manifest['recovery_point']}, before that of backup {found[-1].id} "
            f"({found[-1].whole()['recovery_point']}): unless it was restored since, it has lost changes"
        )
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else None
