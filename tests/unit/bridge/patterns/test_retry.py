"""Retries: only what may be repeated, so many times, and no more than the budget has."""

from __future__ import annotations

import pytest

from eduhub_bridge.patterns.retry import RetryBudget, retried


class Call:
    def __init__(self, *ends):
        self.ends, self.asked = list(ends), 0

    async def __call__(self):
        self.asked += 1
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


def again(error):
    return isinstance(error, ConnectionError)


async def test_it_is_asked_again_after_what_may_be_repeated():
    told = []
    call = Call(ConnectionError("1"), ConnectionError("2"), "fine")
    assert await retried(call, again, RetryBudget(), wait_seconds=0.001, told=lambda: told.append(1)) == "fine"
    assert (call.asked, len(told)) == (3, 2)


async def test_the_last_error_is_raised_after_the_last_attempt():
    call = Call(*(ConnectionError(str(number)) for number in range(9)))
    with pytest.raises(ConnectionError, match="2"):
        await retried(call, again, RetryBudget(), attempts=3, wait_seconds=0.001)
    assert call.asked == 3


async def test_what_may_not_be_repeated_is_not():
    call = Call(ValueError("no"), "fine")
    with pytest.raises(ValueError, match="no"):
        await retried(call, again, RetryBudget(), wait_seconds=0.001)
    assert call.asked == 1


async def test_without_budget_nothing_is_repeated_and_calls_earn_it_back():
    budget = RetryBudget(most=1, share=0.5)
    call = Call(ConnectionError("1"), "fine", ConnectionError("2"), "never")
    assert await retried(call, again, budget, wait_seconds=0.001) == "fine"
    with pytest.raises(ConnectionError, match="2"):
        await retried(call, again, budget, wait_seconds=0.001)
    assert (call.asked, budget.left) == (3, 0.5)
    await retried(Call("fine"), again, budget)
    assert budget.left == 1.0


def test_a_budget_never_holds_more_than_its_most():
    budget = RetryBudget(most=2)
    for _ in range(100):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, True, False]
