"""A circuit breaker opens after failures in a row, lets one try in a while, and closes with the first success."""

from __future__ import annotations

import pytest

from eduhub_bridge.patterns.breaker import CLOSED, HALF_OPEN, OPEN, CircuitBreaker, CircuitOpenError


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said():
    return []


@pytest.fixture
def breaker(clock, said):
    return CircuitBreaker(3, 2.0, lambda state, why: said.append((state, why)), clock)


def refused(breaker):
    try:
        breaker.admit()
    except CircuitOpenError as refusal:
        return str(refusal), refusal.retry_seconds
    return None


def fail(breaker, times):
    for _ in range(times):
        breaker.admit()
        breaker.failed("no answer")


def test_only_failures_in_a_row_open_it(breaker):
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert (breaker.state, refused(breaker)) == (CLOSED, None)
    breaker.failed("no answer")
    assert (breaker.state, refused(breaker)) == (OPEN, ("no answer", 2.0))


def test_after_the_pause_one_tries_and_the_others_wait(breaker, clock):
    fail(breaker, 3)
    clock.now += 1.5
    assert refused(breaker) == ("no answer", 0.5)
    clock.now += 0.5
    assert (breaker.state, refused(breaker)) == (HALF_OPEN, None)
    assert refused(breaker) == ("no answer", 2.0)


def test_a_trial_that_succeeds_closes_it_and_one_that_fails_opens_it(breaker, clock, said):
    fail(breaker, 3)
    clock.now += 2
    fail(breaker, 1)
    assert (breaker.state, refused(breaker)) == (OPEN, ("no answer", 2.0))
    clock.now += 2
    breaker.admit()
    breaker.succeeded()
    assert (breaker.state, refused(breaker)) == (CLOSED, None)
    assert [state for state, _ in said] == [OPEN, HALF_OPEN, OPEN, HALF_OPEN, CLOSED]


def test_a_trial_that_vanishes_holds_nobody_up(breaker, clock):
    fail(breaker, 3)
    clock.now += 2
    breaker.admit()
    clock.now += 2
    assert refused(breaker) is None


def test_an_answer_to_an_old_question_closes_it_too(breaker):
    fail(breaker, 3)
    breaker.succeeded()
    assert refused(breaker) is None


def test_who_knows_enough_opens_it_at_once(breaker):
    breaker.trip("it hangs")
    assert refused(breaker) == ("it hangs", 2.0)
