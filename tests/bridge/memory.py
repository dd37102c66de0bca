"""How much memory a container's first process holds, by the kernel's own account (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from docker.models.containers import Container

MIB = 1024 * 1024


class Resident:
    """Bytes of a process in memory: `now`, and `peak` since `begin` was called."""

    def __init__(self, container: Container) -> None:
        container.reload()
        self._proc = Path("/proc", str(container.attrs["State"]["Pid"]))
        if os.geteuid() != 0 or not self._proc.exists():
            pytest.skip("the peak of a container's memory can only be read as root on the engine's own machine")

    def begin(self) -> int:
        """Forget the peak so far; return what is held now."""
        (self._proc / "clear_refs").write_text("5")
        return self._field("VmRSS")

    @property
    def peak(self) -> int:
        """The most that was held."""
        return self._field("VmHWM")

    def _field(self, name: str) -> int:
        lines = (self._proc / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024
