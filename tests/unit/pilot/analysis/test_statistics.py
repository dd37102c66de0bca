"""What is concluded from measurements follows from them alone, and noise is not taken for an effect."""

from __future__ import annotations

import itertools
import math
import random
import statistics as stdlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from eduhub_pilot.analysis import statistics
from eduhub_pilot.analysis.statistics import Estimate

values = some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=30)
positive = some.floats(1e-3, 1e6)
pairs = some.lists(some.tuples(positive, positive), min_size=1, max_size=12)


@given(values)
def test_the_median_is_the_standard_librarys(given_values):
    assert statistics.median(given_values) == pytest.approx(stdlib.median(given_values))


@given(values, some.floats(0, 1), some.floats(0, 1))
def test_quantiles_stay_inside_and_in_order(given_values, one, other):
    low, high = sorted((one, other))
    found = [statistics.quantile(given_values, share) for share in (0, low, high, 1)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(given_values), max(given_values))


@given(some.lists(some.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_quartiles_are_the_standard_librarys(given_values):
    expected = stdlib.quantiles(given_values, n=4, method="inclusive")
    assert [statistics.quantile(given_values, share / 4) for share in (1, 2, 3)] == pytest.approx(expected)


@pytest.mark.parametrize(("given_values", "share"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1)])
def test_what_has_no_quantile_is_refused(given_values, share):
    with pytest.raises(ValueError, match=r"nothing|between 0 and 1"):
        statistics.quantile(given_values, share)


def test_every_second_round_runs_backwards():
    assert list(statistics.interleaved("abc", 3)) == [
        (0, "a"), (0, "b"), (0, "c"), (1, "c"), (1, "b"), (1, "a"), (2, "a"), (2, "b"), (2, "c"),
    ]  # fmt: skip


@given(some.integers(1, 6), some.integers(1, 5))
def test_a_steady_drift_cancels_over_two_rounds(arms, twos):
    """Each arm is measured equally often, and over an even number of rounds equally late."""
    order = list(statistics.interleaved(range(arms), 2 * twos))
    moments = {arm: [moment for moment, (_, one) in enumerate(order) if one == arm] for arm in range(arms)}
    assert {len(each) for each in moments.values()} == {2 * twos}
    assert len({sum(each) for each in moments.values()}) == 1


@given(some.integers(0, 1000))
def test_arrivals_are_the_same_for_a_seed_in_order_and_in_time(seed):
    due = statistics.arrivals(100.0, 2.0, seed)
    assert due == statistics.arrivals(100.0, 2.0, seed) == sorted(due)
    assert all(0.0 < at < 2.0 for at in due)


def test_arrivals_come_at_the_rate_and_by_chance():
    """A Poisson process: the gaps' mean and their standard deviation are both 1/rate."""
    due = statistics.arrivals(200.0, 100.0, 1)
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
    assert stdlib.mean(gaps) == pytest.approx(1 / 200, rel=0.05)
    assert stdlib.stdev(gaps) == pytest.approx(1 / 200, rel=0.05)


@given(values)
def test_an_interval_holds_its_value_and_repeats(given_values):
    found = statistics.bootstrap(given_values, statistics.median, resamples=50)
    assert found.low <= found.value <= found.high
    assert found == statistics.bootstrap(given_values, statistics.median, resamples=50)


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    """95% intervals of 15 rounds each: 200 experiments must not miss the true ratio 1.25 much more than 10 times."""
    source = random.Random(3)  # noqa: S311 - a repeatable experiment
    missed = 0
    for _ in range(200):
        rounds = [(1.25 * source.lognormvariate(0, 0.1), source.lognormvariate(0, 0.1)) for _ in range(15)]
        found = statistics.ratio(rounds, resamples=300)
        missed += not found.low <= 1.25 <= found.high
    assert 0 < missed <= 24


def test_no_rounds_are_no_estimate():
    with pytest.raises(ValueError, match="nothing"):
        statistics.ratio([])


@given(pairs)
def test_exchanging_the_arms_gives_the_inverse(rounds):
    one = statistics.ratio(rounds, resamples=50)
    other = statistics.ratio([(second, first) for first, second in rounds], resamples=50)
    assert one.value == pytest.approx(1 / other.value)


@given(pairs, some.floats(0.1, 10))
def test_a_ratio_has_no_unit(rounds, scale):
    scaled = statistics.ratio([(first * scale, second * scale) for first, second in rounds], resamples=20)
    plain = statistics.ratio(rounds, resamples=20)
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_what_drifts_over_both_arms_is_no_difference():
    """The machine slows down to a third over ten rounds; the second arm takes 0.8 of the first in each."""
    drift = [1.0 + number / 5 for number in range(10)]
    found = statistics.ratio([(1.0 * each, 0.8 * each) for each in drift])
    assert (found.value, found.low, found.high) == pytest.approx((1.25, 1.25, 1.25))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_a_value_that_cannot_be_a_duration_is_refused(bad):
    with pytest.raises(ValueError, match="above zero"):
        statistics.ratio([(1.0, 1.0), (bad, 1.0)])


def test_a_difference_is_the_rounds_own():
    assert statistics.difference([(3.0, 1.0), (13.0, 10.0), (24.0, 20.0)]).value == 3.0


@pytest.mark.parametrize(
    ("measured", "control", "expected"),
    [
        (Estimate(1.25, 1.20, 1.30), Estimate(1.0, 0.97, 1.03), "more"),
        (Estimate(0.80, 0.75, 0.85), Estimate(1.0, 0.97, 1.03), "less"),
        (Estimate(1.08, 1.06, 1.15), Estimate(1.0, 0.98, 1.13), "unresolved"),
        (Estimate(1.08, 1.06, 1.15), Estimate(0.9, 0.88, 1.00), "unresolved"),
        (Estimate(1.02, 0.97, 1.06), Estimate(1.0, 1.00, 1.00), "unresolved"),
    ],
    ids=["beyond", "below", "within the control", "within its inverse", "holds 1"],
)
def test_an_effect_is_one_only_beyond_the_control(measured, control, expected):
    assert statistics.finding(measured, control) == expected
