"""An event loop whose clock moves only when there is nothing else to do, so that seconds are exact and take no time.

Both ends of a connection live in this loop and speak over a unix socket: what one has written, the other can read at
once. A loop that is idle therefore stays idle until its next timer, and the clock jumps there.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

# With no timer to jump to, only a signal can go on; this long means that nothing will.
STUCK_SECONDS = 30.0


class _Selector(selectors.SelectSelector):
    clock = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(STUCK_SECONDS)
            assert ready, "every task waits for something that does not come"
            return ready
        ready = super().select(0)
        if not ready:
            self.clock += max(timeout, 0.0)
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Its time() is in simulated seconds."""

    def __init__(self) -> None:
        self._simulated = _Selector()
        super().__init__(self._simulated)

    def time(self) -> float:
        return self._simulated.clock


def simulated(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` in a simulated loop and return what it returns."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)
