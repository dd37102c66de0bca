"""A job is done when all of it is done, and never for want of a better word."""

from __future__ import annotations

import time

import pytest

from eduhub_bridge.jobs.run import Run
from eduhub_bridge.store import jobs as states
from eduhub_bridge.store.database import StoreError, StoreFullError
from eduhub_bridge.store.jobs import Job

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
    run = Run(store, JOB, "w", None, None, None)
    if failure:
        with pytest.raises(type(failure)):
            await run.go()
    else:
        await run.go()
    assert store.given == given
