"""A Data.fs as the ZODB reads it, always read-only: what it holds, up to one transaction."""

from __future__ import annotations

import logging
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ZODB.blob import is_blob_record
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError
from ZODB.serialize import referencesf
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import oid_repr, p64, u64

from .sites import sites_in

# A Data.fs begins with one of these; each transaction with its id, its length without the last 8 bytes, and its status.
MAGIC, HEADER, UNFINISHED = b"FS21", struct.Struct(">8sQc"), b"c"
# Objects that stay in memory while all are loaded.
CACHED = 2000
# Of what is wrong, so much is told.
MOST_TOLD = 5


@dataclass
class Contents:
    """What a database holds: the id of its last transaction, how many objects, blobs and catalogued items.

    `sites` are the sites by their path, with what tells each from all others. `missing`: blobs without their file.
    """

    last_transaction: str
    objects: int = 0
    blobs: int = 0
    items: dict[str, int] = field(default_factory=dict)
    sites: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    dangling: int = 0

    @property
    def counts(self) -> dict[str, Any]:
        """The numbers that a restored copy must have too."""
        return {"objects": self.objects, "blobs": self.blobs, "items": self.items, "dangling": self.dangling}


@contextmanager
def opened(path: Path, stop: bytes | None = None, blobs: Path | None = None) -> Iterator[FileStorage]:
    """Yield the storage in a file that a site may be writing, read from its first byte; no index of it is believed.

    `stop`: the id of the last transaction to see.
    """
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "Data.fs"
        link.symlink_to(path)
        after = p64(u64(stop) + 1) if stop else None
        options = {"blob_dir": str(blobs)} if blobs else {}
        storage = FileStorage(str(link), read_only=True, stop=after, **options)
        try:
            yield storage
        finally:
            storage.close()


def last_transaction(path: Path, size: int) -> bytes:
    """Return the id of the transaction that ends at byte `size` of a Data.fs; of none for an empty one.

    Each ends with its length, and begins with its id (ZODB.FileStorage.format).
    """
    if size <= 4:
        return p64(0)
    with path.open("rb") as file:
        file.seek(size - 8)
        length = u64(file.read(8))
        file.seek(size - 8 - length)
        return file.read(8)


def complete(path: Path) -> int:
    """Return how many bytes of a Data.fs are whole transactions; a site may be writing the next one."""
    with path.open("rb") as file:
        size, end = os.fstat(file.fileno()).st_size, len(MAGIC)
        while end + HEADER.size <= size:
            file.seek(end)
            _, length, status = HEADER.unpack(file.read(HEADER.size))
            if status == UNFINISHED or length < HEADER.size or end + length + 8 > size:
                break
            end += length + 8
    return end


def when(tid: bytes) -> str:
    """Return the time of a transaction, RFC 3339 in UTC."""
    return datetime.fromtimestamp(TimeStamp(tid).timeTime(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def contents(storage: FileStorage, tid: bytes, has_blob: Any) -> Contents:
    """Return what a storage holds; `has_blob(oid, serial)` says whether the file of a blob is there."""
    found = Contents(tid.hex())
    known = storage._index
    for oid, data, serial in records(storage):
        found.objects += 1
        found.dangling += sum(other not in known for other in referencesf(data))
        if is_blob_record(data):
            found.blobs += 1
            if not has_blob(oid, serial):
                found.missing.append(oid_repr(oid))
    with connected(storage) as connection:
        _sites(connection.root().get("Application"), found)
    return found


def records(storage: FileStorage) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield each object's id, its pickle and the id of the transaction that wrote it.

    The index also has objects whose creation was undone: they have no pickle.
    """
    for oid in list(storage._index.keys()):
        try:
            data, serial = storage.load(oid)
        except POSKeyError:
            continue
        yield oid, data, serial


@contextmanager
def connected(storage: FileStorage) -> Iterator[Any]:
    """Yield a connection that only reads, with the site's own classes where they are installed."""
    database = DB(storage, cache_size=CACHED)
    try:
        from Zope2.App.ClassFactory import ClassFactory  # noqa: PLC0415 - tests have a ZODB without Zope

        database.classFactory = ClassFactory
    except ImportError:
        pass
    connection = database.open()
    try:
        yield connection
    finally:
        connection.close()


def sites(storage: FileStorage) -> dict[str, str]:
    """Return the sites in a storage by their path, with what tells each from all others."""
    found = Contents("")
    with connected(storage) as connection:
        _sites(connection.root().get("Application"), found)
    return found.sites


def _sites(application: Any, found: Contents) -> None:
    for path, site in sites_in(application):
        site._p_activate()
        found.sites[path] = str(site.__dict__.get("_plone.uuid") or "")
        catalog = site._getOb("portal_catalog", None)
        if catalog is not None:
            found.items[path] = len(catalog._catalog.uids)


def unreadable(storage: FileStorage) -> dict[str, str]:
    """Load every object, with the file of every blob; return by its id what could not be loaded, in words."""
    wrong: dict[str, str] = {}
    logging.getLogger("ZODB.Connection").setLevel(logging.CRITICAL)  # tells each with its traceback
    with connected(storage) as connection:
        for number, (oid, _, _) in enumerate(records(storage), start=1):
            try:
                connection.get(oid)._p_activate()
            except Exception as error:  # a damaged pickle may raise anything
                wrong[oid_repr(oid)] = f"object {oid_repr(oid)} ({type(error).__name__}: {str(error)[:100]})"
            if number % CACHED == 0:
                connection.cacheMinimize()
    return wrong


def told(wrong: list[str]) -> str:
    """Return the first few of a list, and how many more there are."""
    more = f" and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
    return ", ".join(wrong[:MOST_TOLD]) + more
