"""Waves, budget and soak: what is decided, and that no run of random events breaks what an operator was promised."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from front.fleet import waves
from front.fleet.waves import (
    DOWN,
    FAILED,
    Policy,
    Roll,
    Soak,
    State,
    Stop,
    limit,
    next_step,
    number_of,
    ordered,
    waves_of,
)


def names(number: int) -> list[str]:
    return [f"b{n}" for n in range(1, number + 1)]


def waiting(number: int, **others: State) -> dict[str, State]:
    return dict.fromkeys(names(number), State.WAITING) | others


def test_a_canary_comes_first_then_a_quarter_at_a_time():
    assert [len(wave) for wave in waves_of(names(10), Policy())] == [1, 3, 3, 3]
    assert [len(wave) for wave in waves_of(names(2), Policy())] == [1, 1]
    assert [len(wave) for wave in waves_of(names(100), Policy())] == [1, 25, 25, 25, 24]


def test_a_percentage_of_a_wave_is_rounded_up_one_of_unavailable_hosts_down():
    assert (number_of("25%", 10, up=True), number_of("25%", 10, up=False)) == (3, 2)
    assert (number_of("1%", 10, up=True), number_of("1%", 10, up=False)) == (1, 1)
    assert number_of("7", 3, up=True) == 7


def test_a_wave_is_rolled_so_many_side_by_side_as_may_be_unavailable():
    states = waiting(40, b1=State.DONE)
    step = next_step(names(40), states, Policy(soak_seconds=0), moved=["b1"])
    assert Roll(2, 5, ("b2", "b3", "b4", "b5")) == step
    step = next_step(names(40), states | {"b9": State.LOST}, Policy(soak_seconds=0, failure_budget=1), moved=["b1"])
    assert Roll(2, 5, ("b2", "b3", "b4")) == step


def test_a_wave_soaks_once_before_the_next_and_the_last_does_not():
    states = waiting(2, b1=State.DONE)
    assert Soak(1, ("b1",)) == next_step(names(2), states, Policy(), moved=["b1"])
    assert Roll(2, 2, ("b2",)) == next_step(names(2), states, Policy(), moved=["b1"], soaked=["b1"])
    assert Stop() == next_step(names(2), dict.fromkeys(names(2), State.DONE), Policy(), moved=names(2))


def test_a_wave_that_was_done_before_the_run_soaks_unless_it_has_served_as_long():
    """The run before may have been killed in the soak time of its canary."""
    assert Soak(1, ("b1",)) == next_step(names(2), waiting(2, b1=State.DONE), Policy())
    assert Roll(2, 2, ("b2",)) == next_step(names(2), waiting(2, b1=State.DONE), Policy(), soaked=["b1"])


def test_hosts_that_cannot_be_reached_come_last():
    assert ordered(names(4), ["b3"], ["b1", "b3"]) == ["b2", "b4", "b3", "b1"]


def test_hosts_that_are_drained_come_after_those_that_serve():
    """A canary that no client asks would let the next wave be the first one that clients see."""
    assert ordered(names(5), ["b3"], ["b2"], ["b1", "b2", "b3"]) == ["b4", "b5", "b3", "b1", "b2"]


def test_the_next_host_is_the_canary_where_the_first_one_failed():
    policy = Policy(failure_budget=2, max_unavailable="50%")
    states = waiting(20, b1=State.REVERTED)
    assert Roll(1, 5, ("b2",)) == next_step(names(20), states, policy)
    assert Soak(1, ("b2",)) == next_step(names(20), states | {"b2": State.DONE}, policy, moved=["b2"])
    # It serves its soak time too, where the first one failed only after its own.
    states |= {"b1": State.BROKEN, "b2": State.DONE}
    assert Soak(1, ("b2",)) == next_step(names(20), states, policy, moved=["b1", "b2"], soaked=["b1"])
    step = next_step(names(20), states, policy, moved=["b1", "b2"], soaked=names(2))
    assert Roll(2, 5, ("b3", "b4", "b5", "b6", "b7")) == step


def test_one_failure_more_than_the_budget_stops_the_run_and_names_the_host():
    states = waiting(3, b1=State.DONE, b2=State.REVERTED)
    why = "1 host failed or cannot be reached (b2), and rollout_failure_budget is 0."
    assert Stop(why) == next_step(names(3), states, Policy(), moved=["b1"])
    assert Roll(3, 3, ("b3",)) == next_step(names(3), states, Policy(failure_budget=1), moved=["b1"], soaked=["b1"])


def test_revert_all_takes_the_hosts_back_last_first():
    states = waiting(4, b1=State.DONE, b2=State.DONE, b3=State.REVERTED)
    step = next_step(names(4), states, Policy(on_breach="revert-all"), moved=["b1", "b2"])
    assert isinstance(step, Stop)
    assert step.revert == ("b2", "b1")


def test_hosts_that_are_down_leave_no_room_for_others():
    step = next_step(names(3), waiting(3, b3=State.LOST), Policy(failure_budget=3))
    assert Stop("1 host may be down (b3), and rollout_max_unavailable is 10% (1 of 3).") == step


SIZES = some.one_of(some.integers(1, 12).map(str), some.integers(1, 100).map(lambda percent: f"{percent}%"))
POLICIES = some.builds(
    Policy, waves=some.lists(some.just("1") | SIZES, min_size=1, max_size=4),
    soak_seconds=some.sampled_from([0.0, 60.0]), max_unavailable=SIZES, failure_budget=some.integers(0, 5),
    on_breach=some.sampled_from(["halt", "revert-all"]),
)  # fmt: skip
ENDS = some.sampled_from([State.DONE] * 6 + [State.REVERTED, State.REFUSED, State.BROKEN, State.LOST])


@given(some.data(), some.integers(1, 30), POLICIES)
def test_no_run_takes_more_hosts_down_than_allowed_or_starts_one_over_budget(data, number, policy):
    has_it: set[str] = set()  # over all runs: what a resumed run finds done
    for _ in range(3):  # each is the --resume of the one before
        has_it = one_run(data, names(number), policy, has_it)


def one_run(data, hosts: list[str], policy: Policy, has_it: set[str]) -> set[str]:
    """Play one run with random events; return the hosts that have the release after it."""
    states = {name: data.draw(some.sampled_from([State.WAITING] * 9 + [State.LOST])) for name in hosts}
    order = ordered(hosts, (), waves.among(hosts, states, DOWN))
    assert sorted(order) == sorted(hosts)
    moved: list[str] = []
    started: list[str] = []
    soaked: set[str] = set()
    for _ in range(4 * len(order) + 4):
        failed_before = [name for name in order if states[name] in FAILED]
        step = next_step(order, states, policy, moved=moved, soaked=soaked)
        if isinstance(step, Stop):
            break
        if isinstance(step, Soak):
            assert policy.soak_seconds
            assert {states[name] for name in step.hosts} == {State.DONE}
            assert soaked.isdisjoint(step.hosts), "each host soaks once"
            soaked |= set(step.hosts)
            states |= {name: data.draw(ENDS) for name in step.hosts if data.draw(some.booleans())}
            continue
        assert step.hosts, "a batch has a host"
        assert len(failed_before) <= policy.failure_budget, "none is started over budget"
        down = [name for name in order if states[name] in DOWN]
        assert len(down) + len(step.hosts) <= limit(order, policy), "never more down than allowed"
        assert all(states[name] is State.WAITING for name in step.hosts)
        # Whatever it was that failed: no wave after the first without a canary that has the release, and has soaked.
        canaries = [name for name in order[: order.index(step.hosts[0])] if states[name] is State.DONE]
        if policy.soak_seconds:
            canaries = [name for name in canaries if name in soaked]
        assert step.wave == 1 or canaries, "never a wave after the first without a canary"
        for name in step.hosts:
            states[name] = State.DONE if name in has_it else data.draw(ENDS)
            if states[name] is State.DONE and name not in has_it:
                moved.append(name)
            if name in has_it and data.draw(some.booleans()):
                soaked.add(name)  # long before this run
        started += step.hosts
    else:
        raise AssertionError("a run ends")
    assert len(started) == len(set(started)), "each host has one turn"
    assert started == [name for name in order if name in started], "in order"
    assert set(states) == set(order), "every host is in the table"
    if not step.why:
        assert State.WAITING not in states.values(), "a run that was not stopped comes to every host"
    assert step.revert in {(), tuple(reversed(moved))}
    assert bool(step.revert) == bool(step.why and moved and policy.on_breach == "revert-all")
    return {name for name in {*has_it, *moved} if name not in step.revert}
