"""The gate `performance` never takes noise for a slowdown, nor a slowdown of a fifth for noise, and says which."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import pytest

from eduhub_pilot.adapters.keepalive import BrokenError
from eduhub_pilot.adapters.sampling import PLONE
from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.performance import gate as performance
from eduhub_pilot.gates.performance import load, paired
from eduhub_pilot.gates.performance.load import Load, Measurement
from eduhub_pilot.model.facts import Answer, Slot
from eduhub_pilot.model.verdict import Verdict
from tests.unit.pilot.world import World

pytestmark = pytest.mark.slow

# Seconds: a page at hand, and one that Plone must answer.
QUICK, READ, IN_PLONE = 0.001, 0.012, 0.010
CPU = 0.0003

# What everything takes longer by at a moment, from a random source and the seconds since the beginning.
Noise = Callable[[random.Random, float], float]
NOISES: dict[str, Noise] = {
    "calm": lambda _r, _at: 1.0,
    "jitter": lambda r, _: r.lognormvariate(0, 0.3),
    "a drift to three times": lambda r, at: r.lognormvariate(0, 0.2) * (1 + at / 15),
    "heavy tails": lambda r, _: min(r.paretovariate(1.5), 200.0),
    "bursts": lambda r, at: r.lognormvariate(0, 0.2) * (4.0 if math.sin(at * 9) > 0.6 else 1.0),
    "a neighbour who comes and goes": lambda r, at: r.lognormvariate(0, 0.2) * (1.8 if int(at * 1.3) % 2 else 1.0),
    "one answer in ten stalls": lambda r, _: r.lognormvariate(0, 0.1) * (20.0 if r.random() < 0.1 else 1.0),
}


@dataclass
class Slots:
    """Two slots with doors, metrics and CPU clocks, in simulated time. `times`: what a slot's takes, of blue's."""

    world: World
    noise: Noise
    seed: int = 1
    times: dict[Slot, float] = field(default_factory=lambda: {"blue": 1.0, "green": 1.0})
    cpu_times: dict[Slot, float] = field(default_factory=lambda: {"blue": 1.0, "green": 1.0})
    plone_times: dict[Slot, float] = field(default_factory=lambda: {"blue": 1.0, "green": 1.0})
    metrics: bool = True
    cpu_told: bool = True
    status: Callable[[Slot, str], int | None] = lambda _slot, _path: 200

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a repeatable experiment
        self.began = self.world.clock.passed
        self.cpu: Counter[Slot] = Counter()
        self.plone: Counter[Slot] = Counter()
        self.reads: Counter[Slot] = Counter()
        self.asked: Counter[tuple[Slot, str]] = Counter()
        self.when: list[float] = []

    def answer(self, slot: Slot, path: str) -> tuple[int, float]:
        status = self.status(slot, path)
        noise = self.noise(self.random, self.world.clock.passed - self.began)
        seconds = QUICK * self.times[slot] * noise
        if "number=" in path or "gate=" in path:
            plone = IN_PLONE * self.plone_times[slot] * noise
            self.plone[slot] += plone
            self.reads[slot] += 1
            seconds = (READ - IN_PLONE) * self.times[slot] * noise + plone
        # CPU time is noisy as well, though less.
        self.cpu[slot] += CPU * self.cpu_times[slot] * min(noise, 3.0) ** 0.5
        self.asked[slot, path.partition("?")[0]] += 1
        self.when.append(self.world.clock.passed)
        self.world.clock.passed += seconds
        if status is None:
            raise BrokenError("Connection reset by peer")
        return status, seconds

    def candidate(self, **given: str) -> Candidate:
        def dial(base: str, _host: str, _seconds: float) -> SimulatedLine:
            return SimulatedLine(self, "blue" if base.endswith("8101") else "green")

        def text(slot: Slot) -> str:
            values = {"sum": self.plone[slot], "count": self.reads[slot]}
            return "".join(f'{PLONE}_{name}{{status="200"}} {value}\n' for name, value in values.items())

        if self.metrics:
            self.world.metrics.update(blue=lambda: text("blue"), green=lambda: text("green"))
        else:
            self.world.behaviour.update(dict.fromkeys(("blue", "green"), lambda _: Answer(404, 0.001)))
        meter = (lambda slot: lambda: self.cpu[slot]) if self.cpu_told else lambda _: None
        host = replace(self.world.host, dial=dial, meter=meter)
        return replace(self.world.candidate("run-2", **given), host=host)

    def verdict(self, **given: str) -> Verdict:
        found = performance.run(self.candidate(**given))
        assert isinstance(found, Verdict)
        return found


@dataclass
class SimulatedLine:
    slots: Slots
    slot: Slot

    def ask(self, path: str) -> tuple[int, float]:
        return self.slots.answer(self.slot, path)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def started(live) -> World:
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    return live


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the resamples decides the same, and fifty runs take seconds."""
    monkeypatch.setattr(paired, "RESAMPLES", 400)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_blue_beside_itself_never_fails(started, noise):
    """56 in all, and nearly all of them are decided."""
    words = Counter(Slots(started, noise, seed).verdict().verdict for seed in range(8))
    assert words["fail"] == words["error"] == 0
    assert words["pass"] >= 7


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_a_fifth_more_time_always_fails(started, noise):
    found = [Slots(started, noise, seed, times={"blue": 1.0, "green": 1.2}).verdict() for seed in range(4)]
    assert [each.verdict for each in found] == ["fail"] * 4, [each.reason for each in found]


def test_a_third_more_cpu_fails_though_nobody_waits_for_it(started):
    found = Slots(started, NOISES["jitter"], cpu_times={"blue": 1.0, "green": 1.33}).verdict()
    assert found.verdict == "fail"
    (line,) = found.measured["findings"]
    assert line == found.reason
    assert line.startswith("CPU a request of the candidate is 1.3")
    assert " of the baseline; budget 1.15x, A/A noise " in line


def test_a_green_that_slows_plone_fails_for_that_alone(started):
    found = Slots(started, NOISES["jitter"], plone_times={"blue": 1.0, "green": 2.0}).verdict(
        performance_budget={"p50": 1.1, "plone": 1.5}
    )
    assert (found.verdict, found.measured["judged"]) == ("fail", {"p50": "pass", "plone": "fail"})
    assert "Plone's time for a read of the candidate is " in found.reason


def test_what_the_new_release_gains_is_told(started):
    better = {"blue": 1.0, "green": 0.8}
    found = Slots(started, NOISES["calm"], times=better, cpu_times=better).verdict()
    assert found.verdict == "pass"
    assert found.reason == (
        "the candidate takes 0.80x (95% CI 0.80 to 0.80) of the baseline's CPU a request and is not slower (p50 0.80x, "
        "p95 0.80x, slow reads 0.97x, Plone's time 1.00x baseline; A/A noise ±0%)."
    )
    assert found.measured["milliseconds"]["live"]["p50"] == pytest.approx(1.0)
    assert found.measured["ratio"]["cpu"] == {"value": 0.8, "low": 0.8, "high": 0.8}


def test_a_bridge_without_metrics_is_judged_by_the_rest(started):
    found = Slots(started, NOISES["jitter"], metrics=False).verdict()
    assert (found.verdict, found.measured["judged"]["plone"]) == ("pass", "absent")
    assert found.reason.endswith("; not judged, because the bridge does not report it: Plone's time.")


def test_a_host_that_does_not_tell_cpu_time_is_inconclusive_with_the_way_out(started):
    slots = Slots(started, NOISES["jitter"], cpu_told=False)
    found = slots.verdict(performance_seconds="20")
    assert found.verdict == "inconclusive"
    assert "CPU a request could not be measured. Remove cpu from pilot_perf" in found.reason
    assert Slots(started, NOISES["jitter"], cpu_told=False).verdict(
        performance_budget={"p50": 1.1}).verdict == "pass"  # fmt: skip


def test_traffic_of_the_public_is_no_reason_for_cpu_time_that_cannot_be_read(started):
    slots = Slots(started, NOISES["jitter"], cpu_told=False)
    original = slots.answer

    def with_public(slot: Slot, path: str) -> tuple[int, float]:
        started.haproxy.answers["blue"]["2xx"] += 1
        return original(slot, path)

    slots.answer = with_public
    found = slots.verdict(performance_seconds="20")
    assert found.verdict == "inconclusive", found.reason
    assert "CPU a request could not be measured. Remove cpu from pilot_perf" in found.reason


def test_noise_beyond_the_allowed_time_is_inconclusive(started):
    found = Slots(started, lambda r, _: min(r.lognormvariate(0, 1.5), 50)).verdict(performance_seconds="25")
    assert (found.verdict, found.consequence) == ("inconclusive", "wait for a person")
    assert "Repeat when the host is less busy, or raise pilot_performance_seconds." in found.reason
    assert 25 <= found.seconds < 27


def test_the_load_keeps_to_its_rates_and_asks_both_alike(started):
    slots = Slots(started, NOISES["calm"])
    found = slots.verdict(performance_rate="100", performance_read_rate="4")
    span = slots.when[-1] - slots.when[0]
    assert len(slots.when) / span < 110
    reads = slots.asked["blue", "/plone/@search"] + slots.asked["green", "/plone/@search"]
    assert reads / span < 4.5
    assert {path for _, path in slots.asked} == {"/health/ready", "/health/live", "/plone/", "/plone/@search"}
    blue, green = (sum(times for (slot, _), times in slots.asked.items() if slot == side) for side in ("blue", "green"))
    assert blue == green
    assert found.measured["requests"] == blue + green


def test_a_green_that_slows_plone_is_found_however_seldom_plone_is_asked(started):
    slots = Slots(started, NOISES["calm"], plone_times={"blue": 1.0, "green": 2.0})
    found = slots.verdict(performance_read_rate="1", performance_seconds="120")
    assert (found.verdict, found.measured["judged"]["plone"]) == ("fail", "fail")


def test_the_public_gets_at_least_as_much_time_as_the_load(started):
    slots = Slots(started, lambda _r, _at: 4.0)
    slots.verdict(performance_rate="100000", performance_read_rate="100000")
    busy = len(slots.when) * 4 * QUICK
    assert busy < 0.55 * (slots.when[-1] - slots.when[0])


def test_the_load_pauses_while_the_public_waits(started):
    slots = Slots(started, NOISES["calm"])
    started.haproxy.waiting["blue"] = 3
    found = slots.verdict(performance_seconds="30")
    assert found.measured["pauses"] > 20
    assert found.verdict == "pass"


@pytest.mark.parametrize(("reads", "told"), [(0, True), (1, False)], ids=["of pages at hand", "of Plone's"])
def test_the_publics_requests_are_not_taken_for_the_gates(started, reads, told):
    """The public has half of blue's CPU time, and asks Plone as often beside each read of the gate."""
    slots = Slots(started, NOISES["calm"])
    original = slots.answer

    def with_public(slot: Slot, path: str) -> tuple[int, float]:
        if slot == "blue" and (slots.asked[slot, path] % 2 or "gate=" in path):
            started.haproxy.answers["blue"]["2xx"] += 1
            slots.cpu["blue"] += CPU
            if "gate=" in path:
                slots.plone["blue"] += reads * 3 * IN_PLONE
                slots.reads["blue"] += reads
        return original(slot, path)

    slots.answer = with_public
    found = slots.verdict()
    ratio = found.measured["ratio"]
    assert (found.verdict, "cpu" in ratio) == ("pass", False)
    assert "public traffic kept the live release busy: its CPU time" in found.reason
    assert ("plone" in ratio) == told
    assert ratio.get("plone", {"value": 1.0})["value"] == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(3))
def test_one_of_the_shipped_pages_that_takes_twice_as_long_fails(started, seed):
    slots = Slots(started, lambda r, _: r.lognormvariate(0, 0.03), seed)
    original = slots.answer

    def slower(slot: Slot, path: str) -> tuple[int, float]:
        status, seconds = original(slot, path)
        more = seconds if (slot, path) == ("green", "/plone/") else 0.0
        started.clock.passed += more
        return status, seconds + more

    slots.answer = slower
    found = slots.verdict()
    assert found.verdict == "fail", found.reason


@pytest.mark.parametrize(("cost", "times", "word"), [
    (0.1, 1.0, "pass"), (6.0, 1.0, "pass"), (0.1, 1.5, "fail"), (6.0, 1.5, "fail"),
], ids=["cheap, the same", "dear, the same", "cheap, more CPU", "dear, more CPU"])  # fmt: skip
def test_requests_of_the_public_neither_hide_more_cpu_nor_look_like_it(started, cost, times, word):
    """At 100 a second on blue, each of which takes much less or much more than one of the gate."""
    slots = Slots(started, NOISES["jitter"], cpu_times={"blue": 1.0, "green": times})
    original, source, last = slots.answer, random.Random(7), [started.clock.passed]  # noqa: S311 - repeatable

    def with_public(slot: Slot, path: str) -> tuple[int, float]:
        answer = original(slot, path)
        passed, last[0] = started.clock.passed - last[0], started.clock.passed
        if source.random() < min(1.0, 100 * min(passed, 2 * QUICK)):
            started.haproxy.answers["blue"]["2xx"] += 1
            slots.cpu["blue"] += cost * CPU
        return answer

    slots.answer = with_public
    found = slots.verdict()
    assert (found.verdict, found.measured["judged"]["cpu"]) == (word, word), found.reason


def failing(side: Slot, every: int, status: int | None, path: str = "") -> Callable[[Slot, str], int | None]:
    """Each of so many answers of a slot, or of one page of it, is another."""
    seen = Counter()

    def answer(slot: Slot, asked: str) -> int | None:
        if slot != side or not asked.startswith(path):
            return 200
        seen[slot] += 1
        return 200 if seen[slot] % every else status

    return answer


@pytest.mark.parametrize("status", [None, 500, 429, 404, 302])
def test_a_green_that_fails_now_and_then_fails_and_is_named(started, status):
    found = Slots(started, NOISES["calm"], status=failing("green", 50, status)).verdict()
    assert (found.verdict, found.consequence) == ("fail", "revert")
    assert " requests to the candidate failed and 0 to the live release: /" in found.reason
    assert "on green was " in found.reason


def test_a_few_failures_of_green_alone_are_left_to_a_person(started):
    found = Slots(started, NOISES["calm"], status=failing("green", 230, 500)).verdict()
    assert found.verdict == "inconclusive"
    assert "requests to the candidate failed and 0 to the live release: /" in found.reason


def test_a_release_that_ends_the_failures_of_the_live_one_passes_and_they_are_named(started):
    found = Slots(started, NOISES["calm"], status=failing("blue", 150, 500)).verdict()
    assert found.verdict == "pass"
    assert "; 0 requests to the candidate failed and " in found.reason


def test_two_that_fail_alike_never_fail_the_candidate(started):
    words: Counter[str] = Counter()
    for seed in range(20):
        source = random.Random(seed)  # noqa: S311 - a repeatable experiment
        slots = Slots(started, NOISES["calm"], seed)
        slots.status = lambda _s, _p, source=source: 500 if source.random() < 0.004 else 200
        words[slots.verdict().verdict] += 1
    assert (words["fail"], words["error"], words["pass"] >= 14) == (0, 0, True), words


@pytest.mark.parametrize("status", [404, 500, 302, None])
def test_a_page_that_green_answers_otherwise_fails(started, status):
    found = Slots(started, NOISES["calm"], status=failing("green", 1, status, "/plone/")).verdict()
    assert found.verdict == "fail"
    assert found.reason == (
        f"/plone/ is answered otherwise by the candidate: 200 (live) and {status or 'no answer'} (candidate)."
    )


def test_a_page_that_blue_does_not_answer_is_left_out_and_named(started):
    found = Slots(started, NOISES["calm"], status=failing("blue", 1, 502, "/plone/")).verdict()
    assert found.verdict == "pass"
    assert "/plone/" not in found.measured["paths"]
    assert "; not measured: /plone/: 502 (live) and 200 (candidate)" in found.reason


@pytest.mark.parametrize("refused", [401, 404])
def test_a_page_that_only_the_candidate_has_is_left_out_and_named(started, refused):
    found = Slots(started, NOISES["calm"], status=failing("blue", 1, refused, "/plone/")).verdict()
    assert found.verdict == "pass", found.reason
    assert f"; not measured: /plone/: {refused} (live) and 200 (candidate)" in found.reason


@pytest.mark.parametrize("broken", [500, None])
def test_a_page_that_is_refused_by_the_live_release_and_fails_on_the_candidate_fails(started, broken):
    answers = {"blue": 404, "green": broken}
    slots = Slots(started, NOISES["calm"], status=lambda slot, path: answers[slot] if path == "/plone/" else 200)
    assert slots.verdict().verdict == "fail"


@pytest.mark.parametrize(("status", "until", "word"), [
    (301, "2026-12-31", "pass"), (404, "2026-12-31", "pass"), (301, "2025-12-31", "fail"), (500, "2026-12-31", "fail"),
])  # fmt: skip
def test_a_page_whose_status_is_allowed_to_differ_is_left_out_until_its_day(started, status, until, word):
    entry = {"path": "/plone/*", "where": "status", "until": until, "why": "the page has moved"}
    slots = Slots(started, NOISES["calm"], status=failing("green", 1, status, "/plone/"))
    found = slots.verdict(contract_allowed=[entry])
    said = f"; not measured: /plone/: 200 (live) and {status} (candidate)"
    assert (found.verdict, said in found.reason) == (word, word == "pass"), found.reason


def hanging(slots: Slots, hangs: Callable[[int], bool], seconds: float, slot: Slot | None = None) -> None:
    """Pages below /plone take so many seconds, and some requests of theirs (by number) are not answered at all."""
    original, asked = slots.answer, Counter()

    def answer(side: Slot, path: str) -> tuple[int, float]:
        if not path.startswith("/plone") or side != (slot or side):
            return original(side, path)
        asked[side, path] += 1
        slots.world.clock.passed += seconds
        if hangs(asked[side, path]):
            raise BrokenError("timed out")
        return 200, seconds

    slots.answer = answer


def test_a_page_that_the_live_release_does_not_answer_is_asked_for_once(started):
    slots = Slots(started, NOISES["calm"])
    hanging(slots, lambda _: True, 5.0)
    found = slots.verdict()
    assert (found.verdict, len(found.measured["unasked"])) == ("pass", 2), found.reason
    assert "/plone/: no answer (live) and no answer (candidate)" in found.reason


def test_pages_that_hang_now_and_then_take_no_more_than_the_time_of_the_gate(started):
    slots = Slots(started, NOISES["calm"])
    hanging(slots, lambda number: number == 2, 4.0, "green")
    found = slots.verdict(performance_seconds="20", performance_paths=[f"/plone/{number}" for number in range(9)])
    assert found.verdict == "inconclusive"
    assert found.seconds < 20 + 2 * 4.0
    assert found.reason.startswith("Asking for each page before the measurement took longer than 20 s (/plone/: ")
    assert any(line.endswith(": not sent within 20 s") for line in found.measured["unasked"])


def test_a_candidate_is_not_judged_by_fewer_answers_than_it_takes(started):
    slots = Slots(started, NOISES["calm"])
    hanging(slots, lambda _: True, 5.0, "green")
    assert slots.verdict(performance_seconds="20").verdict == "inconclusive"
    assert slots.verdict(performance_seconds="60").verdict == "fail"


def test_a_search_that_is_refused_is_no_read(started):
    refused = lambda _, path: 401 if "@search" in path else 200  # noqa: E731
    found = Slots(started, NOISES["calm"], status=refused).verdict()
    assert (found.verdict, found.measured["reads"], "slow reads" in found.reason) == ("pass", [], False)
    assert "401 (live) and 401 (candidate)" in found.reason


@pytest.mark.parametrize("pages", [1, 3, 10, 15, 16, 20, 32, 48, 60])
def test_each_page_is_measured(started, pages):
    paths = [f"/page/{number}" for number in range(pages)]
    slots = Slots(started, NOISES["calm"])
    begun = Load(slots.candidate(performance_paths=paths), Measurement(), ExitStack())
    begun._sort(math.inf)
    rounds = [begun._round(number, False) for number in range(24)]
    measured = {path for each in rounds for path, _ in each["candidate"].asked}
    assert measured >= set(paths)


def test_nothing_to_ask_for_is_inconclusive(started):
    found = Slots(started, NOISES["calm"], status=lambda slot, _: None if slot == "blue" else 200).verdict()
    assert found.verdict == "inconclusive"
    assert found.reason.startswith("No path can be measured: /health/ready: no answer (live) and 200 (cand")


def test_a_bridge_that_is_slow_throughout_is_asked_at_the_rate_of_reads(started):
    slots = Slots(started, lambda _r, _at: 30.0)
    found = slots.verdict(performance_read_rate="10")
    assert (found.verdict, found.measured["reads"]) == ("pass", [])
    assert len(slots.when) / (slots.when[-1] - slots.when[0]) < 12


def test_answers_that_get_slow_once_a_connection_is_old_make_shorter_rounds(started):
    """As a server that sends its headers alone waits 40 ms for their acknowledgement, but not at first."""
    slots = Slots(started, NOISES["calm"])
    slots.noise = lambda _r, _at: 1.0 if len(slots.when) < 30 else 44.0
    found = slots.verdict()
    # Of the 60 s that there are; rounds of the usual length would be 4.
    assert (found.verdict, found.measured["rounds"] >= load.FIRST) == ("pass", True)


def test_time_too_short_for_a_judgement_is_inconclusive(started):
    found = Slots(started, NOISES["calm"]).verdict(performance_seconds="1")
    assert (found.verdict, found.reason) == (
        "inconclusive", "Only 1 rounds could be measured. Raise pilot_performance_seconds.",
    )  # fmt: skip


def test_without_a_blue_there_is_nothing_to_compare_with(world):
    begun = world.begin("run-2", python="3.11")
    world.role_bridge(begun.data["slot"], begun.data["record"])
    found = performance.run(world.candidate("run-2"))
    assert found == Skipped("performance", "there is no live release to compare with.")


def test_the_looks_are_whole_sets_of_orders():
    """Else what drifts would not cancel."""
    assert (load.FIRST % len(paired.ORDERS), load.STEP % len(paired.ORDERS)) == (0, 0)
    for order in paired.ORDERS:
        assert [arm.split()[0] for arm in order] in (["live", "candidate"] * 2, ["candidate", "live"] * 2)
