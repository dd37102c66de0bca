"""Monitors a shift: whether HAProxy and the slot are as they were left, and whether the candidate does worse."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.adapters.sampling import sample
from eduhub_pilot.analysis.canary import Sample, Side, judge, misbehaves, row, side, slowed
from eduhub_pilot.gates.waiver import waiver_of
from eduhub_pilot.model.errors import EngineDownError, FailedError, ProxyDownError
from eduhub_pilot.model.facts import Container, Counts, Process, Slot, other, slot_of
from eduhub_pilot.model.shift_plan import Plan, weight_at
from eduhub_pilot.model.state import Rollout
from eduhub_pilot.model.verdict import Verdict
from eduhub_pilot.rollout.recorder import Recorder
from eduhub_pilot.rollout.slot_readiness import gone

# While a run awaits confirmation its error window is renewed this often, so that old answers hide no new errors; more
# rarely where there are too few answers by then to conclude anything from.
WINDOW_SECONDS = 10.0
# HAProxy takes milliseconds to list its sessions, more with a thousand of them.
LIST_SECONDS = 1.0
# So many windows in a row have to be slow: of the thousands of a night, two in a row are by chance.
SLOW_WINDOWS = 6
# So many times as many requests a second are another load.
BUSIER = 1.5
# The engine is asked this often, and given as long to answer: errors are looked for five times as often. One that takes
# longer is not asked again for the pause.
ENGINE_SECONDS, ENGINE_PAUSE_SECONDS = 1, 10


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
        self.listed_at = self.engine_at = -math.inf
        now = host.proxy.now(TIMEOUT_SECONDS)
        self.process: Process | None = rollout.traffic.process if rollout.traffic else None
        self.percent = weight_at(self.slot, now.weight)
        self.moved_at = host.clock.monotonic()
        self.reference, self.reference_rate = Side(), 0.0
        self.timed: Sample | None = None
        self.timed_at, self.slow = self.moved_at, 0
        counted = self._read(self.left)
        self.before = Side(counted.answers, counted.errors)
        self.same(now.process)
        self.open_quickly()
        self.recorder = Recorder(host, run, self.slot, self.percent)
        self.recorder.look(now.weight, self.counts)

    def check(self) -> None:
        """Check once: heartbeat, HAProxy, container, errors. Raise FailedError for what ends a shift."""
        self.heart.beat()
        try:
            now = self.host.proxy.now(TIMEOUT_SECONDS)
        except ProxyDownError as error:
            message = f"HAProxy went down {self._after()} and did not come back. {error.message}"
            raise FailedError("haproxy_lost", message) from None
        self.same(now.process)
        if now.weight != weight_at(self.slot, self.percent):
            message = f"Traffic was moved to {slot_of(now.weight)} from outside this run, {self._after()}."
            raise FailedError("traffic_mismatch", message)
        self._count()
        self._container()
        self.recorder.look(now.weight, self.counts)

    def _container(self) -> None:
        """Ask the engine whether the candidate's container runs; one that is down or hangs delays nothing else."""
        began = self.host.clock.monotonic()
        if began < self.engine_at:
            return
        self.engine_at = began + ENGINE_SECONDS
        try:
            found = self.host.engine.container(self.container.name, ENGINE_SECONDS)
        except EngineDownError:  # which says nothing about the slot
            if (now := self.host.clock.monotonic()) - began >= ENGINE_SECONDS:
                self.engine_at = now + ENGINE_PAUSE_SECONDS
            return
        paused = f"{self.container.name} is paused" if found and found.state == "paused" else None
        if why := gone(found, self.container) or paused:
            raise FailedError("container_lost", f"{why}, {self._after()}.")

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
        self.timed, self.slow = None, 0
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
            self.reference_rate = (new.answers + old.answers) / max(self.host.clock.monotonic() - self.began, 1e-3)
        return Verdict(
            f"shift {self.percent}%", word, reason, {self.slot: new.document(), self.left: old.document()},
            asdict(self.plan.limits), round(self.host.clock.monotonic() - self.began, 3),
        )  # fmt: skip

    def _open(self, new: Sample, old: Sample) -> None:
        self.new, self.old, self.began = new, old, self.host.clock.monotonic()
        self.rows: dict[Slot, int] = {self.slot: 0, self.left: 0}
        self.counts: dict[Slot, Counts] = {self.slot: new.counts, self.left: old.counts}
        self.answered_at, self.before_silence = self.began, new.counts

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
        old = self._baseline() if self.percent == 100 else sides[self.left]
        if why := misbehaves(sides[self.slot], old, self.plan.limits):
            self._fail("slot_errors", f"The candidate ({self.slot}) {why}, {self._after()}.")
        over = self.host.clock.monotonic() - self.began > max(WINDOW_SECONDS, self.plan.seconds * 2)
        if over and sides[self.slot].answers >= self.plan.limits.answers:
            self._latencies()
            kept = self.rows, self.answered_at, self.before_silence
            self._open(Sample(self.counts[self.slot]), Sample(self.counts[self.left]))
            self.rows, self.answered_at, self.before_silence = kept

    def _latencies(self) -> None:
        """Raise FailedError when the candidate has all traffic and has become slower, in some windows in a row.

        The recorder's samples do, each once: asking the slot once more would delay the look for errors. With half as
        many requests again as in the baseline's window, the load may be the cause.
        """
        now, before, at = self.recorder.before.get(self.slot), self.timed, self.recorder.taken_at
        if now is before and now is not None:  # samples are taken more rarely as hours go by
            return
        self.timed, began, self.timed_at = now, self.timed_at, at
        if self.percent != 100 or now is None or before is None:
            return
        new = side(before, now)
        busier = new.answers / max(at - began, 1e-3) > BUSIER * self.reference_rate
        why = None if busier else slowed(new, self.reference, self.plan.limits)
        self.slow = self.slow + 1 if why else 0
        if why and self.slow >= SLOW_WINDOWS:
            self._fail("canary_failed", f"The candidate ({self.slot}) became slower: {why} before, {self._after()}.")

    def _baseline(self) -> Side:
        """Return what the candidate is compared with once it has all traffic: the other slot in the step before.

        Where that gave few answers, as on a quiet host, all that it gave before traffic moved.
        """
        return self.reference if self.reference.answers >= self.plan.limits.answers else self.before

    def _answering(self, counts: Counts) -> None:
        """Raise FailedError when the candidate gets requests and answers none.

        HAProxy counts an answer when it is over: an event stream is a request without one. So those that wait are
        looked for among its sessions, once a second at most, and clients that gave up waiting are added.
        """
        now, before, timeout = self.host.clock.monotonic(), self.before_silence, self.host.settings.probe_seconds
        if counts.answers != before.answers or counts.requests == before.requests:
            self.answered_at, self.before_silence = now, counts
            return
        silent, limit = now - self.answered_at, self.plan.limits.answers
        if counts.requests - before.requests < limit or silent < timeout or now < self.listed_at + LIST_SECONDS:
            return
        self.listed_at = now
        left = counts.aborts - before.aborts
        asked = left + self.host.proxy.unanswered(self.slot, timeout, TIMEOUT_SECONDS)
        if asked >= limit:
            gave_up = f" ({left} of their clients gave up)" if left else ""
            message = f"The candidate ({self.slot}) answered none of {asked} requests within {silent:.1f} s{gave_up}"
            self._fail("slot_silent", f"{message}, {self._after()}.")

    def _fail(self, code: str, message: str) -> None:
        """Raise FailedError, unless a waiver applies; then begin a new window."""
        why = waiver_of(self.host, self.rollout)
        if why is None:
            raise FailedError(code, message)
        self.host.note(self.run, "shift", "waived", what=message, why=why)
        self.open_quickly()

    def _read(self, slot: Slot) -> Counts:
        return self.host.proxy.counts(slot, TIMEOUT_SECONDS)

    def _after(self) -> str:
        return f"{self.host.clock.monotonic() - self.moved_at:.1f} s after {self.percent}% of the traffic had moved"
