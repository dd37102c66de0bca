"""What is sent to the engine for one build: a tar archive with nothing in it that a lock or a commit does not fix."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO


def write(file: IO[bytes], members: Iterable[tuple[str, Path]], epoch: int) -> None:
    """Write (name, path) pairs into `file` as a tar archive: owner root, git's modes, and `epoch` as the time."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in sorted(members):
            member = archive.gettarinfo(str(path), name)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = epoch
            member.mode = 0o755 if member.mode & 0o100 else 0o644
            if member.isfile():
                with path.open("rb") as content:
                    archive.addfile(member, content)
            else:
                archive.addfile(member)
