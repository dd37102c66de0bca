"""Records samples of both slots during a shift, and publishes its progress. Decides nothing.

Two files in the state directory, below runs/<run>: samples.jsonl grows by a line a second, later more rarely (see
`samples`); now.json is one line that is replaced once a second, so its age shows whether the shift is alive, until it
holds the shift's answer and stays. A full disk, or a slot without latencies, leaves gaps and stops no shift.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.sampling import with_latencies
from eduhub_pilot.analysis import samples
from eduhub_pilot.analysis.canary import QUANTILE, Sample, bounds, side
from eduhub_pilot.analysis.samples import Moment, Part
from eduhub_pilot.model.facts import SHIFT, SLOTS, Counts, Slot
from eduhub_pilot.model.outcome import Outcome

# A bridge returns its latencies within milliseconds; all other monitoring waits meanwhile.
LATENCIES_SECONDS = 0.5
# A slot that does not return them before the timeout is not asked for this long.
PAUSE_SECONDS = 10.0
# Progress is published this often.
PUBLISH_SECONDS = 1.0
# Requests a second are averaged over this many samples.
RECENT = 3


class Recorder:
    """Takes the samples of one pilot during one run."""

    def __init__(self, host: Host, run: str, slot: Slot, percent: int) -> None:
        self.host, self.run, self.slot, self.percent = host, run, slot, percent
        self.before: dict[Slot, Sample] = {}
        self.lines = max(0, len(host.store.samples(run)) - 1)
        self.silent_until: dict[Slot, float] = dict.fromkeys(SLOTS, 0.0)
        self.taken_at = self.moved_at = self.published_at = host.clock.monotonic()
        self.over = False
        self.recent: deque[Moment] = deque(maxlen=RECENT)
        self.so_far: dict[Slot, Part] = {slot: Part() for slot in SLOTS}

    def look(self, weight: int, counts: Mapping[Slot, Counts]) -> None:
        """Take a sample when one is due."""
        now = self.host.clock.monotonic()
        if not self.before or now - self.taken_at >= samples.interval(self.lines):
            self._take(weight, counts, now)
        elif now - self.published_at >= PUBLISH_SECONDS:
            self._publish(now)

    def step(self, weight: int, percent: int, counts: Mapping[Slot, Counts]) -> None:
        """End a sample, since traffic is about to move: a sample spans no move."""
        now = self.host.clock.monotonic()
        self._take(self._weight() if self.before else weight, counts, now)
        self.percent, self.moved_at = percent, now
        self.so_far = {slot: Part() for slot in SLOTS}
        self.recent.clear()

    def last(self, counts: Mapping[Slot, Counts]) -> None:
        """Take a sample early, since it may be the last one."""
        self._take(self._weight(), counts, self.host.clock.monotonic())

    def end(self, outcome: Outcome) -> None:
        """Publish how traffic moved. Nothing else is published from then on: readers may look later."""
        self.over = True
        ended(self.host, self.run, outcome)

    def _weight(self) -> int:
        return self.percent if self.slot == "green" else 100 - self.percent

    def _take(self, weight: int, counts: Mapping[Slot, Counts], now: float) -> None:
        sampled = {slot: self._sample(slot, counts[slot], now) for slot in SLOTS}
        before, seconds = self.before, now - self.taken_at
        self.before, self.taken_at = sampled, now
        if not before or not seconds:
            self._publish(now)
            return
        parts = {slot: samples.part(side(before[slot], sampled[slot])) for slot in SLOTS}
        time = self.host.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        moment = Moment(time, seconds, weight, parts)
        self.recent.append(moment)
        self.so_far = {slot: self.so_far[slot].plus(parts[slot]) for slot in SLOTS}
        with suppress(OSError):
            if self.lines < samples.MOST:
                self.host.store.append_sample(self.run, samples.line(moment), samples.header(self.run))
            self.lines += 1
        self._publish(now)

    def _publish(self, now: float) -> None:
        if not self.over:
            self.published_at = now
            with suppress(OSError):
                self.host.store.save_now(self.run, _text(self.run, self.view(now)))

    def _sample(self, slot: Slot, counts: Counts, now: float) -> Sample:
        """Return the slot's counters with its latencies, if there can be new ones."""
        last = self.before.get(slot)
        if last and last.counts.answers == counts.answers:
            return Sample(counts, last.requests, last.plone)
        if now < self.silent_until[slot]:
            return Sample(counts)
        taken = with_latencies(self.host, slot, counts, LATENCIES_SECONDS)
        if taken.requests is None:
            self.silent_until[slot] = now + PAUSE_SECONDS
        return taken

    def view(self, now: float) -> dict[str, Any]:
        """Return the progress: errors and p95 since traffic last moved, requests a second of the last seconds."""
        seconds = sum(each.seconds for each in self.recent)
        slots = {
            slot: {
                "weight": self._weight() if slot == "green" else 100 - self._weight(),
                "per_second": round(samples.total(self.recent, slot).answers / seconds, 1) if seconds else 0.0,
                "p95_seconds": bounds(samples.histogram(self.so_far[slot].requests), QUANTILE),
                "errors": self.so_far[slot].errors + self.so_far[slot].faults,
            }
            for slot in SLOTS
        }
        moved = round(now - self.moved_at, 1)
        return {"to": self.slot, "percent": self.percent, "seconds": moved, "slots": slots}


def ended(host: Host, run: str, outcome: Outcome | None) -> None:
    """Publish the shift's answer as the end, or None where `await` has to determine it."""
    answer = outcome.document(SHIFT) if outcome else {}
    with suppress(OSError):
        host.store.save_now(run, _text(run, {"over": True, **answer}))


def _text(run: str, fields: Mapping[str, Any]) -> str:
    # Without spaces: role pilot looks for `"over":` in it.
    return json.dumps({"schema": samples.SCHEMA, "run": run, **fields}, separators=(",", ":")) + "\n"
