"""The load of the gate `performance`: one request at a time, at the private endpoints, with pauses for the public.

In each round the same requests go to the live release and to the candidate, and to both again; the first rounds only
warm them.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

from eduhub_pilot.adapters.keepalive import BrokenError, Line
from eduhub_pilot.adapters.sampling import METRICS_BYTES, METRICS_SECONDS, PLONE
from eduhub_pilot.analysis.histogram import totals
from eduhub_pilot.gates.candidate import Candidate
from eduhub_pilot.gates.performance import paired
from eduhub_pilot.gates.performance.paired import ORDERS, Arm, Chunk, Judged, Measured, Round
from eduhub_pilot.model.errors import EngineDownError, ProxyDownError
from eduhub_pilot.model.facts import SLOTS, Counts, Slot, other
from eduhub_pilot.model.verdict import Word

# A chunk is one arm's part of a round; what comes first only brings its process back into the processor's caches.
CHUNK, WARM = 10, 6
# Rounds that warm both slots and are not counted.
DISCARDED = 8
# Rounds that take longer are made shorter: many short ones tell more than a few, and warm as well.
ROUND_SECONDS = 0.5
# The first look, and how many rounds come between looks: whole sets of ORDERS. A failure has to stand in two looks.
FIRST, STEP = 24, 12
MOST_ROUNDS = 600
# An answer that takes so long, at best, has waited for something behind the bridge; so has one past every cache.
SLOW_SECONDS = 0.005
# What an answered request still leaves to do in its slot: log, metrics.
SETTLE_SECONDS = 0.002
PAUSE_SECONDS = 1.0
NUMBER = "{number}"
SORTED: tuple[Arm, Arm] = ("live", "candidate")
BROKEN = 5
TRIES = 3


class EndedError(Exception):
    """There is a verdict before there are enough rounds."""

    def __init__(self, word: Word, reason: str) -> None:
        super().__init__(reason)
        self.word = word
        self.reason = reason


@dataclass
class Measurement:
    """How the measuring went."""

    quick: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    requests: int = 0
    pauses: int = 0
    broken: list[str] = field(default_factory=list)
    metrics: bool = False
    judged: dict[str, Judged] = field(default_factory=dict)
    found: dict[str, Measured] = field(default_factory=dict)


class Load:
    """The load on both slots, and what comes of it in `measurement`."""

    def __init__(self, candidate: Candidate, measurement: Measurement, stack: ExitStack) -> None:
        self.candidate, self.measurement, self.host = candidate, measurement, candidate.host
        self.wanted = candidate.criteria.performance
        self.new: Slot = candidate.rollout.slot
        self.live: Slot = other(candidate.rollout.slot)
        # Others than a gate asked with a moment ago.
        self.numbers = count(int(self.host.clock.now().timestamp() * 1000))
        self.turns, self.reads = count(), count()
        self.rate, self.length, self.warm, self.discarded = self.wanted.rate, CHUNK, WARM, DISCARDED
        host = urlsplit(self.host.settings.edge).netloc
        self.lines: dict[Arm, Line] = {}
        for arm in ORDERS[0]:
            address = self.host.settings.private_endpoints[self.slot(arm)]
            self.lines[arm] = line = self.host.dial(address, host, self.host.settings.probe_seconds)
            stack.callback(line.close)
        try:
            self.meters = {slot: self.host.cpu(slot) for slot in SLOTS}
        except EngineDownError as error:
            raise EndedError("error", error.message) from None

    def run(self) -> None:
        """Measure until everything is decided, or the time is over."""
        began = self.host.clock.monotonic()
        deadline = began + self.wanted.seconds
        self._sort()
        since = read_due = self.host.clock.monotonic()
        sent, failing = self.measurement.requests, False
        look = FIRST
        for number in range(self.discarded + MOST_ROUNDS):
            self.candidate.between()
            round_began = self.host.clock.monotonic()
            if round_began >= deadline and number > self.discarded:
                break
            reads = bool(self.measurement.slow) and round_began >= read_due
            before = self._counts(self.live)
            measured = self._round(number, reads)
            took = self.host.clock.monotonic() - round_began
            if reads:
                # Where they are very slow, they leave most of the time to the others.
                read_due = round_began + max(len(ORDERS[0]) / self.wanted.read_rate, 4 * took)
            if number < self.discarded and not reads and took > ROUND_SECONDS:
                self.length = max(1, int(self.length * ROUND_SECONDS / took))
                self.warm = int(self.warm * ROUND_SECONDS / took)
            if measured and number >= self.discarded:
                self.measurement.rounds.append(measured)
            self._rest(round_began, since + (self.measurement.requests - sent) / self.rate, before)
            if len(self.measurement.rounds) >= look:
                look = len(self.measurement.rounds) + STEP
                said = self._look()
                if "open" not in said and ("fail" not in said or failing):
                    return
                failing = "fail" in said
        self._look()

    def _look(self) -> set[Judged]:
        self.measurement.found = paired.measured(self.measurement.rounds)
        self.measurement.judged = paired.judge(self.measurement.found, self.wanted.budget)
        if self.measurement.slow and "read" not in self.measurement.found:
            # They come less often than rounds do: there will be enough of them.
            few: dict[str, Judged] = {name: "open" for name in ("read", "plone") if name in self.wanted.budget}
            self.measurement.judged |= few
        said = set(self.measurement.judged.values())
        return {"fail"} if "fail" in said else said

    def _sort(self) -> None:
        """Ask for each page, and tell quick ones from slow ones and from those that are not answered alike."""
        for path in self.wanted.paths:
            self.candidate.between()
            times = []
            for _ in range(TRIES):
                told = {arm: self._ask(arm, path) for arm in SORTED}
                statuses = {arm: answer[0] if answer else None for arm, answer in told.items()}
                answer = told["live"]
                if answer is None or answer[0] >= 500 or len(set(statuses.values())) > 1:
                    shown = " and ".join(f"{statuses[arm] or 'no answer'} ({arm})" for arm in SORTED)
                    self.measurement.unasked.append(f"{path}: {shown}")
                    break
                times.append(answer[1])
            else:
                # A page that a cache answers is slow once.
                slow = NUMBER in path or min(times) >= SLOW_SECONDS
                (self.measurement.slow if slow else self.measurement.quick).append(path)
        self.measurement.metrics = self._plone(self.new) is not None and self._plone(self.live) is not None
        if not self.measurement.quick:
            self.measurement.quick, self.measurement.slow = self.measurement.slow, []
            self.rate, self.length, self.warm, self.discarded = self.wanted.read_rate, 1, 0, 1
        if not self.measurement.quick:
            raise EndedError("inconclusive", f"No path can be measured: {'; '.join(self.measurement.unasked)}.")

    def _round(self, number: int, reads: bool) -> Round | None:
        order = ORDERS[number % len(ORDERS)]
        paths = [
            self.measurement.quick[next(self.turns) % len(self.measurement.quick)]
            for _ in range(self.warm + self.length)
        ]
        slow = self.measurement.slow[next(self.reads) % len(self.measurement.slow)] if reads else None
        try:
            chunks = {arm: self._chunk(arm, paths) for arm in order}
            if slow:
                chunks = {arm: self._read(arm, slow, chunks[arm]) for arm in order}
        except BrokenError as error:
            self.measurement.broken.append(str(error))
            if len(self.measurement.broken) > BROKEN:
                raise EndedError("error", f"{len(self.measurement.broken)} requests failed: {error}.") from None
            return None
        return chunks

    def _chunk(self, arm: Arm, paths: list[str]) -> Chunk:
        slot = self.slot(arm)
        for path in paths[: self.warm]:
            self._answer(arm, path)
        public = self._counts(slot)
        self.host.clock.sleep(SETTLE_SECONDS)
        used = self._cpu(slot)
        asked = tuple((path, self._answer(arm, path)) for path in paths[self.warm :])
        self.host.clock.sleep(SETTLE_SECONDS)
        spent = self._cpu(slot)
        # The public's requests of that moment are in the slot's CPU time as well.
        requests = len(asked) + max(0, self._counts(slot).requests - public.requests)
        return Chunk(asked, None if used is None or spent is None else (spent - used) / requests)

    def _read(self, arm: Arm, path: str, chunk: Chunk) -> Chunk:
        slot = self.slot(arm)
        public, before = self._counts(slot), self._plone(slot) if self.measurement.metrics else None
        seconds = self._answer(arm, path)
        after, later = self._plone(slot) if before else None, self._counts(slot)
        # The public's reads would be counted as the gate's; where Plone was asked once, that was for the gate.
        quiet = public.sessions == later.sessions == 0 and public.requests == later.requests
        plone = after[0] - before[0] if before and after and (quiet or after[1] - before[1] == 1) else None
        return Chunk(chunk.asked, chunk.cpu, seconds, plone)

    def _answer(self, arm: Arm, path: str) -> float:
        answer = self._ask(arm, path)
        if answer is None or answer[0] >= 500:
            raise BrokenError(f"{path} on {self.slot(arm)} was {f'answered {answer[0]}' if answer else 'not answered'}")
        return answer[1]

    def _ask(self, arm: Arm, path: str) -> tuple[int, float] | None:
        self.measurement.requests += 1
        try:
            return self.lines[arm].ask(path.replace(NUMBER, str(next(self.numbers))))
        except BrokenError:
            return None

    def _rest(self, began: float, due: float, before: Counts) -> None:
        """Let the public have the slots for at least as long as the round had them, and longer where it waits."""
        clock = self.host.clock
        now = clock.monotonic()
        clock.sleep(max(due - now, (now - began) * self.wanted.rest, 0.0))
        public = self._counts(self.live)
        if public.queued or public.errors > before.errors or public.faults > before.faults:
            self.measurement.pauses += 1
            clock.sleep(PAUSE_SECONDS)

    def slot(self, arm: Arm) -> Slot:
        return self.new if arm in {"candidate", "candidate again"} else self.live

    def _counts(self, slot: Slot) -> Counts:
        try:
            return self.host.proxy.counts(slot, 0)
        except ProxyDownError:
            return Counts()

    def _cpu(self, slot: Slot) -> float | None:
        meter = self.meters[slot]
        try:
            return meter() if meter else None
        except (OSError, ValueError, LookupError):
            return None

    def _plone(self, slot: Slot) -> tuple[float, float] | None:
        seconds = min(METRICS_SECONDS, self.host.settings.probe_seconds)
        answer = self.host.ask(self.host.settings.private_endpoints[slot], "/metrics", seconds, most=METRICS_BYTES)
        return totals(answer.body, PLONE) if answer.good else None
