"""The steps of a shift: each moves traffic, is monitored and judged; the first failure ends the shift."""

from __future__ import annotations

from dataclasses import replace

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.model import connections
from eduhub_pilot.model.errors import FailedError, SupersededError
from eduhub_pilot.model.shift_plan import Plan, weight_at
from eduhub_pilot.model.state import Rollout, Traffic
from eduhub_pilot.rollout import public_check, rehearsal
from eduhub_pilot.rollout.drain import drained
from eduhub_pilot.rollout.messages import being_undone
from eduhub_pilot.rollout.monitor import TrafficMonitor

POLL_SECONDS = 0.2


class TrafficShift:
    """One pilot's pass through one rollout's plan. Each method raises FailedError for what ends the shift."""

    def __init__(self, host: Host, run: str, rollout: Rollout, plan: Plan) -> None:
        self.host, self.run, self.rollout, self.plan = host, run, rollout, plan
        name = host.settings.container(rollout.slot)
        container = host.engine.container(name)
        if container is None or not container.runs:
            untouched = "" if rollout.traffic else " No traffic was moved to it."
            raise FailedError("candidate_not_running", f"{name} does not run.{untouched}")
        self.monitor = TrafficMonitor(host, run, rollout, plan, container)
        self.check = self.monitor.check

    def go(self, rehearse: bool = False) -> None:
        """Take the remaining steps, run the public check, and record that all traffic has moved.

        With `rehearse` the rollback is rehearsed, and its duration recorded.
        """
        seconds, left = None, 0
        for percent in self.plan.ahead(self.monitor.percent):
            self._move(percent)
            if percent == 100 and self.rollout.origin:
                seconds, left = self._drain(last=not rehearse)
            self._analyse()
        public_check.check(self.host, self.run, self.rollout, self.check)
        # Without a rehearsal, a rollback would take the same: one switch and one drain.
        rollback_seconds = None if seconds is None else min(seconds, self.host.settings.drain_seconds)
        if rehearse and self.rollout.origin:
            rollback_seconds = self._rehearse()
            # The previous slot had all traffic again for a moment, so it is drained again.
            seconds, left = self._drain(last=True)
        self._finish(seconds, left, rollback_seconds)

    def _move(self, percent: int) -> None:
        """Move traffic, holding the guard: no other pilot can revert this run between the check and the command."""
        host, monitor = self.host, self.monitor
        with host.step(self.run, "shift") as (_, state):
            if state.rollout is None or state.rollout.run != self.run or state.rollout.release != self.rollout.release:
                raise self._superseded("its rollout changed")
            if state.rollout.undoing:
                raise being_undone(state.rollout)
            rollout, traffic = state.rollout, state.rollout.traffic
            if traffic and not percent:  # before, so that a pilot killed right after takes it for no undo
                rollout = replace(rollout, traffic=replace(traffic, returned=True))
            host.store.save_state(state.at(rollout, "shift"))
            monitor.moves(percent)
            moved = host.proxy.move(weight_at(monitor.slot, percent), TIMEOUT_SECONDS)
            seconds = round(host.clock.monotonic() - monitor.moved_at, 3)
            monitor.process = monitor.process or moved.process
            if percent and (traffic is None or traffic.returned):
                host.store.save_state(state.at(replace(rollout, traffic=Traffic(monitor.process)), "shift"))
            monitor.same(moved.process)
            host.note(
                self.run, "shift", "moved", slot=monitor.slot, release=self.rollout.release, weight=moved.weight,
                percent=percent, seconds=seconds,
            )  # fmt: skip

    def _analyse(self) -> None:
        """Monitor until the step's time is over, then judge its whole window."""
        host, monitor = self.host, self.monitor
        monitor.open()
        until = host.clock.monotonic() + self.plan.seconds
        monitor.check()
        while host.clock.monotonic() < until:
            host.clock.sleep(POLL_SECONDS)
            monitor.check()
        verdict = monitor.verdict()
        host.note(self.run, "shift", "judged", percent=monitor.percent, **verdict.document())
        if verdict.verdict == "fail":
            raise FailedError(
                "canary_failed",
                f"The candidate ({monitor.slot}) failed at {monitor.percent}% of the traffic: {verdict.reason}.",
                verdicts=[verdict.document()],
            )

    def _drain(self, last: bool) -> tuple[float, int]:
        """Drain the previous slot until it is empty or the timeout; return the seconds, and the connections left.

        Streams get the longer timeout only in the `last` drain, and not in a rollback, which must not be delayed.
        """
        host, slot = self.host, self.monitor.left
        long = last and self.rollout.verb != "rollback"
        stream_seconds = host.settings.drain_stream_seconds if long else 0
        left = drained(host, slot, host.settings.drain_seconds, self.check, stream_seconds)
        seconds = round(host.clock.monotonic() - self.monitor.moved_at, 3)
        found = host.proxy.left(slot, TIMEOUT_SECONDS) if left else []
        host.note_connections(self.run, "shift", "drained", slot, found, left=left, seconds=seconds)
        if left and last and self.plan.cut == "forbid":
            raise FailedError(
                "drain_incomplete",
                f"{left} connections are left at {slot} after {seconds:.0f} s, and pilot_drain_cut forbids to cut "
                f"them: {connections.words(found)}. Raise pilot_drain_seconds, for streams and WebSockets "
                "pilot_drain_stream_seconds, or set pilot_drain_cut to allow.",
                connections=connections.pages(found)[0],
            )
        return seconds, left

    def _rehearse(self) -> float:
        """Move all traffic back and to the candidate again; return the seconds that moving back took."""
        rehearsal.ready(self.host, self.rollout)
        self._move(0)
        seconds = rehearsal.back(self.host, self.run, self.rollout, self.monitor.moved_at)
        self._move(100)
        self.check()
        public_check.check(self.host, self.run, self.rollout, self.check)
        return seconds

    def _finish(self, seconds: float | None, left: int, rollback_seconds: float | None) -> None:
        host, rollout, process = self.host, self.rollout, self.monitor.process
        self.monitor.recorder.last(self.monitor.counts)
        with host.step(self.run, "shifted") as (_, state):
            if state.rollout is None or process is None:
                raise self._superseded("it was reverted")
            if state.rollout.undoing:
                raise being_undone(state.rollout)
            by = host.clock.monotonic() + rollout.confirm_seconds
            moved = state.at(replace(state.rollout, traffic=Traffic(process, by, seconds, left)), "shifted")
            known = state.rollback_seconds if rollback_seconds is None else rollback_seconds
            host.store.save_state(replace(moved, rollback_seconds=known))
            host.note(
                self.run, "shift", "shifted", slot=rollout.slot, release=rollout.release, hold=rollout.hold,
                confirm_within=rollout.confirm_seconds,
            )  # fmt: skip

    def _superseded(self, why: str) -> SupersededError:
        return SupersededError(self.run, why)
