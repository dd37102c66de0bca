"""Operators, runs, kills, restarts and time in any order: the host stays legal, and nobody has to clean up by hand."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eduhub_pilot.commands.confirm import confirm_and_free, pending
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.model.codes import exit_of
from eduhub_pilot.model.errors import PilotError
from eduhub_pilot.model.facts import SLOTS, Answer, Slot, other
from eduhub_pilot.model.state import Rollout
from eduhub_pilot.rollout.revert import revert
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.world import World, at, never

pytestmark = pytest.mark.slow

STEPS = {
    "prove": lambda world, run: prove(world.host, run),
    "shift": lambda world, run: world.shift(run, rehearse=run.endswith(("2", "5", "8"))),
    "confirm": lambda world, run: confirm_and_free(world.host, run),
    "revert": lambda world, run: revert(world.host, run, "why"),
}
OWNERS = st.sampled_from(["ana@desk", "bob@lab"])
FAULTS = (
    "the new slot is killed", "the old slot is killed", "both slots are killed", "the host is rebooted",
    "the pilot is killed", "HAProxy is killed", "the engine is down", "the disk is full", "Plone is stopped",
)  # fmt: skip
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
        with self.world.killing(death), suppress(PilotError, Killed, OSError):
            act()
            return True
        return False

    def watches(self, act: Callable[[], object], death: int | None) -> None:
        """Let a shift have its turn; where it can write nothing, what is committed serves."""
        with self.world.killing(death), suppress(PilotError, Killed):
            try:
                act()
            except OSError:
                assert not self.world.haproxy.up or self.world.haproxy.weight == self.world.store.weight()

    @rule(
        verb=st.sampled_from(["deploy", "upgrade", "rollback"]), python=st.sampled_from(["3.9", "3.11"]), owner=OWNERS,
        take_over=st.booleans(), resume=st.booleans(), death=DEATH,
    )  # fmt: skip
    def begin(
        self, verb: str, python: str, owner: str, take_over: bool, resume: bool, death: int | None, hold: bool = False
    ) -> None:
        self.number += 1
        run = f"run-{self.number}"
        python = None if verb == "rollback" else python
        options = {"take_over": take_over, "resume": resume, "python": python, "hold": hold, "confirm_within": "60"}
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
            self.does(lambda: STEPS[step](self.world, self.runs[-back]), death)

    @rule(verb=st.sampled_from(["upgrade", "rollback"]), python=st.sampled_from(["3.9", "3.11"]),
          after=st.integers(1, 3), death=DEATH, hold=st.booleans())  # fmt: skip
    def a_run_goes_far(self, verb: str, python: str, after: int, death: int | None, hold: bool) -> None:
        """A run begins properly and goes through its first steps, the last of which may kill it."""
        self.begin(verb, python, "ana@desk", take_over=True, resume=False, death=None, hold=hold)
        names = ["prove", "shift", "confirm"][:after]
        for name in names:
            self.role_bridge()
            if not self.does(lambda name=name: STEPS[name](self.world, self.runs[-1]),
                             death if name == names[-1] else None):  # fmt: skip
                return

    @rule(fault=st.sampled_from(FAULTS), after=st.floats(0.1, 6), rehearse=st.booleans(), death=DEATH)
    def a_shift_is_struck(self, fault: str, after: float, rehearse: bool, death: int | None) -> None:
        """While traffic moves something happens to the host; it passes within a minute, and so does all else."""
        self.whole()
        python = "3.9" if "py3.11" in self.world.store.state().live.release else "3.11"
        self.begin("upgrade", python, "ana@desk", take_over=True, resume=False, death=None, hold=True)
        self.role_bridge()
        self.does(lambda: prove(self.world.host, self.runs[-1]), None)
        new = (self.world.store.state().rollout or Rollout("", "green", "", None, "", "")).slot
        strike = partial(self.strike, fault, new)
        at(self.world, after, strike)
        self.watches(lambda: self.world.shift(self.runs[-1], rehearse), death)
        struck = not never(self.world, strike)
        self.world.clock.sleep(2)  # what was killed is back
        self.world.check()
        self.the_shift_goes_on(1, None)
        if struck and fault in {"the host is rebooted", "HAProxy is killed"}:
            # It has forgotten the move, and nobody moves traffic a second time.
            assert (self.world.haproxy.weight, self.world.lives()) == (self.world.store.weight(), False)
        self.whole()

    def strike(self, fault: str, new: Slot) -> None:
        match fault:
            case "the new slot is killed":
                self.world.kill(new)
            case "the old slot is killed":
                self.world.kill(other(new))
            case "both slots are killed":
                self.world.kill(new)
                self.world.kill(other(new))
            case "the host is rebooted":
                self.world.reboot()
                raise Killed
            case "the pilot is killed":
                raise Killed
            case "HAProxy is killed":
                self.world.haproxy.kill(1)
            case "the engine is down":
                self.world.engine.down = True
            case "the disk is full":
                self.world.store.full = True
            case "Plone is stopped":
                self.world.behaviour.update(dict.fromkeys(SLOTS, lambda _: Answer(503, 0.01)))

    def whole(self) -> None:
        """Whatever is broken is mended, as by a person who was called."""
        self.world.engine.down = self.world.store.full = False
        self.world.behaviour.clear()

    @rule(data=st.data(), dies_at=st.none() | st.none() | st.integers(0, 60))
    def a_shift_is_disturbed(self, data: st.DataObject, dies_at: int | None) -> None:
        """A shift gets some of its way or waits, and then something happens to it, and perhaps something else."""
        self.whole()
        python = "3.9" if "py3.11" in self.world.store.state().live.release else "3.11"
        self.a_run_goes_far("upgrade", python, 2, dies_at, hold=True)
        for _ in range(2):
            how = data.draw(st.sampled_from(
                ["lock", "haproxy", "engine", "clock", "resume", "time", "confirm", "revert", "reboot", "disk", "slots",
                 "nothing"]))  # fmt: skip
            death = data.draw(DEATH)
            happen = {
                "lock": self.the_lock_is_removed_by_hand,
                "haproxy": lambda: self.haproxy_is_killed(0.2),
                "engine": lambda: self.the_engine_goes_or_comes(True),
                "clock": lambda: self.the_clock_jumps(10_000),
                "resume": lambda death=death: self.begin(
                    "upgrade", python, "bob@lab", take_over=True, resume=True, death=death
                ),
                "time": lambda: self.time_passes(10),
                "confirm": lambda death=death: self.a_person_confirms(death),
                "revert": lambda death=death: self.step("revert", 1, death),
                "reboot": self.the_host_is_rebooted,
                "disk": lambda: self.the_disk_is_full(True),
                "slots": self.the_slots_are_killed,
                "nothing": lambda: None,
            }[how]
            happen()
            self.world.check()
            self.the_shift_goes_on(0.5, None)
            self.world.check()

    @rule(death=DEATH)
    def the_last_run_is_reverted(self, death: int | None) -> None:
        self.step("revert", 1, death)

    @rule(seconds=st.sampled_from([0.1, 5, 100]), death=DEATH)
    def the_shift_goes_on(self, seconds: float, death: int | None) -> None:
        """The shift's container has its turn after a while, started again where a pilot was killed."""
        self.world.clock.sleep(seconds)
        self.watches(self.world.goes_on, death)

    @rule(death=DEATH)
    def a_person_confirms(self, death: int | None) -> None:
        self.does(lambda: pending(self.world.host), death)

    @rule(down=st.booleans())
    def the_engine_goes_or_comes(self, down: bool) -> None:
        self.world.engine.down = down

    @rule()
    def the_host_is_rebooted(self) -> None:
        self.world.reboot()

    @rule(full=st.booleans())
    def the_disk_is_full(self, full: bool) -> None:
        self.world.store.full = full

    @rule()
    def the_slots_are_killed(self) -> None:
        for slot in SLOTS:
            self.world.kill(slot)
        self.world.clock.sleep(1)

    @rule(seconds=st.sampled_from([-10_000, -30, 30, 10_000]))
    def the_clock_jumps(self, seconds: int) -> None:
        self.world.clock.jumped += seconds

    @rule()
    def the_lock_is_removed_by_hand(self) -> None:
        (self.room / "lock.json").unlink(missing_ok=True)

    @rule(errors=st.sampled_from([0, 5, 50]))
    def green_answers_with_errors(self, errors: int) -> None:
        counts = self.world.haproxy.answers["green"]
        self.world.haproxy.answers["green"] = {"2xx": counts["2xx"] + 20, "5xx": counts["5xx"] + errors}

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
        if not self.world.store.full:
            journal.write_bytes(journal.read_bytes()[:-7])
            self.world.host.note(None, "test", "mended")

    @invariant()
    def legal(self) -> None:
        self.world.check()

    def left_alone(self) -> None:
        """Nobody types anything any more: within the deadline the host is in a legal state by itself."""
        for _ in range(4):
            self.world.clock.sleep(40)
            self.world.goes_on()
        self.world.check()
        rollout = self.world.store.state().rollout
        assert self.world.haproxy.weight == self.world.store.weight()
        assert not self.world.lives()
        assert not (rollout and rollout.moving)

    def teardown(self) -> None:
        try:
            self.whole()
            self.left_alone()
            done = self.world.roll("last", take_over=True, spec=self.world.spec(environment={"LAST": "1"}))
            assert exit_of(done.code, "shift") == 0
            assert (self.world.store.lock(), self.world.store.state().rollout) == (None, None)
            self.world.check()
        finally:
            os.fsync = self.fsync
            shutil.rmtree(self.room)


TestHost = Host.TestCase
TestHost.settings = settings(
    max_examples=50, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
