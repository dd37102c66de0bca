"""Circuit breaker: after some failures in a row no caller is admitted, except for one trial in a while.

    breaker = CircuitBreaker(failures=5, pause_seconds=1.0)
    breaker.admit()                 # raises CircuitOpenError
    try:
        answer = await ask()
    except OSError:
        breaker.failed()
        raise
    breaker.succeeded()

Closed: every caller is admitted. Open: none, for a pause. Half-open, after the pause: one, and then one more after
each further pause, until one succeeds. A trial needs no end of its own: if it vanishes, the next one comes.
"""

from __future__ import annotations

import time
from typing import Callable

CLOSED, HALF_OPEN, OPEN = "closed", "half_open", "open"


class CircuitOpenError(Exception):
    """No caller is admitted now; one will be in `retry_seconds`."""

    def __init__(self, why: str, retry_seconds: float) -> None:
        super().__init__(why)
        self.retry_seconds = retry_seconds


class CircuitBreaker:
    """Opens after `failures` in a row, tries again after `pause_seconds`; `changed` is told each new state and why."""

    def __init__(
        self,
        failures: int,
        pause_seconds: float,
        changed: Callable[[str, str], None] = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._pause, self._changed, self._clock = failures, pause_seconds, changed, clock
        self._failures = 0
        self._state = CLOSED
        self._why = ""
        self._next_trial = 0.0

    @property
    def state(self) -> str:
        """Return CLOSED, OPEN or HALF_OPEN: half-open once the pause is over, whether or not somebody has tried."""
        return HALF_OPEN if self._state == OPEN and self._clock() >= self._next_trial else self._state

    def admit(self) -> None:
        """Return if the caller may ask; raise CircuitOpenError if not."""
        if self._state == CLOSED:
            return
        now = self._clock()
        if now < self._next_trial:
            raise CircuitOpenError(self._why, self._next_trial - now)
        self._next_trial = now + self._pause
        self._become(HALF_OPEN)

    def succeeded(self) -> None:
        """Count an answer. One is enough to close, also one to a question from before."""
        self._failures = 0
        if self._state != CLOSED:
            self._become(CLOSED)

    def failed(self, why: str = "it failed") -> None:
        """Count a failure."""
        self._failures += 1
        if self._state == HALF_OPEN or (self._state == CLOSED and self._failures >= self._limit):
            self.trip(why)

    def trip(self, why: str) -> None:
        """Open at once: the caller knows enough."""
        self._why = why
        self._next_trial = self._clock() + self._pause
        self._become(OPEN)

    def _become(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._changed(state, self._why)
