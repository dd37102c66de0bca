"""The course of a shift: each step moves traffic, watches, and is judged; the first thing amiss ends it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from eduhub_pilot import ledger, rehearsal, testimony
from eduhub_pilot.drain import drained
from eduhub_pilot.errors import EngineDownError, FailedError, LostError, ProxyDownError
from eduhub_pilot.facts import Counts, Process, Slot, other, slot_of
from eduhub_pilot.host import PATIENCE_SECONDS, Host
from eduhub_pilot.measure import sample
from eduhub_pilot.prove import gone
from eduhub_pilot.state import Rollout, Traffic
from eduhub_pilot.steps import Plan, share_at
from eduhub_pilot.verdict import Verdict
from eduhub_pilot.watch import Sample, Side, judge, misbehaves, row, side

POLL_SECONDS = 0.2
# A window of errors is renewed this often while a run waits for its confirmation, so that old answers hide nothing.
WINDOW_SECONDS = 10.0


class Course:
    """One pilot's watch over one rollout. Each method raises FailedError for what ends the shift."""

    def __init__(self, host: Host, run: str, rollout: Rollout, plan: Plan) -> None:
        self.host, self.run, self.rollout, self.plan = host, run, rollout, plan
        self.slot: Slot = rollout.slot
        self.left: Slot = other(rollout.slot)
        self.heart = host.heart(run)
        container = host.engine.container(host.settings.container(self.slot))
        if container is None or not container.runs:
            raise FailedError(f"{host.settings.container(self.slot)} does not run any more, so nothing is moved to it.")
        self.container = container
        now = host.proxy.now(PATIENCE_SECONDS)
        self.process: Process | None = rollout.traffic.process if rollout.traffic else None
        self.percent = share_at(self.slot, now.share)
        self.moved_at = host.clock.monotonic()
        self.reference = Side()
        self._same(now.process)
        self._open(Sample(host.proxy.counts(self.slot, PATIENCE_SECONDS)), Sample(self._counts(self.left)))

    def go(self, rehearse: bool = False) -> None:
        """Take the steps that are still ahead, ask the public address, and note that all traffic has moved.

        With `rehearse` it goes back and forth once more, and the way back is what that took.
        """
        seconds, left = None, 0
        for percent in self.plan.ahead(self.percent):
            self._move(percent)
            if percent == 100 and self.rollout.origin:
                seconds, left = self._drain()
            self._watch(percent)
        testimony.hear(self.host, self.run, self.rollout, self.look)
        if rehearse and self.rollout.origin:
            seconds = self._rehearse()
        self._finish(seconds, left)

    def look(self) -> None:
        """Look once: heart, HAProxy, container, errors."""
        self.heart.beat()
        try:
            now = self.host.proxy.now(PATIENCE_SECONDS)
        except ProxyDownError as error:
            raise FailedError(f"HAProxy was gone {self._after()}, and is not back: {error.say}") from None
        self._same(now.process)
        if now.share != share_at(self.slot, self.percent):
            raise FailedError(f"Traffic was moved to {slot_of(now.share)} by somebody else, {self._after()}.")
        with suppress(EngineDownError):  # which says nothing about the slot
            found = self.host.engine.container(self.container.name)
            paused = f"{self.container.name} is paused" if found and found.state == "paused" else None
            if why := gone(found, self.container) or paused:
                raise FailedError(f"{why}, {self._after()}.")
        self._count()

    # --- moving

    def _move(self, percent: int) -> None:
        """Move traffic, behind the guard: nobody can revert this run between the check and the command."""
        host, share = self.host, share_at(self.slot, percent)
        with host.step(self.run, "shift") as (_, state):
            if state.rollout is None or state.rollout.run != self.run or state.rollout.release != self.rollout.release:
                raise self._lost("its rollout changed")
            host.store.save_state(state.at(state.rollout, "shift"))
            self._open(Sample(self._counts(self.slot)), Sample(self._counts(self.left)))
            self.moved_at = host.clock.monotonic()
            self.percent = percent
            moved = host.proxy.move(share, PATIENCE_SECONDS)
            seconds = round(host.clock.monotonic() - self.moved_at, 3)
            if self.process is None:
                self.process = moved.process
                rollout = replace(state.rollout, traffic=Traffic(moved.process))
                host.store.save_state(state.at(rollout, "shift"))
            self._same(moved.process)
            host.note(
                self.run, "shift", "moved", slot=self.slot, release=self.rollout.release, share=moved.share,
                percent=percent, seconds=seconds,
            )  # fmt: skip

    def _drain(self) -> tuple[float, int]:
        """Wait until the other slot is empty, or the deadline; return the seconds, and who is left."""
        host = self.host
        left = drained(host, self.left, host.settings.drain_seconds, self.look)
        seconds = round(host.clock.monotonic() - self.moved_at, 3)
        found = host.proxy.left(self.left, PATIENCE_SECONDS) if left else []
        host.note(
            self.run, "shift", "drained", slot=self.left, left=left, seconds=seconds,
            connections=ledger.document(found),
        )  # fmt: skip
        if left and self.plan.cut == "forbid":
            raise FailedError(
                f"{left} connections are still at {self.left} after {host.settings.drain_seconds:g} s, and none may be "
                f"cut (pilot_drain_cut): {ledger.words(found)}. Raise pilot_drain_seconds, or allow it.",
                connections=ledger.document(found),
            )
        return seconds, left

    def _rehearse(self) -> float:
        """Give all traffic back and take it again; return the seconds that going back took."""
        self._move(0)
        seconds = rehearsal.back(self.host, self.run, self.rollout, self.moved_at)
        self._move(100)
        self.look()
        testimony.hear(self.host, self.run, self.rollout, self.look)
        return seconds

    def _finish(self, seconds: float | None, left: int) -> None:
        host, rollout = self.host, self.rollout
        with host.step(self.run, "shifted") as (_, state):
            if state.rollout is None or self.process is None:
                raise self._lost("it was reverted")
            by = host.clock.monotonic() + rollout.confirm_seconds
            traffic = Traffic(self.process, by, seconds, left)
            # What going back would take too: the same switch and the same drain.
            way_back = state.way_back_seconds if seconds is None else seconds
            moved = state.at(replace(state.rollout, traffic=traffic), "shifted")
            host.store.save_state(replace(moved, way_back_seconds=way_back))
            host.note(
                self.run, "shift", "shifted", slot=self.slot, release=rollout.release, hold=rollout.hold,
                confirm_within=rollout.confirm_seconds,
            )  # fmt: skip

    # --- watching

    def _watch(self, percent: int) -> None:
        """Look until the step's time is over, then judge its whole window."""
        self._open(sample(self.host, self.slot), sample(self.host, self.left))
        began, until = self.began, self.began + self.plan.seconds
        self.look()
        while self.host.clock.monotonic() < until:
            self.host.clock.sleep(POLL_SECONDS)
            self.look()
        new = side(self.new, sample(self.host, self.slot), self.rows[self.slot])
        old = side(self.old, sample(self.host, self.left), self.rows[self.left])
        alone = percent == 100
        word, reason = judge(new, self.reference if alone else old, self.plan.limits, reference=alone)
        if not alone and old.answers >= self.reference.answers:
            self.reference = replace(old, faults=0, queued=0, row=0)
        verdict = Verdict(
            f"shift {percent}%", word, reason, {self.slot: new.document(), self.left: old.document()}, {},
            round(self.host.clock.monotonic() - began, 3),
        )  # fmt: skip
        self.host.note(self.run, "shift", "watched", percent=percent, **verdict.document())
        if word == "fail":
            raise FailedError(f"{self.slot} with {percent}% of the traffic: {reason}.", verdicts=[verdict.document()])

    def _open(self, new: Sample, old: Sample) -> None:
        """Begin a window."""
        self.new, self.old, self.began = new, old, self.host.clock.monotonic()
        self.rows: dict[Slot, int] = {self.slot: 0, self.left: 0}
        self.seen = {self.slot: new.counts, self.left: old.counts}
        self.answered_at, self.asked = self.began, new.counts.requests

    def _count(self) -> None:
        """Compare both slots' errors so far in this window."""
        sides = {}
        for slot, before in ((self.slot, self.new), (self.left, self.old)):
            counts = self._counts(slot)
            self.rows[slot] = row(self.rows[slot], self.seen[slot], counts)
            self._answering(slot, counts)
            self.seen[slot] = counts
            sides[slot] = side(Sample(before.counts), Sample(counts), self.rows[slot])
        old = self.reference if self.percent == 100 else sides[self.left]
        if why := misbehaves(sides[self.slot], old, self.plan.limits):
            raise FailedError(f"{self.slot} {why}, {self._after()}.")
        if self.host.clock.monotonic() - self.began > max(WINDOW_SECONDS, self.plan.seconds * 2):
            rows = self.rows
            self._open(Sample(self.seen[self.slot]), Sample(self.seen[self.left]))
            self.rows = rows

    def _answering(self, slot: Slot, counts: Counts) -> None:
        """Raise FailedError when the new slot is asked again and again and answers nothing."""
        if slot != self.slot:
            return
        now = self.host.clock.monotonic()
        if counts.answers != self.seen[slot].answers:
            self.answered_at, self.asked = now, counts.requests
        silent, asked = now - self.answered_at, counts.requests - self.asked
        if asked >= self.plan.limits.answers and silent >= self.host.settings.probe_seconds:
            raise FailedError(f"{slot} answered none of {asked} requests within {silent:.1f} s, {self._after()}.")

    def _counts(self, slot: Slot) -> Counts:
        return self.host.proxy.counts(slot, PATIENCE_SECONDS)

    def _same(self, process: Process) -> None:
        if self.process and process != self.process:
            raise FailedError(
                f"HAProxy was restarted {self._after()}; it came back with the committed slot, as it must."
            )

    def _lost(self, how: str) -> LostError:
        return LostError(f"Run {self.run} ends here: {how} meanwhile. `./invoke status` says what serves.")

    def _after(self) -> str:
        return f"{self.host.clock.monotonic() - self.moved_at:.1f} s after traffic had moved to {self.slot}"
