"""A slot that is worse than the other is told apart from one that is as bad, and nothing is made of a few samples."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_pilot.analysis.canary import Sample, Side, judge, misbehaves, row, side, slowed, wilson
from eduhub_pilot.analysis.histogram import Histogram, alike, parse_histogram, summed, totals
from eduhub_pilot.model.facts import Counts
from eduhub_pilot.model.shift_plan import Limits

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, math.inf)
LIMITS = Limits()
GOOD = Side(answers=1000)


def histogram(seconds: list[float]) -> Histogram:
    return Histogram(tuple((bound, float(sum(each <= bound for each in seconds))) for bound in BOUNDS))


def around(middle: float, count: int, seed: int = 1) -> Histogram:
    """Latencies with a long tail, as a bridge has them."""
    dice = random.Random(seed)  # noqa: S311 - a shape, no secret
    return histogram([middle * dice.lognormvariate(0, 0.5) for _ in range(count)])


@given(st.lists(st.floats(0.0001, 20), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_quantile_lies_between_its_bounds(seconds, quantile):
    low, high = histogram(seconds).quantile(quantile, z=0)
    exact = sorted(seconds)[math.ceil(len(seconds) * quantile) - 1]
    assert low <= exact <= high


def test_fewer_samples_are_less_sure_of_a_quantile():
    assert around(0.04, 60).quantile(0.95)[1] == math.inf
    assert around(0.04, 5000).quantile(0.95)[1] <= 0.1
    assert Histogram().quantile(0.95) == (0.0, math.inf)


def test_only_what_a_window_added_counts():
    before, window = around(5.0, 300), around(0.04, 300)
    pairs = zip(before.buckets, window.buckets, strict=True)
    now = Histogram(tuple((bound, count + more) for (bound, count), (_, more) in pairs))
    assert now.since(before) == window
    assert window.since(Histogram()) == window


def test_counters_that_began_anew_or_by_other_buckets_say_nothing():
    assert around(0.04, 10).since(around(0.04, 300)) is None
    assert around(0.04, 300).since(Histogram(((1.0, 5.0), (math.inf, 9.0)))) is None


def slow(times: float, count: int) -> tuple[Side, Side]:
    """The new slot `times` as slow as the old one, both with `count` requests."""
    return replace(GOOD, requests=around(0.08 * times, count)), replace(GOOD, requests=around(0.08, count, seed=2))


def test_a_slot_several_times_as_slow_fails_and_its_words_say_what_is_known():
    word, reason = judge(*slow(5, 2000), LIMITS)
    assert (word, reason) == ("fail", "p95 is above 0.5 s (baseline below 0.25 s)")


@pytest.mark.parametrize("seed", range(20))
def test_two_equal_slots_never_fail(seed):
    new, old = (replace(GOOD, requests=around(0.08, 150, seed=number)) for number in (seed, seed + 100))
    assert judge(new, old, LIMITS)[0] != "fail"


def test_a_slot_that_is_slow_on_few_requests_is_not_judged():
    word, reason = judge(*slow(50, 99), LIMITS)
    assert (word, "99 and 99 of one kind, 100 each are needed" in reason) == ("inconclusive", True)


def test_milliseconds_are_no_slowness():
    new, old = (replace(GOOD, requests=around(middle, 2000)) for middle in (0.02, 0.002))
    assert judge(new, old, LIMITS)[0] == "pass"


def test_a_slot_that_makes_plone_slow_fails():
    new, old = (replace(GOOD, plone=around(middle, 2000)) for middle in (1.0, 0.1))
    assert judge(new, old, LIMITS)[1].startswith("Plone's p95 is above")


def test_without_histograms_a_mean_is_compared_once_it_is_of_this_window():
    now = Sample(Counts(answers=2000, mean_seconds=0.5))
    assert judge(side(Sample(Counts()), now), replace(GOOD, mean_seconds=0.1), LIMITS)[0] == "fail"
    few = side(Sample(Counts(answers=1000)), now)
    assert judge(few, replace(GOOD, mean_seconds=0.1), LIMITS)[0] == "inconclusive"


def series(**seconds: list[float]) -> Histogram:
    """A bridge's requests by what a stored page did for them."""
    return summed({frozenset({("cache", each)}): replace(histogram(took), seconds=sum(took))
                   for each, took in seconds.items()})  # fmt: skip


def test_two_slots_are_compared_in_the_same_mix():
    """One asks Plone five times as often, and each kind of its requests takes as long as at the other."""
    new, old = series(hit=[0.002] * 100, miss=[0.2] * 500), series(hit=[0.002] * 500, miss=[0.2] * 100)
    mine, other = alike(new, old)
    assert mine.buckets == other.buckets
    assert mine.mean() == pytest.approx(other.mean())
    assert 100 <= mine.count <= 600


def test_what_only_one_side_has_is_not_compared():
    mine, other = alike(series(hit=[0.002] * 100, none=[5.0] * 100), series(hit=[0.002] * 100, miss=[9.0] * 100))
    assert (mine.count, other.count, mine.mean()) == (100, 100, other.mean())
    assert [each.count for each in alike(series(hit=[1.0] * 9), series(miss=[1.0] * 9))] == [0, 0]


def test_a_bridge_that_tells_no_stored_pages_is_not_compared_with_one_that_does():
    new = replace(GOOD, requests=series(miss=[0.2] * 500))
    untold = {frozenset({("route", "/plone")}): histogram([0.002] * 500)}
    word, reason = judge(new, replace(GOOD, requests=summed(untold)), LIMITS)
    assert (word, "0 and 0 of one kind" in reason) == ("inconclusive", True)


def test_a_mean_shows_what_no_bucket_does():
    new, old = (replace(GOOD, requests=series(miss=[each] * 200)) for each in (0.24, 0.12))
    assert judge(new, old, LIMITS) == ("fail", "mean latency is 0.24 s (baseline 0.12 s)")


def test_more_clients_that_download_slowly_than_before_make_no_slow_release():
    new = replace(GOOD, requests=series(miss=[0.12] * 970 + [8.0] * 30), plone=series(miss=[0.1] * 1000))
    old = replace(GOOD, requests=series(miss=[0.12] * 995 + [8.0] * 5), plone=series(miss=[0.1] * 1000))
    assert slowed(new, old, LIMITS) is None
    assert slowed(replace(new, requests=series(miss=[1.0] * 1000)), old, LIMITS) is not None


def test_one_very_slow_answer_makes_no_slow_release():
    new, old = (replace(GOOD, requests=series(miss=[0.12] * 199 + [last])) for last in (25.0, 0.12))
    assert judge(new, old, LIMITS)[0] == "pass"


# new, old, what is said of the new one (None: nothing)
BESIDE = {
    "both as bad": (Side(100, 30), Side(100, 30), None),
    "alone and half bad": (Side(40, 30), Side(), "answered 30 of 40 requests with errors"),
    "alone, and few": (Side(19, 19), Side(), None),
    "a little worse": (Side(1000, 15), Side(1000, 5), None),
    "much worse": (Side(200, 20), Side(1000, 0), "answered 20 of 200 requests with errors (5xx) (baseline 0 of 1000"),
    "ten in a row": (replace(GOOD, row=10), GOOD, "answered 10 requests in a row with errors"),
    "both in a row, as when Plone is down": (replace(GOOD, row=12), replace(GOOD, row=12), None),
    "both in a row, and the new one first": (replace(GOOD, row=10), replace(GOOD, row=1), None),
    "both bad, and the old one with too few answers yet": (Side(20, 20), Side(16, 16), None),
    "bad beside few good answers": (Side(40, 35), Side(10, 0), "answered 35 of 40 requests with errors"),
    "connections that fail": (replace(GOOD, faults=5), GOOD, "failed 5 connections (baseline 0)"),
    "both fail connections": (replace(GOOD, faults=9), replace(GOOD, faults=6), None),
    "a queue": (replace(GOOD, queued=50), GOOD, "has 50 requests queued"),
    "both queue": (replace(GOOD, queued=80), replace(GOOD, queued=60), None),
}


@pytest.mark.parametrize(("new", "old", "words"), BESIDE.values(), ids=BESIDE)
def test_only_what_the_other_slot_does_not_do_too_is_held_against_one(new, old, words):
    said = misbehaves(new, old, LIMITS)
    assert (said or "").startswith(words or "\0") == bool(words)
    assert (said is None) == (words is None)


def test_a_good_answer_ends_a_row_of_errors():
    rows = 0
    for before, now in [((0, 0), (4, 4)), ((4, 4), (9, 9)), ((9, 9), (9, 9)), ((9, 9), (12, 11))]:
        rows = row(rows, Counts(0, *before), Counts(0, *now))
    assert rows == 0
    assert row(row(0, Counts(), Counts(0, 4, 4)), Counts(0, 4, 4), Counts(0, 9, 9)) == 9


def test_the_interval_of_a_share_is_wilsons():
    low, high = wilson(10, 100, z=1.96)  # Brown, Cai, DasGupta 2001: [0.0552, 0.1744]
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)
    assert wilson(0, 20)[0] == 0
    assert wilson(20, 20)[1] == 1


TEXT = """\
# HELP eduhub_bridge_request_seconds First byte asked to last byte answered
# TYPE eduhub_bridge_request_seconds histogram
eduhub_bridge_request_seconds_bucket{le="0.1",method="GET",route="/health/ready",status="200"} 40.0
eduhub_bridge_request_seconds_bucket{le="+Inf",method="GET",route="/health/ready",status="200"} 40.0
eduhub_bridge_request_seconds_bucket{le="0.1",method="GET",route="/plone/{path}",status="200"} 3.0
eduhub_bridge_request_seconds_bucket{le="+Inf",method="GET",route="/plone/{path}",status="200"} 5.0
eduhub_bridge_request_seconds_bucket{le="0.1",method="GET",route="/plone/{path}",status="404"} 1.0
eduhub_bridge_request_seconds_bucket{le="+Inf",method="GET",route="/plone/{path}",status="404"} 1.0
eduhub_bridge_request_seconds_count{method="GET",route="/plone/{path}",status="404"} 1.0
# TYPE eduhub_bridge_plone_seconds histogram
"""


def test_a_bridges_histograms_are_summed_without_health_checks():
    found = parse_histogram(TEXT, "eduhub_bridge_request_seconds", without=("/health",))
    assert found == Histogram(((0.1, 4.0), (math.inf, 6.0)))


def test_the_series_of_a_family_are_known_apart_with_their_sums():
    text = 'a_bucket{le="1",cache="hit"} 2\na_bucket{le="+Inf",cache="hit"} 2\na_sum{cache="hit"} 0.5\n'
    text += 'a_bucket{le="1",cache="miss"} 1\na_bucket{le="+Inf",cache="miss"} 1\na_sum{cache="miss"} 0.25\n'
    found = parse_histogram(text, "a")
    assert (found.count, found.seconds) == (3, 0.75)
    later = parse_histogram(text.replace("0.5", "1.5").replace("} 2", "} 4"), "a").since(found)
    assert (later.count, later.seconds, later.only(lambda labels: labels["cache"] == "miss").count) == (2, 1.0, 0)


def test_a_family_without_a_request_yet_is_empty_and_one_that_is_not_there_is_none():
    assert parse_histogram(TEXT, "eduhub_bridge_plone_seconds") == Histogram()
    for foreign in ("", "<html>bucket</html>", 'eduhub_bridge_plone_seconds_bucket{le="x"} 1\n'):
        assert parse_histogram(foreign, "eduhub_bridge_plone_seconds") is None


def test_sums_and_counts_are_those_of_all_series_of_a_family():
    sums, counts = 'a_seconds_sum{x="1"} 1.5\na_seconds_sum{x="2"} 2\n', 'a_seconds_count{x="1"} 3\na_seconds_count 4\n'
    text = f"{sums}{counts}a_seconds_created 9\n"
    assert totals(text, "a_seconds") == (3.5, 7.0)
    for foreign in ("", "a_seconds_sum 1\n", "a_seconds_sum x\na_seconds_count 1\n", "<html>"):
        assert totals(foreign, "a_seconds") is None
