"""A job is done when all of it is done, and never for want of a better word."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from eduhub_bridge.jobs import run as runs
from eduhub_bridge.jobs.perform import HeldError, Outcome
from eduhub_bridge.jobs.run import Run
from eduhub_bridge.store import jobs as states
from eduhub_bridge.store.database import StoreError, StoreFullError
from eduhub_bridge.store.jobs import Begun, Job, Line

JOB = Job("j", "bulk", "admin", None, None, states.RUNNING, "", {}, "", None, "key", False, 2, 0, 0, "", "w", 9e9, 1, 1)


class Store:
    """Fails when it is asked for lines; remembers in which state the job was given back."""

    def __init__(self, failure):
        self.failure, self.given = failure, None

    async def waiting_lines(self, *_):
        if self.failure:
            raise self.failure
        return []

    async def let_go(self, job, worker, state, why, now, *, not_before):  # noqa: ARG002 - as it is called
        self.given = (state, why, not_before > time.time())


@pytest.mark.parametrize(
    ("failure", "given"),
    [
        (None, (states.DONE, "", False)),
        (ZeroDivisionError(), (states.FAILED, "The bridge failed over it; its log says more.", False)),
        (StoreFullError(), (states.QUEUED, "Waiting for the bridge's store.", True)),
        (StoreError(), (states.QUEUED, "Waiting for the bridge's store.", True)),
    ],
)
async def test_how_a_job_is_given_back(failure, given):
    store = Store(failure)
    run = Run(store, JOB, "w", None, None, None, bool)
    if failure:
        with pytest.raises(type(failure)):
            await run.go()
    else:
        await run.go()
    assert store.given == given


@pytest.mark.parametrize(("orders", "state"), [("", states.QUEUED), ("cancel", states.CANCELLED)])
async def test_operations_in_hand_end_where_maintenance_holds_the_next_one(monkeypatch, orders, state):
    class Held(Store):
        ended: tuple[int, ...] = ()

        async def waiting_lines(self, job, after, *_):  # noqa: ARG002 - as it is called
            body = b'{"op": "delete", "path": "/a"}'
            return [Line(seq, body) for seq in range(3)] if after < 0 else []

        async def begin(self, *_):
            return Begun("go")

        async def end(self, job, worker, seq, *_, **more):  # noqa: ARG002 - as it is called
            self.ended = (*self.ended, seq)

    async def perform(site, operation, scope, **more):  # noqa: ARG001 - as it is called
        if scope.endswith("\0" + "0"):  # in hand while the second one meets maintenance
            await asyncio.sleep(0.05)
            return Outcome(204, "/a")
        run.stop = orders
        raise HeldError

    monkeypatch.setattr(runs, "perform", perform)
    store = Held(None)
    job = replace(JOB, options={"concurrency": 2}, attached=True)
    run = Run(store, job, "w", None, None, lambda *_: None, lambda: True)
    await run.go()
    assert (store.ended, store.given[0], store.given[2]) == ((0,), state, state == states.QUEUED)
