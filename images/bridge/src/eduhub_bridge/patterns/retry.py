"""Retry with budget: ask again what is safe to repeat, but never so often that the retries are the load.

    budget = RetryBudget()
    answer = await retried(ask, again=lambda error: isinstance(error, ConnectionError), budget=budget)

Stamina does the repeating and the waiting in between (exponential, with jitter), from the first failure on only:
a call that goes well pays nothing for it. The budget is the retry throttle of gRPC (proposal A6) and Finagle:
each call puts in a tenth of a retry, so that in the long run no more than a tenth of the load is retries.
"""

from __future__ import annotations

from typing import Awaitable, Callable, Optional, TypeVar

import stamina

T = TypeVar("T")
# Stamina would log each retry and count it in prometheus_client's global registry: `told` is told instead.
stamina.instrumentation.set_on_retry_hooks(())


class RetryBudget:
    """`most` retries to begin with and at most; each call earns `share` of one."""

    def __init__(self, most: float = 10.0, share: float = 0.1) -> None:
        self._most, self._share = most, share
        self._left = most

    @property
    def left(self) -> float:
        """Return how many retries are left."""
        return self._left

    def earn(self) -> None:
        """Count a call."""
        if self._left < self._most:
            self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Return whether a retry is allowed, and count it."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


async def retried(
    call: Callable[[], Awaitable[T]],
    again: Callable[[Exception], bool],
    budget: RetryBudget,
    attempts: int = 3,
    wait_seconds: float = 0.1,
    failure: Optional[Exception] = None,
    told: Callable[[], object] = lambda: None,
) -> T:
    """Return what `call` returns, asked at most `attempts` times; raise its last error.

    It is asked again after an error for which `again` is true and the budget has something left; `told` is called
    each time. With a `failure`, the caller has made the first attempt, and counted it, already.
    """
    if failure is None:
        budget.earn()
        try:
            return await call()
        except Exception as error:
            failure = error

    def may_repeat(error: Exception) -> bool:
        return again(error) and budget.spend()

    async for attempt in stamina.retry_context(
        may_repeat, attempts=attempts, timeout=None, wait_initial=wait_seconds, wait_jitter=wait_seconds
    ):
        with attempt:
            if failure is not None:
                first, failure = failure, None
                raise first
            told()
            return await call()
    raise AssertionError("stamina either returns or raises")  # pragma: no cover
