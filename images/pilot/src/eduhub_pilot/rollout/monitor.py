"""Monitors a shift: whether HAProxy and the slot are as they were left, and whether the candidate does worse."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace

from eduhub_pilot.adapters.host import PATIENCE_SECONDS, Host
from eduhub_pilot.adapters.sampling import sample
from eduhub_pilot.analysis.canary import Sample, Side, judge, misbehaves, row, side
from eduhub_pilot.gates.waiver import waiver_of
from eduhub_pilot.model.errors import EngineDownError, FailedError, ProxyDownError
from eduhub_pilot.model.facts import Container, Counts, Process, Slot, other, slot_of
from eduhub_pilot.model.shift_plan import Plan, weight_at
from eduhub_pilot.model.state import Rollout
from eduhub_pilot.model.verdict import Verdict
from eduhub_pilot.rollout.recorder import Recorder
from eduhub_pilot.rollout.slot_readiness import gone

# While a run awaits confirmation its error window is renewed this often, so that old answers hide no new errors.
WINDOW_SECONDS = 10.0


class TrafficMonitor:
    """One pilot's view of a rollout's traffic: the weight, when it was set, in which HAProxy process, and the counters.

    `process` is None until traffic has moved first.
    """

    def __init__(self, host: Host, run: str, rollout: Rollout, plan: Plan, container: Container) -> None:
        self.host, self.plan, self.container = host, plan, container
        self.run, self.rollout = run, rollout
        self.slot: Slot = rollout.slot
        self.left: Slot = other(rollout.slot)
        self.heart = host.heart(run)
        now = host.proxy.now(PATIENCE_SECONDS)
        self.process: Process | None = rollout.traffic.process if rollout.traffic else None
        self.percent = weight_at(self.slot, now.weight)
        self.moved_at = host.clock.monotonic()
        self.reference = Side()
        self.same(now.process)
        self.open_quickly()
        self.recorder = Recorder(host, run, self.slot, self.percent)
        self.recorder.look(now.weight, self.counts)

    def check(self) -> None:
        """Check once: heartbeat, HAProxy, container, errors. Raise FailedError for what ends a shift."""
        self.heart.beat()
        try:
            now = self.host.proxy.now(PATIENCE_SECONDS)
        except ProxyDownError as error:
            message = f"HAProxy went down {self._after()} and did not come back. {error.message}"
            raise FailedError("haproxy_lost", message) from None
        self.same(now.process)
        if now.weight != weight_at(self.slot, self.percent):
            message = f"Traffic was moved to {slot_of(now.weight)} from outside this run, {self._after()}."
            raise FailedError("traffic_mismatch", message)
        with suppress(EngineDownError):  # which says nothing about the slot
            found = self.host.engine.container(self.container.name)
            paused = f"{self.container.name} is paused" if found and found.state == "paused" else None
            if why := gone(found, self.container) or paused:
                raise FailedError("container_lost", f"{why}, {self._after()}.")
        self._count()
        self.recorder.look(now.weight, self.counts)

    def same(self, process: Process) -> None:
        """Raise FailedError unless `process` is the HAProxy in which traffic was moved, if it was."""
        if self.process and process != self.process:
            raise FailedError(
                "haproxy_restarted", f"HAProxy was restarted {self._after()}, and returned to the live release."
            )

    def moves(self, percent: int) -> None:
        """Note that traffic is about to move."""
        self.open_quickly()
        self.percent, self.moved_at = percent, self.host.clock.monotonic()
        self.recorder.step(weight_at(self.slot, percent), percent, self.counts)

    def open_quickly(self) -> None:
        """Begin a window in which errors are counted and latencies are not."""
        self._open(Sample(self._read(self.slot)), Sample(self._read(self.left)))

    def open(self) -> None:
        """Begin a window that is judged."""
        self._open(sample(self.host, self.slot), sample(self.host, self.left))

    def verdict(self) -> Verdict:
        """Return the verdict on the window; at 100% the baseline is the other slot in the window before."""
        new = side(self.new, sample(self.host, self.slot), self.rows[self.slot])
        old = side(self.old, sample(self.host, self.left), self.rows[self.left])
        alone = self.percent == 100
        word, reason = judge(new, self.reference if alone else old, self.plan.limits, reference=alone)
        if word == "fail" and (why := waiver_of(self.host, self.rollout)):
            word, reason = "inconclusive", f"{reason}; but {why}"
        if not alone and old.answers >= self.reference.answers:
            self.reference = replace(old, faults=0, queued=0, row=0)
        return Verdict(
            f"shift {self.percent}%", word, reason, {self.slot: new.document(), self.left: old.document()},
            asdict(self.plan.limits), round(self.host.clock.monotonic() - self.began, 3),
        )  # fmt: skip

    def _open(self, new: Sample, old: Sample) -> None:
        self.new, self.old, self.began = new, old, self.host.clock.monotonic()
        self.rows: dict[Slot, int] = {self.slot: 0, self.left: 0}
        self.counts: dict[Slot, Counts] = {self.slot: new.counts, self.left: old.counts}
        self.answered_at, self.asked = self.began, new.counts.requests

    def _count(self) -> None:
        """Compare both slots' errors so far in this window."""
        sides = {}
        for slot, before in ((self.slot, self.new), (self.left, self.old)):
            counts = self._read(slot)
            self.rows[slot] = row(self.rows[slot], self.counts[slot], counts)
            if slot == self.slot:
                self._answering(counts)
            self.counts[slot] = counts
            sides[slot] = side(Sample(before.counts), Sample(counts), self.rows[slot])
        old = self.reference if self.percent == 100 else sides[self.left]
        if why := misbehaves(sides[self.slot], old, self.plan.limits):
            self._fail("slot_errors", f"The candidate ({self.slot}) {why}, {self._after()}.")
        if self.host.clock.monotonic() - self.began > max(WINDOW_SECONDS, self.plan.seconds * 2):
            rows = self.rows
            self._open(Sample(self.counts[self.slot]), Sample(self.counts[self.left]))
            self.rows = rows

    def _answering(self, counts: Counts) -> None:
        """Raise FailedError when the candidate gets requests and answers none."""
        now = self.host.clock.monotonic()
        if counts.answers != self.counts[self.slot].answers:
            self.answered_at, self.asked = now, counts.requests
        silent, asked = now - self.answered_at, counts.requests - self.asked
        if asked >= self.plan.limits.answers and silent >= self.host.settings.probe_seconds:
            message = f"The candidate ({self.slot}) answered none of {asked} requests within {silent:.1f} s"
            self._fail("slot_silent", f"{message}, {self._after()}.")

    def _fail(self, code: str, message: str) -> None:
        """Raise FailedError, unless a waiver applies; then begin a new window."""
        why = waiver_of(self.host, self.rollout)
        if why is None:
            raise FailedError(code, message)
        self.host.note(self.run, "shift", "waived", what=message, why=why)
        self.open_quickly()

    def _read(self, slot: Slot) -> Counts:
        return self.host.proxy.counts(slot, PATIENCE_SECONDS)

    def _after(self) -> str:
        return f"{self.host.clock.monotonic() - self.moved_at:.1f} s after {self.percent}% of the traffic had moved"
