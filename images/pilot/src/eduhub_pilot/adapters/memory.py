"""Memory of the host, and sizes as Docker writes them."""

from __future__ import annotations

import re
from pathlib import Path

MEMORY = Path("/proc/meminfo")
UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# The memory of a new slot whose record names no limit.
SLOT_MEMORY = "512m"


def available(meminfo: str) -> int | None:
    """Return the available memory in bytes, from the text of /proc/meminfo; None where it is not given."""
    free = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(free[1]) * 1024 if free else None


def size(text: str) -> int | None:
    """Return the bytes of a size as Docker writes it ("512m"), or None for something else."""
    match = re.fullmatch(r"(\d+)([bkmg]?)b?", text.strip().lower())
    return int(match[1]) * UNITS[match[2]] if match else None
