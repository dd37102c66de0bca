"""Whether an operator wants nothing to be written: jobs, which the edge cannot stop, wait then."""

from __future__ import annotations

from pathlib import Path

# As the edge's own map says it (eduhub_pilot.adapters.store).
_CLOSED = b"writes closed:"


class Maintenance:
    """Reads the edge's map, a file that is replaced whole; where there is none, there is no maintenance."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def on(self) -> bool:
        """Return whether nothing may be written now. A small read of what the kernel has in memory: microseconds."""
        try:
            return self._file.read_bytes().startswith(_CLOSED)
        except OSError:
            return False
