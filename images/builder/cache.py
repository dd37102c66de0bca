"""What is fetched once and kept: ${XDG_CACHE_HOME:-~/.cache}/eduhub. Removing it costs time, nothing else."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builder import Refusal

# Entries of a kind; the longest unused go first. More than any one catalogue needs at once.
KEPT = 24


def home() -> Path:
    """Return the cache directory, made where it is missing. Raise Refusal for a user without a home."""
    given = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - raises nothing
    path = Path(given, "eduhub")
    if given.startswith("~"):
        raise Refusal("This user has no home to keep downloads in: name a directory with XDG_CACHE_HOME=....")
    path.mkdir(parents=True, exist_ok=True)
    return path


def keep(kind: str, key: str, make: Callable[[Path], None], *, renew: bool = False) -> tuple[Path, bool]:
    """Return the entry `kind`/`key` and whether it was there; let `make` fill an empty directory where not.

    An entry appears whole or not at all: it is made beside its place and moved there.
    """
    entry = home() / kind / key
    if entry.exists() and not renew:
        os.utime(entry)
        return entry, True
    entry.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".making-") as draft:
        make(Path(draft))
        shutil.rmtree(entry, ignore_errors=True)
        Path(draft).rename(entry)
        Path(draft).mkdir()  # for TemporaryDirectory to remove
    entry.chmod(0o755)
    for old in sorted(entry.parent.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old)
    return entry, False


@contextmanager
def lock(on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the cache for this process; call `on_wait` once where another build has it."""
    with home().joinpath("lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
