"""Time: UTC for what is written down, monotonic for durations. A value, so that tests need not wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The host's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that no clock change moves; only differences mean something."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
