"""release.json and lock.json survive being written and read, and say what is wrong when they were damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduhub_pilot.model.document import Source
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Process
from eduhub_pilot.model.state import HostState, Last, Lock, Rollout, Serving, Traffic, parse_lock, parse_state
from tests.unit.pilot.answers import ends
from tests.unit.pilot.fakes import RELEASES

A, B, C = RELEASES
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIVE = HostState(live=Serving("blue", A, "2026-01-01T00:00:00Z"), good=(A,), slots={"blue": A, "green": None})
ROLLING = LIVE.begun(Rollout("run", "green", B, A, "prove", "upgrade"))
LOCK = Lock("ana@desk", "run", "upgrade", "prove", NOW, NOW, 900)

ids = st.sampled_from([A, B, C])
seconds = st.none() | st.floats(0, 1000)
traffic = st.none() | st.builds(Traffic, st.builds(Process, st.integers(1, 9), st.integers(0, 2**31)), seconds, seconds)
rollouts = st.builds(
    Rollout, st.just("run"), st.just("green"), ids, st.none() | ids, st.just("shift"), st.just("up"),
    st.booleans(), st.floats(10, 86400), traffic,
)  # fmt: skip
states = st.builds(
    HostState,
    live=st.none() | st.builds(Serving, st.just("blue"), ids, st.just("2026-01-01T00:00:00Z")),
    confirmed=st.booleans(),
    good=st.lists(ids, unique=True).map(tuple),
    slots=st.fixed_dictionaries({"blue": st.none() | ids, "green": st.none() | ids}),
    rollout=st.none() | rollouts,
    rollback_seconds=st.none() | st.floats(0, 1000),
    last=st.none() | st.builds(
        Last, st.just("run"), st.just("up"), ids, st.sampled_from(["confirmed", "reverted"]), st.just("then"),
        st.none() | st.just("why"),
    ),
)


@given(states)
def test_a_state_is_read_as_it_was_written(state):
    assert parse_state(state.text(), SOURCE) == state


def test_a_lock_is_read_as_it_was_written():
    assert parse_lock(LOCK.text(), SOURCE) == LOCK


def changed(**fields) -> str:
    return json.dumps({**json.loads(ROLLING.text()), **fields})


SOURCE = Source("/var/lib/eduhub/release.json", "state_unreadable", "Move it away.")
DAMAGED = {
    "cut in the middle": (ROLLING.text()[:40], "is not valid JSON"),
    "empty": ("", "is not valid JSON"),
    "another shape": ("[]", "holds [] instead of an object"),
    "no schema": (changed(schema=None), "has schema None, not 1"),
    "a truth for a schema": (changed(schema=True), "has schema True, not 1"),
    "no slots": (changed(slots=None), "holds null in 'slots' instead of an object"),
    "an unknown slot": (changed(live={"slot": "red", "release": A, "since": "now"}), "instead of blue or green"),
    "a path for a release": (
        changed(live={"slot": "blue", "release": "../../etc", "since": "now"}), "instead of the id of a release",
    ),
    "a text for a number": (changed(rollback_seconds="soon"), "instead of a number"),
    "a number for a truth": (changed(confirmed=1), "instead of true or false"),
    "no list of releases": (changed(good=["x"]), "instead of a list of release ids"),
    "a rollout to the live slot": (
        changed(rollout={**json.loads(ROLLING.text())["rollout"], "slot": "blue"}), "the slot that is not live",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_state_is_refused_with_its_file_and_remedy(text, words):
    with pytest.raises(RefusedError) as refused:
        parse_state(text, SOURCE)
    assert words in refused.value.message
    assert refused.value.message.startswith("/var/lib/eduhub/release.json ")
    assert refused.value.message.endswith(" Move it away.")


def test_a_state_of_a_newer_pilot_is_refused_with_the_way_to_that_pilot():
    with ends("state_newer"):
        parse_state(changed(schema=2), SOURCE)


def test_a_lock_with_a_time_that_is_none_is_refused():
    text = json.dumps({**LOCK.document(), "heartbeat": "yesterday"})
    with ends("state_unreadable"):
        parse_lock(text, SOURCE)


@pytest.mark.parametrize(
    ("seconds", "expired"), [(0, False), (899, False), (901, True), (-899, False), (-901, True)],
    ids=["fresh", "in time", "too late", "a clock slightly off", "a clock that jumped back"],
)  # fmt: skip
def test_a_lock_has_expired_when_its_heartbeat_is_too_far_away(seconds, expired):
    assert LOCK.expired(NOW + timedelta(seconds=seconds)) is expired


# good releases before; verb and target; good ones and the way back afterwards
CONFIRMED = {
    "the first": ((), "deploy", A, (A,), None),
    "an upgrade": ((A,), "upgrade", B, (A, B), A),
    "a rollback leaves the newer one out": ((A, B), "rollback", A, (A,), None),
    "a rollback goes further back each time": ((A, B, C), "rollback", B, (A, B), A),
    "a rollback past a release takes that out too": ((A, B, C), "rollback", A, (A,), None),
    "a return to one that was left": ((A,), "rollback", B, (A, B), A),
    "an upgrade to one that was left": ((A,), "upgrade", B, (A, B), A),
    "a deploy of an older one": ((A, B), "deploy", A, (B, A), B),
}


@pytest.mark.parametrize(("before", "verb", "to", "after", "back"), CONFIRMED.values(), ids=CONFIRMED)
def test_what_is_known_to_be_good_after_a_confirmation(before, verb, to, after, back):
    live = before[-1] if before else None
    state = replace(HostState(good=before), live=Serving("blue", live, "") if live else None)
    state = state.committed(Rollout("run", "green", to, live, "confirm", verb), NOW)
    assert (state.good, state.last_good) == (after, back)
