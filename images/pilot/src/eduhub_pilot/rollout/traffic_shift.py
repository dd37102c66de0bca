"""The traffic_shift of a shift: each step moves traffic, is watched and judged; the first thing amiss ends it."""

from __future__ import annotations

from dataclasses import replace

from eduhub_pilot.adapters.host import PATIENCE_SECONDS, Host
from eduhub_pilot.model import connections
from eduhub_pilot.model.errors import FailedError, LostError
from eduhub_pilot.model.shift_plan import Plan, weight_at
from eduhub_pilot.model.state import Rollout, Traffic
from eduhub_pilot.rollout import public_check, rehearsal
from eduhub_pilot.rollout.drain import drained
from eduhub_pilot.rollout.monitor import TrafficMonitor

POLL_SECONDS = 0.2


class TrafficShift:
    """One pilot's way through one rollout's plan. Each method raises FailedError for what ends the shift."""

    def __init__(self, host: Host, run: str, rollout: Rollout, plan: Plan) -> None:
        self.host, self.run, self.rollout, self.plan = host, run, rollout, plan
        name = host.settings.container(rollout.slot)
        container = host.engine.container(name)
        if container is None or not container.runs:
            raise FailedError(f"{name} does not run any more, so nothing is moved to it.")
        self.monitor = TrafficMonitor(host, run, rollout, plan, container)
        self.look = self.monitor.look

    def go(self, rehearse: bool = False) -> None:
        """Take the steps that are still ahead, ask the public address, and note that all traffic has moved.

        With `rehearse` it goes back and forth once more, and the way back is what that took.
        """
        seconds, left = None, 0
        for percent in self.plan.ahead(self.monitor.percent):
            self._move(percent)
            if percent == 100 and self.rollout.origin:
                seconds, left = self._drain(last=not rehearse)
            self._watch()
        public_check.check(self.host, self.run, self.rollout, self.look)
        # Without a rehearsal, what going back would take too: the same switch and the same drain.
        way_back = None if seconds is None else min(seconds, self.host.settings.drain_seconds)
        if rehearse and self.rollout.origin:
            way_back = self._rehearse()
            # The other slot had all traffic again for a moment, so it is emptied again before anything may cut it.
            seconds, left = self._drain(last=True)
        self._finish(seconds, left, way_back)

    def _move(self, percent: int) -> None:
        """Move traffic, behind the guard: nobody can revert this run between the check and the command."""
        host, monitor = self.host, self.monitor
        with host.step(self.run, "shift") as (_, state):
            if state.rollout is None or state.rollout.run != self.run or state.rollout.release != self.rollout.release:
                raise self._lost("its rollout changed")
            host.store.save_state(state.at(state.rollout, "shift"))
            monitor.moves(percent)
            moved = host.proxy.move(weight_at(monitor.slot, percent), PATIENCE_SECONDS)
            seconds = round(host.clock.monotonic() - monitor.moved_at, 3)
            if monitor.process is None:
                monitor.process = moved.process
                rollout = replace(state.rollout, traffic=Traffic(moved.process))
                host.store.save_state(state.at(rollout, "shift"))
            monitor.same(moved.process)
            host.note(
                self.run, "shift", "moved", slot=monitor.slot, release=self.rollout.release, share=moved.share,
                percent=percent, seconds=seconds,
            )  # fmt: skip

    def _watch(self) -> None:
        """Look until the step's time is over, then judge its whole window."""
        host, monitor = self.host, self.monitor
        monitor.open()
        until = host.clock.monotonic() + self.plan.seconds
        monitor.look()
        while host.clock.monotonic() < until:
            host.clock.sleep(POLL_SECONDS)
            monitor.look()
        verdict = monitor.verdict()
        host.note(self.run, "shift", "watched", percent=monitor.percent, **verdict.document())
        if verdict.verdict == "fail":
            raise FailedError(
                f"{monitor.slot} with {monitor.percent}% of the traffic: {verdict.reason}.",
                verdicts=[verdict.document()],
            )

    def _drain(self, last: bool) -> tuple[float, int]:
        """Wait until the other slot is empty, or the deadline; return the seconds, and how many are left.

        Before a rehearsal it is not the `last` time: streams are not waited for, and nothing would be cut. Nor are
        they on the way back, which nothing may hold up.
        """
        host, slot = self.host, self.monitor.left
        patient = last and self.rollout.verb != "rollback"
        stream_seconds = host.settings.drain_stream_seconds if patient else 0
        left = drained(host, slot, host.settings.drain_seconds, self.look, stream_seconds)
        seconds = round(host.clock.monotonic() - self.monitor.moved_at, 3)
        found = host.proxy.left(slot, PATIENCE_SECONDS) if left else []
        host.note_connections(self.run, "shift", "drained", slot, found, left=left, seconds=seconds)
        if left and last and self.plan.cut == "forbid":
            raise FailedError(
                f"{left} connections are still at {slot} after {seconds:.0f} s, and none may be cut "
                f"(pilot_drain_cut): {connections.words(found)}. Raise pilot_drain_seconds, for streams and WebSockets "
                "pilot_drain_stream_seconds, or allow it.",
                connections=connections.pages(found)[0],
            )
        return seconds, left

    def _rehearse(self) -> float:
        """Give all traffic back and take it again; return the seconds that going back took."""
        rehearsal.ready(self.host, self.rollout)
        self._move(0)
        seconds = rehearsal.back(self.host, self.run, self.rollout, self.monitor.moved_at)
        self._move(100)
        self.look()
        public_check.check(self.host, self.run, self.rollout, self.look)
        return seconds

    def _finish(self, seconds: float | None, left: int, way_back: float | None) -> None:
        host, rollout, process = self.host, self.rollout, self.monitor.process
        self.monitor.recorder.last(self.monitor.seen)
        with host.step(self.run, "shifted") as (_, state):
            if state.rollout is None or process is None:
                raise self._lost("it was reverted")
            by = host.clock.monotonic() + rollout.confirm_seconds
            moved = state.at(replace(state.rollout, traffic=Traffic(process, by, seconds, left)), "shifted")
            known = state.way_back_seconds if way_back is None else way_back
            host.store.save_state(replace(moved, way_back_seconds=known))
            host.note(
                self.run, "shift", "shifted", slot=rollout.slot, release=rollout.release, hold=rollout.hold,
                confirm_within=rollout.confirm_seconds,
            )  # fmt: skip

    def _lost(self, how: str) -> LostError:
        return LostError(f"Run {self.run} ends here: {how} meanwhile. `./invoke status` says what serves.")
