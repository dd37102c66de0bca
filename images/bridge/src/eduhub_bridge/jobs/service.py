"""Finds jobs that no process works on, works on them, lets clients follow, and hands them over on a stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from dataclasses import dataclass
from typing import AsyncGenerator, Dict, Mapping, Optional

from eduhub_bridge.jobs.maintenance import Maintenance
from eduhub_bridge.jobs.run import Run, Told
from eduhub_bridge.jobs.seal import Seal
from eduhub_bridge.plone.client import JOBS, PloneClient, Site
from eduhub_bridge.plone.identity import Identities
from eduhub_bridge.store import jobs as states
from eduhub_bridge.store.database import StoreError
from eduhub_bridge.store.jobs import Job, Jobs, LeaseLostError
from eduhub_bridge.telemetry.logs import say
from eduhub_bridge.web.disconnect import at_most
from eduhub_bridge.web.streams import HEARTBEAT_SECONDS

_LOOK_SECONDS = 1.0
_TIDY_SECONDS = 60.0
_FOLLOW_SECONDS = 0.5
# A job belongs to the slot that received it, unless that is busy for so long: a slot that has no
# traffic yet shall not take all of the work.
OTHERS_SECONDS = 3.0
_RESULTS = 200
# What was sent of a request is kept so long without another piece of it; then its sender has vanished.
RECEIVE_SECONDS = 600.0
# What stays free of the grace for writing down where a job stopped.
_MARGIN_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """How much at a time. `background` and `most` count jobs of this process; seconds."""

    background: int = 2
    most: int = 8
    lease: float = 15.0
    keep: float = 86400.0


class Service:
    """The jobs of this process. `start` and `stop` belong to the application's lifespan; `drain` to the signal."""

    def __init__(
        self, store: Jobs, seal: Seal, plone: PloneClient, identities: Identities, limits: Limits, told: Told,
        maintenance: Maintenance,
    ) -> None:  # fmt: skip
        self.store, self.seal, self.limits = store, seal, limits
        self._plone, self._identities, self._told, self._maintenance = plone, identities, told, maintenance
        self._queued = 0
        self._runs: Dict[str, Run] = {}
        self._tasks: Dict[str, asyncio.Task[None]] = {}
        self._followers: Dict[str, int] = {}
        self._loop: Optional[asyncio.Task[None]] = None
        self._deadline: Optional[float] = None

    def start(self) -> None:
        """Begin to look for jobs."""
        self._wake = asyncio.Event()
        self._loop = asyncio.ensure_future(self._look())

    def drain(self, grace: float) -> None:
        """Take no more jobs; finish within `grace` seconds those that can be, hand over the others."""
        self._deadline = time.monotonic() + max(0.0, grace - _MARGIN_SECONDS)
        for run in self._runs.values():
            self._hand_over(run)

    async def stop(self) -> None:
        """Wait for the jobs to end or be handed over; at the deadline, interrupt them."""
        if self._loop:
            self._loop.cancel()
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, (self._deadline or 0) - time.monotonic()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """A job is waiting to be taken."""
        self._wake.set()

    def running(self) -> int:
        """Return how many jobs this process works on."""
        return len(self._runs)

    def queued(self) -> int:
        """Return how many jobs waited in the store, of all slots', when this process looked last: a second ago."""
        return self._queued

    def full(self) -> bool:
        """Return whether a request that wants to be carried out at once has to come back later."""
        return len(self._runs) >= self.limits.most or self._deadline is not None

    async def _look(self) -> None:
        tidied = 0.0
        while True:
            try:
                while self._deadline is None and self._background() < self.limits.background:
                    if not await self._take(None):
                        break
                self._queued = await self.store.queued()
                if time.monotonic() - tidied > min(_TIDY_SECONDS, self.limits.lease):
                    await self.store.tidy(time.time(), self.limits.keep, self.limits.lease)
                    tidied = time.monotonic()
            except StoreError as error:
                say("store_failed", level="error", detail=str(error))
            except Exception as error:  # a fault of ours must not end the loop
                say("jobs_failed", level="error", detail=repr(error))
            with contextlib.suppress(asyncio.TimeoutError):
                await at_most(_LOOK_SECONDS, self._wake.wait())
            self._wake.clear()

    def _background(self) -> int:
        return sum(not run.job.attached for run in self._runs.values())

    async def received(self, job: str) -> None:
        """Begin with a job that has just come in, if there is room; the others may take it later."""
        if self._deadline is None and self._background() < self.limits.background:
            await self._take(job, first=True)

    async def _take(self, which: Optional[str], *, first: bool = False) -> bool:
        if self._maintenance.on():
            return False
        worker = uuid.uuid4().hex
        job = await self.store.claim(worker, self.seal.names, time.time(), self.limits.lease, which, first=first)
        if job is None:
            return False
        authorization = self.seal.open(job.sealed, job.id, job.seal)
        site = Site(self._plone, self._plone.again(job.options, authorization, JOBS))
        run = Run(self.store, job, worker, site, self._identities, self._told, self._maintenance.on)
        self._runs[job.id] = run
        self._tasks[job.id] = asyncio.ensure_future(self._work(run))
        if self._deadline is not None:
            self._hand_over(run)
        return True

    async def _work(self, run: Run) -> None:
        job = run.job
        say("job_begun", job=job.id, kind=job.kind, done=job.done, total=job.total)
        going = asyncio.ensure_future(run.go())
        beating = asyncio.ensure_future(self._beat(run, going))
        try:
            await going
        except asyncio.CancelledError:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
        except (LeaseLostError, StoreError) as error:
            say("job_lost", level="warning", job=job.id, detail=str(error) or "Another process works on it now.")
        except Exception as error:  # a bug of ours must not end the loop
            say("job_failed", level="error", job=job.id, detail=repr(error))
        finally:
            beating.cancel()
            self._runs.pop(job.id, None)
            self._tasks.pop(job.id, None)
            run.progress.set()
            self.wake()
            say("job_left", job=job.id, stop=run.stop)

    async def _beat(self, run: Run, going: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.sleep(min(1.0, self.limits.lease / 3))
            try:
                orders = await self.store.beat(run.job.id, run.worker, time.time() + self.limits.lease)
            except LeaseLostError:
                going.cancel()
                return
            except StoreError as error:
                say("store_failed", level="error", detail=str(error))
                continue
            run.stop = orders or run.stop

    def _hand_over(self, run: Run) -> None:
        left = (self._deadline or 0) - time.monotonic()
        if not run.job.attached and run.seconds_left() > left:
            run.stop = run.stop or "hand over"

    # For those who ask

    async def follow(
        self, job: str, after: int, attached: Optional[str] = None
    ) -> AsyncGenerator[Optional[bytes], None]:
        """Yield the job's results from `after` on, as they come, until it ends or waits; None while none comes.

        With `attached`, a credential, the job is carried out as long as somebody follows.
        """
        self._followers[job] = self._followers.get(job, 0) + (attached is not None)
        told = time.monotonic()
        try:
            while True:
                run = self._runs.get(job)
                if run:
                    run.progress.clear()
                lines = await self.store.results(job, after, _RESULTS)
                for line in lines:
                    yield line
                after += len(lines)
                if lines:
                    told = time.monotonic()
                elif not await self._goes_on(job, after, attached, run):
                    return
                elif time.monotonic() - told >= HEARTBEAT_SECONDS:
                    yield None
                    told = time.monotonic()
        finally:
            if attached is not None:
                self._followers[job] -= 1
                if not self._followers[job]:
                    del self._followers[job]

    async def _goes_on(self, job: str, after: int, attached: Optional[str], run: Optional[Run]) -> bool:
        """Wait for news and return True; False if there will be none."""
        now = await self.store.get(job)
        if now is None or (now.state in states.ENDED and after >= now.done):
            return False
        if now.state == states.WAITING and not (attached and await self._revived(now, attached)):
            return False
        if now.attached and attached and not run and not self.full():
            await self._take(job)
        if run:
            with contextlib.suppress(asyncio.TimeoutError):
                await at_most(_FOLLOW_SECONDS, run.progress.wait())
        else:
            await asyncio.sleep(0.02 if job in self._runs else _FOLLOW_SECONDS / 2)
        return True

    async def _revived(self, job: Job, authorization: str) -> bool:
        """Resume a job that stopped only because an earlier connection of the same client broke."""
        if job.why not in (states.LEFT, states.DIED) or self._deadline is not None:
            return False
        await self.resume(job, authorization, attached=True)
        return True

    async def resume(self, job: Job, authorization: str, *, attached: bool) -> None:
        """Let a waiting job go on with this credential."""
        sealed = self.seal.close(authorization, job.id)
        await self.store.resume(job.id, sealed, self.seal.name, time.time(), attached=attached)
        self.wake()

    async def left(self, job: str) -> None:
        """The client that followed has gone: if the job was its own, it pauses after the operation in hand."""
        if self._followers.get(job):
            return
        now = await self.store.get(job)
        if now is not None and now.attached and now.state not in states.ENDED:
            await self.order(job, "pause")

    async def order(self, job: str, orders: str) -> None:
        """Tell the process that works on a job to `pause` or `cancel`."""
        await self.store.order(job, orders, time.time())
        run = self._runs.get(job)
        if run:
            run.stop = orders

    def new(self, kind: str, owner: str, key: Optional[str], options: Mapping[str, object], authorization: str,
            *, attached: bool) -> Job:  # fmt: skip
        """Return a job to be created."""
        now, job = time.time(), uuid.uuid4().hex
        return Job(
            job, kind, owner, key, None, states.RECEIVING, "", options, "",
            self.seal.close(authorization, job), self.seal.name, attached, None, 0, 0, "", "", now + RECEIVE_SECONDS,
            now, now,
        )  # fmt: skip
