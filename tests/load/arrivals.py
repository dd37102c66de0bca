"""Open arrivals: requests are due at times fixed beforehand, and a late answer delays none of them.

Every latency counts from when the request was due, not from when it could be sent: a stall is seen by every request
that comes meanwhile. The lag says how late this program itself was.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.load.client import Client, FailedError

# What a select() can watch; with more in flight than this, the load is beyond what can be measured.
IN_FLIGHT = 800


def steady(rate: float, seconds: float, offset: float = 0.0) -> Iterator[float]:
    """Yield the moments of `rate` evenly spaced arrivals a second, within `seconds`; `offset` is in intervals."""
    for number in itertools.count():
        if (due := (offset + number) / rate) >= seconds:
            return
        yield due


async def arrive(
    begun: float, due: Iterable[float], arrival: Callable[[int, float], None], late: Callable[[float], None]
) -> None:
    """Call `arrival` with number and moment when it is `due` (seconds after `begun`), and `late` with the lag."""
    loop = asyncio.get_running_loop()
    for number, after in enumerate(due):
        moment = begun + after
        await until(moment)
        late(loop.time() - moment)
        arrival(number, moment)


async def until(moment: float) -> None:
    """Wait until the event loop's clock is at `moment`."""
    if (early := moment - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(early)


class Flight:
    """The requests that are in flight: at most IN_FLIGHT."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __bool__(self) -> bool:
        return bool(self._tasks)

    @property
    def full(self) -> bool:
        """Whether no more may start."""
        return len(self._tasks) >= IN_FLIGHT

    def start(self, request: Coroutine[Any, Any, Any]) -> None:
        """Let a request run by itself."""
        task = asyncio.create_task(request)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until all have ended, for `seconds` at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def cancel(self) -> None:
        """Give up those that have not ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass
class Samples:
    """What came of a short load: exact latencies of good answers in ms since they were due, failures by class, lag."""

    ms: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    lag: list[float] = field(default_factory=list)
    example: str = ""

    @property
    def requests(self) -> int:
        """How many ended."""
        return len(self.ms) + self.failures.total()

    def failed(self, error: FailedError) -> None:
        """Count a failure; the first one is the example."""
        self.failures[error.error] += 1
        self.example = self.example or str(error)


async def play(client: Client, message: bytes, due: Sequence[float], seconds: float = 30.0) -> Samples:
    """Send `message` when it is `due` (seconds from now), and wait for all answers, each for `seconds` at most."""
    loop = asyncio.get_running_loop()
    samples, flight = Samples(), Flight()

    async def one(moment: float) -> None:
        try:
            await client.expect(message, seconds=seconds)
            samples.ms.append((loop.time() - moment) * 1000)
        except FailedError as error:
            samples.failed(error)

    def arrival(_: int, moment: float) -> None:
        if flight.full:
            samples.failed(FailedError("not_sent", f"{IN_FLIGHT} requests are in flight"))
        else:
            flight.start(one(moment))

    await arrive(loop.time(), due, arrival, lambda late: samples.lag.append(late * 1000))
    await flight.wait()
    return samples


def precise_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that wakes up to the microsecond: epoll, the usual, rounds a wait up to the next millisecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


@contextmanager
def player() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Give a function that runs a coroutine in one precise loop, without our own garbage collector in between."""
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        gc.disable()
        try:
            yield runner.run
        finally:
            gc.enable()
