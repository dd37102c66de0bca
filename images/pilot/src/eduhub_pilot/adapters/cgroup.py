"""CPU time and memory of a container, as the kernel counts them: in nanoseconds (cgroup v1) or microseconds (v2).

An engine's own statistics are renewed once a second, and hold nothing at all where a host mounts both versions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

# The host's /sys/fs/cgroup, as role pilot mounts it.
ROOT = Path("/host/cgroup")
# As deep as systemd and nested engines put containers.
DEPTH = 6

# Returns seconds; OSError or ValueError once the container has ended.
Meter = Callable[[], float]


def meter(container: str, root: Path = ROOT) -> Meter | None:
    """Return what reads the CPU seconds so far of the container of that id; None where they cannot be found."""
    if not container:
        return None
    # Version 1 has a tree for each controller, version 2 has one for all.
    for base in (root / "cpuacct", root / "cpu,cpuacct", root):
        for folder in _folders(base, container):
            for name, read in (("cpuacct.usage", _nanoseconds), ("cpu.stat", _microseconds)):
                if (folder / name).is_file():
                    return partial(_read, folder / name, read)
    return None


def memory(container: str, root: Path | None = None) -> int | None:
    """Return the bytes that the end of the container of that id would free; None where they cannot be read.

    Its page cache is not among them: /proc/meminfo counts that as available already.
    """
    root = root or ROOT
    for base, name in ((root / "memory", "total_rss"), (root, "anon")):
        for folder in _folders(base, container) if container else ():
            with suppress(OSError, ValueError):
                lines = map(str.split, (folder / "memory.stat").read_text().splitlines())
                if found := [int(line[1]) for line in lines if line[0] == name]:
                    return found[0]
    return None


def _folders(base: Path, container: str) -> Iterator[Path]:
    """Yield the directories below `base` that are named after a container: its id, or `docker-<id>.scope`."""
    for here, below, _ in os.walk(base):
        folder = Path(here)
        if container in folder.name:
            yield folder
        if len(folder.relative_to(base).parts) >= DEPTH:
            below.clear()


def _read(file: Path, read: Callable[[str], float]) -> float:
    return read(file.read_text())


def _nanoseconds(text: str) -> float:
    return int(text) / 1e9


def _microseconds(text: str) -> float:
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("usage_usec ")) / 1e6
