"""Operators, runs, kills, restarts and time in any order: the host stays legal, and nobody has to clean up by hand."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eduhub_pilot.confirm import confirm, end
from eduhub_pilot.errors import PilotError
from eduhub_pilot.facts import Answer
from eduhub_pilot.prove import prove
from eduhub_pilot.revert import revert
from eduhub_pilot.shift import shift
from tests.unit.pilot.world import Killed, World

STEPS = {"prove": prove, "shift": shift, "confirm": confirm, "end": end}
STEPS["revert"] = lambda host, run: revert(host, run, "why")
OWNERS = st.sampled_from(["ana@desk", "bob@lab"])
# Rarely, and then anywhere.
DEATH = st.none() | st.none() | st.integers(0, 20)


class Host(RuleBasedStateMachine):
    """What may happen to a host. `runs` are those that began; any of them may type any command at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.fsync = os.fsync
        os.fsync = lambda _: None
        self.room = Path(tempfile.mkdtemp())
        self.world = World(self.room)
        self.runs: list[str] = []
        self.number = 0

    @initialize()
    def deployed(self) -> None:
        self.world.roll("first", python="3.9")
        self.world.clock.sleep(1)

    def does(self, act: Callable[[], object], death: int | None) -> bool:
        """Let a pilot do something; return whether it got through."""
        with self.world.killing(death), suppress(PilotError, Killed):
            act()
            return True
        return False

    @rule(
        verb=st.sampled_from(["deploy", "upgrade", "rollback"]), python=st.sampled_from(["3.9", "3.11"]), owner=OWNERS,
        take_over=st.booleans(), resume=st.booleans(), death=DEATH,
    )  # fmt: skip
    def begin(self, verb: str, python: str, owner: str, take_over: bool, resume: bool, death: int | None) -> None:
        self.number += 1
        run = f"run-{self.number}"
        options = {"take_over": take_over, "resume": resume, "python": None if verb == "rollback" else python}
        self.does(lambda: self.world.begin(run, verb, owner, **options), death)
        self.runs.append(run)
        self.world.clock.sleep(1)

    @rule()
    def role_bridge(self) -> None:
        """The run that holds the lock starts its container."""
        lock, rollout = self.world.store.lock(), self.world.store.state().rollout
        if lock and rollout and lock.run == rollout.run:
            self.world.role_bridge(rollout.slot, self.world.store.record(rollout.release).document())

    @rule(step=st.sampled_from(sorted(STEPS)), back=st.integers(1, 3), death=DEATH)
    def step(self, step: str, back: int, death: int | None) -> None:
        """One of the last runs types a command, in or out of order."""
        if len(self.runs) >= back:
            self.does(lambda: STEPS[step](self.world.host, self.runs[-back]), death)

    @rule(verb=st.sampled_from(["upgrade", "rollback"]), python=st.sampled_from(["3.9", "3.11"]),
          after=st.integers(1, 4), death=DEATH)  # fmt: skip
    def a_run_goes_far(self, verb: str, python: str, after: int, death: int | None) -> None:
        """A run begins properly and goes through its first steps, the last of which may kill it."""
        self.begin(verb, python, "ana@desk", take_over=True, resume=False, death=None)
        names = ["prove", "shift", "confirm", "end"][:after]
        for name in names:
            self.role_bridge()
            if not self.does(lambda name=name: STEPS[name](self.world.host, self.runs[-1]),
                             death if name == names[-1] else None):  # fmt: skip
                return

    @rule(death=DEATH)
    def the_last_run_is_reverted(self, death: int | None) -> None:
        self.step("revert", 1, death)

    @rule(seconds=st.sampled_from([0.2, 1.0, 4.0]))
    def haproxy_is_killed(self, seconds: float) -> None:
        self.world.haproxy.kill(seconds)

    @rule(seconds=st.sampled_from([1, 10, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.sleep(seconds)

    @rule(bad=st.booleans())
    def green_is_broken_or_mended(self, bad: bool) -> None:
        self.world.behaviour["green"] = lambda _: Answer(503 if bad else 200, 0.01)

    @rule()
    def the_journal_is_cut(self) -> None:
        journal = self.room / "journal.jsonl"
        journal.write_bytes(journal.read_bytes()[:-7])
        self.world.host.note(None, "test", "mended")

    @invariant()
    def legal(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        try:
            self.world.behaviour.clear()
            self.world.clock.sleep(10)
            done = self.world.roll("last", take_over=True, spec=self.world.spec(environment={"LAST": "1"}))
            assert (done.code, self.world.store.lock(), self.world.store.state().rollout) == (0, None, None)
            self.world.check()
        finally:
            os.fsync = self.fsync
            shutil.rmtree(self.room)


TestHost = Host.TestCase
TestHost.settings = settings(
    max_examples=50, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
