"""Files on a disk: digests, sizes, trees of blobs, free space. Nothing here knows of the ZODB."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .errors import RefusedError

CHUNK = 1 << 20
# Where a site has its database and its blobs, below its data.
DATA_FS, BLOBS = "filestorage/Data.fs", "blobstorage"
# Where several processes of Plone find the database, below its data.
ZEO_SOCKET = "client/zeo.sock"
LAYOUT = ".layout"
# Of the bytes that a command needs, this many more must be free: directories, indexes, what the site writes meanwhile.
SPARE_BYTES = 64 << 20
# What stat counts as a block.
BLOCK = 512


def digest(stream: BinaryIO, most: int | None = None) -> tuple[str, int]:
    """Return the SHA-256 of a stream's next bytes, of at most `most`, and how many they were."""
    found, left, size = hashlib.sha256(), most, 0
    while left is None or left > 0:
        block = stream.read(CHUNK if left is None else min(CHUNK, left))
        if not block:
            break
        found.update(block)
        size += len(block)
        left = None if left is None else left - len(block)
    return found.hexdigest(), size


def digest_of(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file and its size in bytes."""
    with path.open("rb") as stream:
        return digest(stream)


def blobs_in(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the path of each blob below `folder`, relative to it, with its size, and the layout's file; sorted."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        if here == folder and "tmp" in folders:
            folders.remove("tmp")  # uploads that no transaction has committed
        folders.sort()
        for name in sorted(names):
            if name.endswith(".blob") or (here == folder and name == LAYOUT):
                path = here / name
                yield path.relative_to(folder).as_posix(), path.stat().st_size


def linked(source: Path, target: Path, names: Iterable[str]) -> None:
    """Make the files `names` of `source` appear below `target`, as further names of the same bytes."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(source / name, target / name)


def need_space(
    folder: Path, needed: int, what: str, frees: Iterable[Path] = (), ending: str = "Nothing was changed."
) -> None:
    """Raise RefusedError unless `needed` bytes and some more are free where `folder` is, once `frees` are removed."""
    free = shutil.disk_usage(folder).free + sum(map(taken, frees))
    if free < needed + SPARE_BYTES:
        raise RefusedError(
            "backup_space_short",
            f"{what} needs {shown(needed + SPARE_BYTES)}, and {shown(free)} are free there. {ending}",
        )


def taken(path: Path) -> int:
    """Return how many bytes are free once a file or a directory is removed: a file with further names frees none."""
    inside = (Path(place) / name for place, _, names in os.walk(path) for name in names)
    found = [each.lstat() for each in (inside if path.is_dir() else [path])]
    return sum(min(each.st_size, each.st_blocks * BLOCK) for each in found if each.st_nlink == 1)


def shown(size: int) -> str:
    """Return a number of bytes for people."""
    value, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 1000 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def write_json(path: Path, document: Any) -> None:
    """Write a document so that it is there whole, or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Let the names in a directory outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
