"""The files of an image as text, one line a file, and one hash over it.

File times are left out: the classic builder stamps the moment of the build on directories it makes, and nothing in
our images reads them (bytecode is unchecked). So are the files that Docker lays over every container.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO, Any, cast

# Made by Docker for the container that is exported, not part of the image.
DOCKERS_OWN = {".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"}
DOCKERS_DIRECTORIES = ("dev", "proc", "sys")
# As much as the engine sends at a time: the rest of a read is copied for each file in it.
READ_BYTES = 1 << 15


class Stream:
    """A file to read from, made of the chunks that an HTTP answer comes in."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end."""
        parts = [self._rest]
        length = len(self._rest)
        for chunk in self._chunks if length < size else ():
            parts.append(chunk)
            length += len(chunk)
            if length >= size:
                break
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]


def opened(chunks: Iterable[bytes]) -> tarfile.TarFile:
    """Return the tar archive that comes in `chunks`, to be read once from its begin."""
    return tarfile.open(fileobj=cast("IO[bytes]", Stream(chunks)), mode="r|", bufsize=READ_BYTES)


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield a line a file of the tar archive `chunks`: kind, mode, owner, name, and content or target."""
    with opened(chunks) as archive:
        for member in archive:
            name = member.name.removeprefix("./").rstrip("/")
            if name in DOCKERS_OWN or name.split("/")[0] in DOCKERS_DIRECTORIES:
                continue
            content: Any = archive.extractfile(member) if member.isfile() else None
            what = hashlib.file_digest(content, "sha256").hexdigest() if content else member.linkname
            kind = member.type.decode()
            yield f"{kind} {member.mode:04o} {member.uid}:{member.gid} {name} {what}"


def digest(manifest: Iterable[str]) -> str:
    """Return the sha256 over the lines of `manifest`, whatever order they come in."""
    return hashlib.sha256("\n".join(sorted(manifest)).encode()).hexdigest()
