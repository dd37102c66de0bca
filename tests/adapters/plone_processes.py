"""Runs in Plone's image: what several processes of Plone have of one database, on a small disk at /data.

Prints one JSON object: the objects that are read, after each thing that happens; the sizes before and after a pack.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from BTrees.OOBTree import OOBTree
from ZEO.ClientStorage import ClientStorage
from ZODB.DB import DB

from eduhub_plone.backup.errors import BackupError
from eduhub_plone.backup.files import BLOBS, DATA_FS, ZEO_SOCKET
from eduhub_plone.backup.make import Site
from eduhub_plone.backup.pack import pack
from eduhub_plone.processes import caches_in_memory, listens, serve_database
from eduhub_plone.turn import end_pack

DATA = Path("/data")
DATABASE, ADDRESS = DATA / DATA_FS, DATA / ZEO_SOCKET
OBJECTS, SIZE = 300, 2000


@contextmanager
def served() -> Iterator[None]:
    """Serve the database in a process of its own."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            serve_database(DATABASE, DATA / BLOBS, ADDRESS, lambda: None)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 60
    while not listens(ADDRESS):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    try:
        yield
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


@contextmanager
def opened() -> Iterator[Any]:
    """Open the database as a process of Plone does."""
    with caches_in_memory():
        storage = ClientStorage(str(ADDRESS), cache_size=16 << 20, wait_timeout=30, server_sync=True)
    database = DB(storage)
    try:
        yield database
    finally:
        database.close()


def read() -> int:
    """Return how many objects a process that is just started can load."""
    with opened() as database, database.transaction() as connection:
        return sum(len(each["text"]) == SIZE for each in connection.root()["all"].values())


def write(word: str) -> None:
    """Write every object anew."""
    with opened() as database, database.transaction() as connection:
        folder = connection.root().setdefault("all", OOBTree())
        for number in range(OBJECTS):
            folder.setdefault(str(number), OOBTree())["text"] = word * SIZE


found: dict[str, Any] = {}
os.environ["TMPDIR"] = str(DATA / "tmp")  # as an instance has it
for folder in (DATABASE.parent, ADDRESS.parent, DATA / "tmp"):
    folder.mkdir(parents=True)
try:
    pack(Site(DATA), 0, ADDRESS)
except BackupError as error:
    found["alone"] = error.code
with served():
    write("a")
    write("b")
    found["sizes"] = pack(Site(DATA), 0, ADDRESS)
    found["packed"], found["left"] = read(), sorted(path.name for path in DATABASE.parent.glob("*.[op][la]*"))
    rest = DATA / "rest"
    with rest.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            pass
    found["disk full"] = read()
    rest.unlink(missing_ok=True)
# As a host that went down within a pack leaves it.
DATABASE.rename(DATABASE.with_name("Data.fs.old"))
end_pack(DATABASE, keeps_old=False)
with served():
    found["interrupted"] = read()
print(json.dumps(found))
