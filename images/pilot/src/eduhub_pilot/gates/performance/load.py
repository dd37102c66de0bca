"""The load of the gate `performance`: one request at a time, at the private endpoints, with pauses for the public.

In each round the same requests go to the live release and to the candidate, and to both again; the first rounds only
warm them.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

from eduhub_pilot.adapters.keepalive import BrokenError, Line
from eduhub_pilot.adapters.sampling import METRICS_BYTES, METRICS_SECONDS, PLONE
from eduhub_pilot.analysis.histogram import totals
from eduhub_pilot.gates.candidate import Candidate
from eduhub_pilot.gates.contract.allow_list import allowance
from eduhub_pilot.gates.contract.compare import probability
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
# So many failed requests leave too little to be compared.
BROKEN = 20
# So improbable must it be that more of them fall to the candidate by chance, to stop it, and to ask a person.
FAIL_CHANCE, OPEN_CHANCE = 0.01, 0.1
TRIES = 3
# A page that is answered in different ways by turns has given both in so many.
MOST_TRIES = 8
# Classes of status of a page that is not answered well.
FAILURES = frozenset({None, 5})


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
    # How many of the candidate (or not) failed (or not).
    answers: Counter[tuple[bool, bool]] = field(default_factory=Counter)
    busy: bool = False

    def more_failures(self) -> float:
        """Return how probable it is by chance that so many of the failed requests were the candidate's."""
        failed, live = self.answers[True, True], self.answers[False, True]
        return probability(failed, failed + self.answers[True, False], live, live + self.answers[False, False])

    def failures(self) -> str:
        """Return in words how many requests failed."""
        return (
            f"{self.answers[True, True]} requests to the candidate failed and {self.answers[False, True]} to the live "
            "release"
        )


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
        self.statuses: dict[str, int] = {}
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
        self._sort(deadline)
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
                if self.measurement.busy and "cpu" in self.wanted.budget and "cpu" not in self.measurement.found:
                    # The public leaves some rounds in peace: there may be enough of them.
                    said = said | {"open"} if "fail" not in said else said
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

    def _sort(self, deadline: float) -> None:
        """Ask for each page, and tell quick ones from slow ones and from those that are not answered alike."""
        for path in self.wanted.paths:
            self.candidate.between()
            if self.host.clock.monotonic() >= deadline:
                self.measurement.unasked.append(f"{path}: not sent within {self.wanted.seconds:g} s")
            else:
                self._sort_one(path, deadline)
        self.measurement.metrics = self._plone(self.new) is not None and self._plone(self.live) is not None
        if not self.measurement.quick:
            self.measurement.quick, self.measurement.slow = self.measurement.slow, []
            self.rate, self.length, self.warm, self.discarded = self.wanted.read_rate, 1, 0, 1
        if not self.measurement.quick:
            raise EndedError("inconclusive", f"No path can be measured: {'; '.join(self.measurement.unasked)}.")
        if self.host.clock.monotonic() >= deadline:
            slow = self.measurement.unasked[:1] or self.measurement.slow[:1] or self.measurement.quick[:1]
            raise EndedError(
                "inconclusive",
                f"Asking for each page before the measurement took longer than {self.wanted.seconds:g} s ({slow[0]}). "
                "Raise pilot_performance_seconds, or remove what is slow from pilot_performance_paths.",
            )

    def _sort_one(self, path: str, deadline: float) -> None:
        live: list[int | None] = []
        new: list[int | None] = []
        times = []
        while len(live) < (TRIES if live == new else MOST_TRIES):
            told = {arm: self._ask(arm, path) for arm in SORTED}
            for statuses, answer in ((live, told["live"]), (new, told["candidate"])):
                statuses.append(answer[0] if answer else None)
            times += [told["live"][1]] if told["live"] else []
            if live[-1] is None or live[-1] >= 500:
                break  # no baseline, whatever else it answers
            if self.host.clock.monotonic() >= deadline:
                break
        status = live[-1]
        shown = f"{status or 'no answer'} (live) and {new[-1] or 'no answer'} (candidate)"
        classes = [{each // 100 if each else None for each in statuses} for statuses in (live, new)]
        asked_enough = len(live) == MOST_TRIES
        if asked_enough and not classes[0] & classes[1] and not self._otherwise_is_right(path, *classes):
            raise EndedError("fail", f"{path} is answered otherwise by the candidate: {shown}.")
        # A page that a cache answers is slow once; what is refused, or sent elsewhere, does not need Plone.
        slow = NUMBER in path or min(times, default=0.0) >= SLOW_SECONDS
        if status is None or status >= 500 or {*live, *new} != {status} or (slow and status >= 300):
            self.measurement.unasked.append(f"{path}: {shown}")
            return
        self.statuses[path] = status
        (self.measurement.slow if slow else self.measurement.quick).append(path)

    def _otherwise_is_right(self, path: str, live: set[int | None], new: set[int | None]) -> bool:
        """Return whether a page may be answered otherwise: what is new, refused before, or allowed today."""
        if live & FAILURES:
            return True
        if new <= FAILURES:
            return False
        today = self.host.clock.now().date()
        entry = allowance(self.candidate.criteria.contract.allowed, path.partition("?")[0], "status", today)
        return 4 in live or (entry is not None and entry.until >= today)

    def _round(self, number: int, reads: bool) -> Round | None:
        order = ORDERS[number % len(ORDERS)]
        quick = self.measurement.quick
        measured = [quick[next(self.turns) % len(quick)] for _ in range(self.length)]
        # Warmed with what is measured: turns of their own would leave out the same pages in each round.
        paths = [measured[place % len(measured)] for place in range(self.warm)] + measured
        slow = self.measurement.slow[next(self.reads) % len(self.measurement.slow)] if reads else None
        try:
            chunks = {arm: self._chunk(arm, paths) for arm in order}
            if slow:
                chunks = {arm: self._read(arm, slow, chunks[arm]) for arm in order}
        except BrokenError as error:
            self.measurement.broken.append(str(error))
            if self.measurement.more_failures() <= FAIL_CHANCE:
                raise EndedError("fail", f"{self.measurement.failures()}: {error}.") from None
            if len(self.measurement.broken) > BROKEN:
                raise EndedError("inconclusive", f"{self.measurement.failures()}: {error}.") from None
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
        # The public's requests are in the slot's CPU time as well, and may cost much more or less than these.
        if used is None or spent is None:
            return Chunk(asked)
        if not _quiet(public, self._counts(slot)):
            self.measurement.busy = True
            return Chunk(asked)
        return Chunk(asked, (spent - used) / len(asked))

    def _read(self, arm: Arm, path: str, chunk: Chunk) -> Chunk:
        slot = self.slot(arm)
        public, before = self._counts(slot), self._plone(slot) if self.measurement.metrics else None
        seconds = self._answer(arm, path)
        after, later = self._plone(slot) if before else None, self._counts(slot)
        # The public's reads would be counted as the gate's; where Plone was asked once, that was for the gate.
        quiet = before and after and (_quiet(public, later) or after[1] - before[1] == 1)
        plone = after[0] - before[0] if before and after and quiet else None
        return Chunk(chunk.asked, chunk.cpu, seconds, plone)

    def _answer(self, arm: Arm, path: str) -> float:
        answer = self._ask(arm, path)
        failed = answer is None or answer[0] != self.statuses[path]
        self.measurement.answers[self.slot(arm) == self.new, failed] += 1
        if answer is None or failed:
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


def _quiet(before: Counts, after: Counts) -> bool:
    """Return whether a slot had no request of the public between two counts."""
    return before.sessions == after.sessions == 0 and before.requests == after.requests
