"""Can this bridge do its work, that is, does Plone answer? Asked when somebody wants to know, and remembered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Awaitable, Callable, Optional

from eduhub_bridge.telemetry.logs import say

# How long an answer counts: a poller a second costs Plone one cheap page a second, however many pollers there are.
FRESH_SECONDS = 1.0
# One slow page of a busy Plone is not yet an outage; one good page is enough to come back.
FAILURES_TO_DOUBT = 2
# Where the look before is older than this, there was no request meanwhile, and a failure is looked into at once.
OLD_SECONDS = 60.0


@dataclass(frozen=True)
class Verdict:
    """Whether Plone answers, and why not, in words."""

    ready: bool
    why: Optional[str] = None


class Readiness:
    """Remembers what the last probes said. `probe` returns None for good, else what is wrong."""

    def __init__(
        self,
        probe: Callable[[], Awaitable[Optional[str]]],
        told: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe, self._told, self._clock = probe, told, clock
        self._verdict = Verdict(False, "Plone was not asked yet.")
        self._failures = 0
        self._asked: Optional[float] = None
        self._one_at_a_time: Optional[asyncio.Lock] = None
        self._look: Optional[asyncio.Task[Verdict]] = None

    async def verdict(self) -> Verdict:
        """Return the verdict, at most FRESH_SECONDS old."""
        if self._one_at_a_time is None:  # on Python 3.9 a lock belongs to the loop in which it is made
            self._one_at_a_time = asyncio.Lock()
        async with self._one_at_a_time:
            age = float("inf") if self._asked is None else self._clock() - self._asked
            if age >= FRESH_SECONDS:
                self._learn(await self._probe())
                if age > OLD_SECONDS and self._failures and self._verdict.ready:
                    self._learn(await self._probe())
                self._asked = self._clock()
        return self._verdict

    def look(self) -> None:
        """Ask without waiting for the answer: a reader of metrics must not hang because Plone does."""
        if self._look is None or self._look.done():
            self._look = asyncio.get_running_loop().create_task(self.verdict())

    def stop(self) -> None:
        """End a look that is under way."""
        if self._look is not None:
            self._look.cancel()

    def _learn(self, why: Optional[str]) -> None:
        before = self._verdict
        self._failures = 0 if why is None else self._failures + 1
        if why is None:
            self._verdict = Verdict(True)
        elif not before.ready or self._failures >= FAILURES_TO_DOUBT:
            self._verdict = Verdict(False, why)
        self._told(float(self._verdict.ready))
        if before.ready != self._verdict.ready:
            say("ready" if self._verdict.ready else "not_ready", why=self._verdict.why)
