"""The gate `performance` never takes noise for a slowdown, nor a slowdown of a fifth for noise, and says which."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from eduhub_pilot.adapters.keepalive import BrokenError
from eduhub_pilot.adapters.sampling import PLONE
from eduhub_pilot.gates.candidate import Candidate, Skipped
from eduhub_pilot.gates.performance import gate as performance
from eduhub_pilot.gates.performance import load, paired
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
    ratio = slots.verdict().measured["ratio"]
    assert ratio["cpu"]["value"] == pytest.approx(1.0, abs=0.02)
    assert ("plone" in ratio) == told
    assert ratio.get("plone", {"value": 1.0})["value"] == pytest.approx(1.0)


def test_a_green_that_breaks_off_is_an_error_that_names_it(started):
    seen = Counter()

    def status(slot: Slot, _: str) -> int | None:
        seen[slot] += 1
        return None if slot == "green" and seen[slot] % 50 == 0 else 200

    found = Slots(started, NOISES["calm"], status=status).verdict()
    assert (found.verdict, found.consequence) == ("error", "retry, then revert")
    assert "on green was not answered" in found.reason


def test_a_page_that_both_do_not_answer_alike_is_left_out_and_named(started):
    def status(slot: Slot, path: str) -> int | None:
        return 404 if (slot, path) == ("green", "/plone/") else 200

    found = Slots(started, NOISES["calm"], status=status).verdict()
    assert (found.verdict, found.measured["unasked"]) == ("pass", ["/plone/: 200 (live) and 404 (candidate)"])
    assert "/plone/" not in found.measured["paths"]


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
