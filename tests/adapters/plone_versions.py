"""Runs in Plone's image: what the steps of an upgrade to another version do to the databases of a volume.

Prints one JSON object: after each step which databases there are, with their last transaction, and what was refused.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from plone.scale.storage import ScalesDict
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

from eduhub_plone.backup import database as zodb
from eduhub_plone.backup import upgrade
from eduhub_plone.backup.errors import BackupError
from eduhub_plone.backup.files import BLOBS, DATA_FS
from eduhub_plone.backup.make import Site, make
from eduhub_plone.backup.prove import prove
from eduhub_plone.place import claim, place
from eduhub_plone.settings import Refused
from eduhub_plone.turn import free

VERSIONS = ("6.0", "6.1", "6.2", "6.3")
ABOUT = {"stack": "test", "image": "sha256:0", "python": "3", "plone": "6.0"}


def opened(data: Path) -> DB:
    """Return the database in `data`, open for writing."""
    (data / DATA_FS).parent.mkdir(parents=True, exist_ok=True)
    return DB(FileStorage(str(data / DATA_FS), blob_dir=str(data / BLOBS)))


def write(database: DB, what: str) -> None:
    """Commit one change."""
    with database.transaction() as connection:
        connection.root()["what"] = what


def scale(database: DB) -> None:
    """Keep a scale, as Plone does for a reader."""
    with database.transaction() as connection:
        connection.root()["scales"]["image-400"] = {"uid": "image-400"}


def said(data: Path) -> str:
    """Return what was written last."""
    with zodb.opened(data / DATA_FS) as storage, zodb.connected(storage) as connection:
        return str(connection.root()["what"])


def refusal(work: Callable[[], object]) -> str | None:
    """Return why something was refused."""
    try:
        work()
    except BackupError as error:
        return error.code
    except Refused as error:
        return str(error).partition(":")[0]
    return None


def left(*writes: Callable[[DB], None], marked: bool = True) -> list[Any]:
    """Let a new version be written, and leave it twice; return what that answered, and what is there then.

    `marked`: whether the release that migrated it notes with which transaction it began.
    """
    volume = Path(tempfile.mkdtemp())
    old = opened(volume)
    with old.transaction() as connection:
        connection.root()["scales"] = ScalesDict()
    write(old, "first")
    old.close()
    new = volume / upgrade.VERSIONS / "6.1"
    for part in (Path(DATA_FS).parts[0], BLOBS):
        shutil.copytree(volume / part, new / part)
    if marked:
        upgrade.note_migrated(new)
    served = opened(new)
    for each in writes:
        each(served)
    served.close()
    answers = [upgrade.leave(volume, "6.1", "run-1") for _ in range(2)]
    files = sorted(volume.rglob("Data.fs"))
    return [*answers, {str(path.parent.parent.relative_to(volume)): said(path.parent.parent) for path in files}]


def half_confirmed(volume: Path, origin: str, version: str) -> list[str]:
    """Confirm with a disk that is full once all databases but one are marked; return which are marked then."""
    leave_for, marked = upgrade.leave_for, []

    def full(data: Path, plone: str) -> None:
        leave_for(data, plone)
        marked.append(data)
        if len(marked) == 2:
            raise OSError(28, "No space left on device")

    upgrade.leave_for = full
    try:
        upgrade.confirm(volume, origin, version)
    except OSError:
        return sorted(str(path.parent.relative_to(volume)) for path in volume.rglob("left-for"))
    finally:
        upgrade.leave_for = leave_for
    raise AssertionError


def main() -> dict[str, Any]:
    """Upgrade a volume twice, with a try that is left in between."""
    volume, directory = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    found: dict[str, Any] = {}

    def there() -> dict[str, str]:
        files = sorted(volume.rglob("Data.fs"))
        return {str(path.parent.parent.relative_to(volume)): said(path.parent.parent) for path in files}

    def staged(serves: str, run: str, plone: str = "", of: str = "") -> str:
        time.sleep(1.1 - time.time() % 1)  # repozo names its files by the second
        about = {**ABOUT, "plone": plone or ("6.0" if serves == "1.2" else serves)}
        backup = prove(make(Site(place(volume, of or serves)), directory, about, True, 7), directory)
        upgrade.stage(volume, serves, backup, directory, run)
        return str(backup.whole()["last_transaction"])

    old = opened(volume)
    claim(volume, "6.0")
    with old.transaction() as connection:
        connection.root()["scales"] = ScalesDict()
    write(old, "first")
    # What the image's label says is not what it has: its database is neither the one that serves nor one to remove.
    found["other label"] = refusal(lambda: staged("1.2", "run-0"))
    upgrade.enter(volume, "6.0", "6.1", "run-1", staged("6.0", "run-1"))
    found["entered"] = there()
    upgrade.leave(volume, "6.1")
    found["left"] = there()
    transaction = staged("6.0", "run-2")
    write(old, "second")
    found["written meanwhile"] = refusal(lambda: upgrade.enter(volume, "6.0", "6.1", "run-2", transaction))
    transaction = staged("6.0", "run-3")
    scale(old)
    upgrade.enter(volume, "6.0", "6.1", "run-3", transaction)
    found["after a scale"] = refusal(lambda: upgrade.unwritten(volume, "6.0", transaction))
    (volume / upgrade.VERSIONS / "1.2").mkdir()
    found["stage while the first is open"] = refusal(lambda: staged("1.2", "run-0", plone="1.2", of="6.0"))
    (volume / upgrade.VERSIONS / "1.2").rmdir()
    found["while open"] = [free(volume / DATA_FS), free(place(volume, "6.1") / DATA_FS)]
    old.close()
    new = opened(place(volume, "6.1"))
    claim(place(volume, "6.1"), "6.1")
    found["leave while open"] = refusal(lambda: upgrade.leave(volume, "6.1"))
    upgrade.confirm(volume, "6.0", "6.1")
    write(new, "third")
    found["stage while open"] = refusal(lambda: staged("6.0", "run-0", plone="6.0"))
    found["confirmed"] = there()
    found["old version"] = refusal(lambda: claim(place(volume, "6.0"), "6.0"))
    upgrade.enter(volume, "6.1", "6.2", "run-4", staged("6.1", "run-4"))
    found["mark fails"] = half_confirmed(volume, "6.1", "6.2")
    upgrade.confirm(volume, "6.1", "6.2")
    new.close()
    found["second"] = there()
    found["leaving"] = {
        "nothing": left(), "scale": left(scale), "written": left(scale, lambda database: write(database, "by a read")),
        "earlier release": left(lambda database: write(database, "by a read"), marked=False),
    }  # fmt: skip
    found["versions"] = {each: refusal(partial(claim, place(volume, each), each)) for each in VERSIONS}
    return found


if __name__ == "__main__":
    print(json.dumps(main()))
