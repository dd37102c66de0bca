"""Runs in Plone's image: backs a small database up, damages the backup in every way, and prints what the proof says.

Prints one JSON object: in `damages` for each the reason of the proof, None where it did not notice; the undamaged
backups `first`, `second` and `packed`; and whether `first` is still proven after all, or why not.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any

from BTrees.OOBTree import OOBTree
from persistent import Persistent
from ZODB.blob import Blob
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

from eduhub_plone.backup import database as zodb
from eduhub_plone.backup import make as making
from eduhub_plone.backup import restore
from eduhub_plone.backup.errors import BackupError
from eduhub_plone.backup.make import Site, make
from eduhub_plone.backup.prove import prove
from eduhub_plone.backup.repository import Backup, backups

ABOUT = {"stack": "test", "image": "sha256:0", "python": "3", "plone": None}
CUT = 500_000


class Writer:
    """A site that is open for writing all the time, as Plone is."""

    def __init__(self, data: Path) -> None:
        (data / "filestorage").mkdir(parents=True)
        storage = FileStorage(str(data / "filestorage/Data.fs"), blob_dir=str(data / "blobstorage"))
        self.database = DB(storage)
        self.count = 0

    def add(self, number: int = 1, size: int = 1000) -> None:
        """Commit so many objects, each with a blob."""
        with self.database.transaction() as connection:
            for _ in range(number):
                self.count += 1
                blob = Blob()
                with blob.open("w") as file:
                    file.write(b"%d" % self.count * 50)
                connection.root()[f"item-{self.count}"] = OOBTree({"text": "x" * size, "blob": blob})


def next_second() -> None:
    """Wait until repozo, which names its files by the second, can write another."""
    time.sleep(1.1 - time.time() % 1)


def flip(path: Path) -> None:
    """Turn one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def database(backup: Backup, part: int) -> Path:
    """Return one file of the backup's database."""
    return backup.folder.parent / "database" / backup.whole()["database"][part]["name"]


def blob(backup: Backup) -> Path:
    """Return the first blob of a backup."""
    return next(path for path in sorted((backup.folder / "blobs").rglob("*.blob")))


def cut_database(backup: Backup) -> None:
    """Let the full copy unpack to 500 kB less, as a copy that was interrupted."""
    path = database(backup, 0)
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:-CUT]))


def edit_manifest(backup: Backup) -> None:
    """Count one object more."""
    path = backup.folder / "manifest.json"
    fields = json.loads(path.read_text())
    fields["counts"]["objects"] += 1
    path.write_text(json.dumps(fields))


DAMAGES: dict[str, Callable[[Backup], Any]] = {
    "blob removed": lambda backup: blob(backup).unlink(),
    "blob flipped": lambda backup: flip(blob(backup)),
    "blob emptied": lambda backup: blob(backup).write_bytes(b""),
    "blobs all removed": lambda backup: shutil.rmtree(backup.folder / "blobs"),
    "list of blobs shortened": lambda backup: (backup.folder / "blobs.sha256").write_text(""),
    "database cut by 500 kB": cut_database,
    "database flipped": lambda backup: flip(database(backup, 0)),
    "file cut in the middle": lambda backup: database(backup, 0).write_bytes(database(backup, 0).read_bytes()[:999]),
    "full copy missing": lambda backup: database(backup, 0).unlink(),
    "incremental missing": lambda backup: database(backup, -1).unlink(),
    "incremental flipped": lambda backup: flip(database(backup, -1)),
    "manifest edited": edit_manifest,
    "manifest missing": lambda backup: (backup.folder / "manifest.json").unlink(),
}


def damaged(backup: Backup, damage: Callable[[Backup], Any], folder: Path) -> str | None:
    """Return why a copy of a backup fails its proof after a damage."""
    directory = folder / "copy"
    shutil.copytree(backup.folder.parent, directory)
    found = next(each for each in backups(directory) if each.id == backup.id)
    damage(found)
    found = next(each for each in backups(directory) if each.id == backup.id)
    why = prove(found, directory).document()["why"]
    shutil.rmtree(directory)
    return why


def wrong_order(writer: Writer, site: Site, directory: Path) -> str | None:
    """Return why a backup fails whose blobs were copied before its database."""
    database_first = making.save_database
    copied: dict[str, Any] = {}

    def blobs_first(source: Path, repository: Path, full: bool) -> list[Path]:
        (unfinished,) = directory.glob(f"{making.UNFINISHED}*")
        copied.update(blobs(site.blobs, unfinished, None))
        writer.add()
        return database_first(source, repository, full)

    blobs = making.save_blobs
    making.save_database, making.save_blobs = blobs_first, lambda *_: copied
    try:
        backup = make(site, directory, ABOUT, full=True, full_days=7)
    finally:
        making.save_database, making.save_blobs = database_first, blobs
    return prove(backup, directory).document()["why"]


class Item(Persistent):
    """Content of an add-on."""


def other_image(folder: Path) -> dict[str, Any]:
    """Return what a proof says with classes that cannot load all that those of before could, or other content."""
    data, directory = folder / "data", folder / "backups"
    directory.mkdir(parents=True)
    writer, site = Writer(data), Site(data)
    writer.add()
    sys.modules["an_add_on"] = module = ModuleType("an_add_on")
    Item.__module__, module.Item = "an_add_on", Item
    with writer.database.transaction() as connection:
        connection.root()["items"] = [Item(), Item()]
    made = make(site, directory, ABOUT, full=False, full_days=7)
    found: dict[str, Any] = {}

    def tried(name: str, backup: Backup, **more: bool) -> Backup:
        try:
            proven = prove(backup, directory, **more)
        except BackupError as error:
            found[name] = [error.code, error.message]
        else:
            found[name] = [proven.state, proven.document()["note"]]
        return next(each for each in backups(directory) if each.id == backup.id)

    def unreadable(*_: object) -> None:
        raise RuntimeError("of another release")

    Item.__setstate__ = unreadable
    tried("without the maker's", made)
    (made.folder / "proof.json").unlink()
    known = tried("in the site itself", made, by_maker=True)
    tried("as before", known)
    del Item.__setstate__
    proven = tried("maker", made, by_maker=True)
    Item.__setstate__ = unreadable
    kept = tried("other", proven)
    kept = tried("migrates", kept, migrates=True)
    del Item.__setstate__
    contents = zodb.contents
    zodb.contents = lambda *words: replace(contents(*words), sites={"Plone": "another"})
    tried("other content", proven)
    zodb.contents = contents
    found["kept"] = (kept.state, kept.proof == proven.proof)
    return found


class Ahead(datetime):
    """A clock that is ahead, for what is in this process."""

    days = 400

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + timedelta(days=cls.days)


def ahead(folder: Path) -> dict[str, Any]:
    """Return what becomes of backups behind one whose clock was ahead, with what they answer moved away."""
    data, directory = folder / "data", folder / "backups"
    directory.mkdir(parents=True)
    writer, site = Writer(data), Site(data)
    writer.add()
    first = make(site, directory, ABOUT, full=False, full_days=7)
    writer.add()
    next_second()
    making.datetime = Ahead
    try:
        late = make(site, directory, ABOUT, full=False, full_days=7)
    finally:
        making.datetime = datetime
    for path in list((directory / "database").glob("*.*")):  # as repozo would have named what it wrote then
        if path.stem not in {Path(each["name"]).stem for each in first.whole()["database"]}:
            path.rename(path.with_name(late.time.strftime("%Y-%m-%d-%H-%M-%S") + path.suffix))
    writer.add()
    next_second()
    found: dict[str, Any] = {"refused": []}
    for full in (False, True):
        found["refused"].append(refusal(lambda full=full: make(site, directory, ABOUT, full=full, full_days=7)))
    check, making.refuse_later = making.refuse_later, lambda *_: None
    try:  # what repozo has written counts, whatever else is there
        beside = prove(make(site, directory, ABOUT, full=False, full_days=7), directory)
    finally:
        making.refuse_later = check
    found["beside"] = (beside.state, beside.id < late.id, beside.whole()["last_transaction"] == last(writer))
    for path in [late.folder, *(directory / "database").glob(f"{late.time:%Y-%m-%d-%H-%M-%S}.*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    writer.add()
    next_second()
    found["again"] = make(site, directory, ABOUT, full=False, full_days=7).whole()["last_transaction"] == last(writer)
    writer.add()
    next_second()
    database, making.save_database = making.save_database, lambda *words: making.needed_files(words[1])
    try:
        found["of before"] = refusal(lambda: make(site, directory, ABOUT, full=False, full_days=7))
    finally:
        making.save_database = database
    return found


def last(writer: Writer) -> str:
    """Return the site's last transaction."""
    return str(writer.database.storage.lastTransaction().hex())


def held(site: Site) -> int:
    """Return how many objects a site's database holds; each has to be readable, with its blob."""
    with zodb.opened(site.database, blobs=site.blobs) as storage:
        assert zodb.unreadable(storage) == {}
        return len(storage)


def refusal(call: Callable[[], Any]) -> str | None:
    """Return the code with which a step is refused."""
    try:
        call()
    except BackupError as error:
        return error.code
    return None


def killed_while_swapping(site: Site, after: int) -> None:
    """Take the step `swap`, and die before the rename that follows `after` others."""
    rename, left = Path.rename, [after]

    def counted(path: Path, target: Path) -> Path:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(path, target)

    Path.rename = counted
    try:
        restore.swap(site, "killed")
    except KeyboardInterrupt:
        return
    finally:
        Path.rename = rename
    raise AssertionError


def restores(writer: Writer, site: Site, directory: Path, backup: Backup) -> dict[str, Any]:
    """Return what came of restoring a backup in place of the site's data, by steps."""
    found: dict[str, Any] = {"plan": restore.plan(site, backup, backups(directory), "test", None)["fresh"]}
    found["plan of another stack"] = refusal(lambda: restore.plan(site, backup, [], "other", None))
    found["plan of another version"] = refusal(lambda: restore.plan(site, backup, [], "test", "6.1.4"))
    restore.stage(site, backup, directory, "open")
    found["while open"] = refusal(lambda: restore.swap(site, "open"))
    writer.database.close()
    found["before"] = held(site)
    for after in range(4):
        restore.stage(site, backup, directory, "killed")
        killed_while_swapping(site, after)
        found[f"refused after {after}"] = refusal(lambda: restore.refuse_interrupted(site))
        restore.undo(site)
        found[f"undone after {after}"] = held(site)
    restore.stage(site, backup, directory, "undone")
    restore.swap(site, "undone")
    found["swapped"] = held(site)
    restore.undo(site)
    found["undone"] = held(site)
    found |= written_meanwhile(site, directory, backup)
    restore.stage(site, backup, directory, "settled")
    restore.swap(site, "settled")
    kept = restore.settle(site)
    restore.undo(site)  # there is nothing to undo
    found["settled"], found["kept"] = held(site), held(Site(site.data / kept))
    found["left"] = sorted(path.name for path in site.data.iterdir() if path.suffix != ".old")  # which a pack keeps
    return found


def written_meanwhile(site: Site, directory: Path, backup: Backup) -> dict[str, Any]:
    """Return what came of what was written after a restore was planned, and after one was interrupted."""
    found: dict[str, Any] = {}
    planned = restore.plan(site, backup, backups(directory), "test", None)["transaction"]
    scale_in(site, "400")
    found["fresh but for a scale"] = restore.plan(site, backup, backups(directory), "test", None)["fresh"]
    found["scaled stage"] = refusal(lambda: restore.stage(site, backup, directory, "scaled", planned))
    scale_in(site, "800")
    found["scaled swap"] = refusal(lambda: restore.swap(site, "scaled", planned))
    restore.undo(site)
    restore.stage(site, backup, directory, "late", planned)
    add_to(site)
    found["fresh with an item more"] = restore.plan(site, backup, backups(directory), "test", None)["fresh"]
    found["late stage"] = refusal(lambda: restore.stage(site, backup, directory, "late", planned))
    found["late swap"] = refusal(lambda: restore.swap(site, "late", planned))
    found["copy of the late"] = (site.data / "restore-late").exists()
    restore.stage(site, backup, directory, "lost")
    restore.swap(site, "lost")
    unwritten = restore.written(site)
    scale_in(site, "400")
    scaled = restore.written(site)
    add_to(site)
    found["written"] = [unwritten, scaled, restore.written(site)]
    found["late undone"] = [restore.undo(site), restore.undo(site)]
    restore.stage(site, backup, directory, "read")
    restore.swap(site, "read")
    scale_in(site, "400")
    found["undone after a read"] = [restore.undo(site), (site.data / "restore-read").exists()]
    found["served again"], found["kept of the lost"] = held(site), held(Site(site.data / "undone-restore-lost"))
    restore.stage(site, backup, directory, "killed")
    killed_while_swapping(site, 3)
    found["settled half"] = refusal(lambda: restore.settle(site))
    restore.undo(site)
    return found


def scale_in(site: Site, uid: str) -> None:
    """Keep one more scale in a site that is closed, as a reader lets Plone do."""
    database = DB(FileStorage(str(site.database), blob_dir=str(site.blobs)))
    with database.transaction() as connection:
        annotations = connection.root()["item-1"]
        annotations["plone.scale"] = {**annotations.get("plone.scale", {}), uid: "small"}
    database.close()


def add_to(site: Site) -> None:
    """Commit one more object to a site that is closed."""
    database = DB(FileStorage(str(site.database), blob_dir=str(site.blobs)))
    with database.transaction() as connection:
        connection.root()["late"] = OOBTree()
    database.close()


def main() -> None:
    """Print what the proof says of every damage."""
    folder = Path(tempfile.mkdtemp())
    data, directory = folder / "data", folder / "backups"
    directory.mkdir()
    writer, site = Writer(data), Site(data)
    writer.add(3, size=300_000)
    found: dict[str, Any] = {}
    first = prove(make(site, directory, ABOUT, full=False, full_days=7), directory)
    next_second()
    writer.add(2)
    second = prove(make(site, directory, ABOUT, full=False, full_days=7), directory)
    found["first"], found["second"] = first.document(), second.document()
    found["links"] = sorted({path.stat().st_nlink for path in (first.folder / "blobs").rglob("*.blob")})
    found["damages"] = {name: damaged(second, damage, folder) for name, damage in DAMAGES.items()}
    found["after all"] = prove(first, directory).document()["why"]
    next_second()
    found["damages"]["wrong order"] = wrong_order(writer, site, directory)
    next_second()
    writer.database.pack()
    packed = prove(make(site, directory, ABOUT, full=False, full_days=7), directory)
    found["packed"] = packed.document()
    found["objects"] = len(writer.database.storage)
    found["restores"] = restores(writer, site, directory, second)
    found["other image"] = other_image(folder / "other")
    found["ahead"] = ahead(folder / "ahead")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
