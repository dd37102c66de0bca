"""A host in memory for the pilot: real files, what stands around it from `fakes`, and what happens to it.

A pilot can be killed with -9: `World.killing` lets it happen before any chosen effect on the outside.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.await_shift import await_shift
from eduhub_pilot.commands.begin import begin
from eduhub_pilot.commands.confirm import confirm_and_free
from eduhub_pilot.commands.init import init
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.commands.shift import shift
from eduhub_pilot.gates.candidate import Candidate
from eduhub_pilot.gates.criteria import criteria
from eduhub_pilot.model.errors import PilotError, RefusedError
from eduhub_pilot.model.facts import SHIFT, Answer, Container, Reply, Slot, other, slot_of
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.release import parse_spec
from eduhub_pilot.model.settings import Settings
from eduhub_pilot.model.shift_plan import Plan
from eduhub_pilot.rollout.admission import RunRequest
from eduhub_pilot.rollout.revert import revert
from tests.unit.pilot.fakes import FakeClock, FakeEngine, FakeProxy, FakeStore, Haproxy, Killed, Parked


class World:
    """A host, and what operators, roles and accidents do to it."""

    def __init__(self, root: Path) -> None:
        for folder in ("edge", "releases"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        self.clock = FakeClock()
        self.haproxy = Haproxy(root / "edge", self.clock)
        self.engine = FakeEngine(self._before)
        self.behaviour: dict[Slot, Callable[[str], Answer]] = {}
        self.metrics: dict[Slot, Callable[[], str]] = {}
        self.watching: str | None = None
        self.rehearses = False
        self.replies: dict[Slot, Callable[[str, str, Mapping[str, str]], Reply]] = {}
        self.effects = 0
        self.kill_after: int | None = None
        self.store = FakeStore(root, "/var/lib/eduhub", guard_seconds=0.2)
        self.settings = Settings(
            "eduhub", root, {"blue": "http://127.0.0.1:8101", "green": "http://127.0.0.1:8102"}, "http://127.0.0.1:8080",
            start_seconds=10, probe_seconds=2, drain_seconds=3, drain_stream_seconds=8, watch_seconds=1,
            plan=Plan((25, 100), seconds=1), config=root / "etc",
            # Which asks thousands of times, and has tests of its own.
            gates={"pilot_gate_performance": "off"},
        )  # fmt: skip
        admin, maps = root / "admin.sock", str(root / "edge")
        proxy = FakeProxy(admin, maps, self.clock, haproxy=self.haproxy, before=self._before)
        self.host = Host(self.settings, self.store, proxy, self.engine, self.ask, self.clock, "vm", self.fetch)
        init(self.host)
        self.haproxy.start()

    def fork(self, root: Path) -> World:
        """Return a copy of this host with its files below `root`."""
        shutil.copytree(self.settings.root, root)
        copy = World(root)
        copy.clock.passed = self.clock.passed
        copy.haproxy.start()
        copy.haproxy.pid, copy.haproxy.back_at = self.haproxy.pid, self.haproxy.back_at
        for mine, theirs in zip(self.haproxy.maps.values(), copy.haproxy.maps.values(), strict=True):
            theirs.update(mine)
        copy.haproxy.started, copy.watching = self.haproxy.started, self.watching
        copy.clock.booted = self.clock.booted
        copy.rehearses = self.rehearses
        copy.engine.images, copy.engine.containers = dict(self.engine.images), dict(self.engine.containers)
        copy.engine.lasting = set(self.engine.lasting)
        return copy

    # --- accidents

    def _before(self, _: str) -> None:
        self.effects += 1
        if self.kill_after is not None and self.effects > self.kill_after:
            raise Killed

    @contextmanager
    def killing(self, after: int | None) -> Iterator[None]:
        """Kill the pilot when it has had `after` effects: files written, HAProxy told, the engine told."""
        self.effects, self.kill_after = 0, after
        originals = {name: getattr(os, name) for name in ("fsync", "link", "pwrite")}
        files = {name: getattr(Path, name) for name in ("replace", "unlink")}

        def counted(call: Callable[..., Any], name: str) -> Callable[..., Any]:
            def wrapper(*words: Any, **options: Any) -> Any:
                self._before(name)
                return call(*words, **options)

            return wrapper

        for name, call in originals.items():
            setattr(os, name, counted(call, name))
        for name, call in files.items():
            setattr(Path, name, counted(call, name))
        try:
            yield
        finally:
            self.kill_after = None
            for name, call in originals.items():
                setattr(os, name, call)
            for name, call in files.items():
                setattr(Path, name, call)

    def kill(self, slot: Slot) -> None:
        """Kill a slot's container; the engine starts it again after a second."""
        name = self.name(slot)
        if killed := self.engine.containers.get(name):
            self.engine.containers[name] = replace(killed, state="restarting", restarts=killed.restarts + 1)
            at(self, 1, lambda: self._starts(name))

    def _starts(self, name: str) -> None:
        found = self.engine.containers.get(name)
        if found and found.state == "restarting":
            self.engine.containers[name] = replace(found, state="running")

    def reboot(self) -> None:
        """Switch the host off and on: HAProxy and monotonic time begin anew, whatever waits for the engine is back."""
        self.clock.booted = self.clock.passed
        self.haproxy.kill(seconds=2)
        self.engine.down = False

    def noted(self, event: str, run: str = "run-2") -> list[dict[str, Any]]:
        """Return the journal's lines of `run` with this event."""
        lines = map(json.loads, (self.settings.root / "journal.jsonl").read_text().splitlines())
        return [line for line in lines if line["run"] == run and line["event"] == event]

    # --- what stands around the pilot

    def name(self, slot: Slot) -> str:
        return self.settings.container(slot)

    def ask(self, base: str, path: str, seconds: float, /, *, most: int = 4096) -> Answer:
        """One answer at a private endpoint, or the public one; `metrics` of a slot are what it says of itself."""
        slot: Slot = "blue" if base.endswith("8101") else "green"
        if base == self.settings.edge and self.haproxy.up:
            slot = slot_of(self.haproxy.weight)
        if path == "/metrics" and slot in self.metrics:
            return Answer(200, 0.01, body=self.metrics[slot]()[:most])
        if not self.haproxy.up:
            return Answer(None, 0.0, "refused")
        container = self.engine.containers.get(self.name(slot))
        if not container or not container.runs:
            return Answer(503, 0.0, "no_listener")
        answer = self.behaviour.get(slot, lambda _: Answer(200, 0.01))(path)
        if answer.trouble == "timeout":
            self.clock.sleep(seconds)
        names = self.haproxy.maps[f"{self.haproxy.folder}/releases.map"]
        return answer if answer.trouble else replace(answer, slot=slot, release=names[slot])

    def fetch(self, base: str, path: str, seconds: float, method: str, headers: Mapping[str, str]) -> Reply:
        """One whole reply at a slot's private endpoint."""
        slot: Slot = "blue" if base.endswith("8101") else "green"
        if slot in self.replies and self.haproxy.up:
            return self.replies[slot](path, method, headers)
        answer = self.ask(base, path, seconds)
        return Reply(answer.status, answer.seconds, answer.trouble, {}, answer.body.encode())

    def role_bridge(self, slot: Slot, record: dict[str, Any]) -> None:
        """Start the slot's container from the record, unless it is there."""
        name, there = self.name(slot), self.engine.containers.get(self.name(slot))
        if not there or there.release != record["id"] or not there.runs:
            labels = {"org.eduhub.release": record["id"]}
            self.engine.containers[name] = Container(name, "running", record["image"]["id"], labels)

    # --- the shift's own container

    def shift(self, run: str, rehearse: bool = False) -> Outcome:
        """Start it, and await what becomes of it: it waits for a confirmation then, or has ended."""
        self.start_shift(run, rehearse)
        self.watches()
        return await_shift(self.host, run)

    def start_shift(self, run: str, rehearse: bool = False) -> None:
        """Start its container, whose pilot has no turn yet."""
        name = self.settings.container(SHIFT)
        if self.lives() and self.watching != run:
            raise RefusedError("engine_down", f"The container name {name} is already in use.")
        self.engine.containers[name] = Container(name, "running", "sha256:pilot")
        self.engine.lasting.discard(name)
        self.watching, self.rehearses = run, rehearse

    def lives(self) -> bool:
        """Whether the shift's container runs, or the engine will start it again."""
        container = self.engine.containers.get(self.settings.container(SHIFT))
        return self.watching is not None and container is not None and container.runs

    def goes_on(self) -> None:
        """Let the shift's container have its turn, started again by the engine if it was killed, until it waits."""
        if self.lives() and not self.engine.down:
            with suppress(PilotError):
                self.watches()

    def watches(self) -> None:
        """Let the shift's pilot have its turn."""
        self.clock.park = self._waits
        try:
            shift(self.host, self.watching or "", self.rehearses)
        except Parked:
            return
        finally:
            self.clock.park = lambda: False
            if self.settings.container(SHIFT) in self.engine.lasting:
                self.engine.ends(self.settings.container(SHIFT))

    def _waits(self) -> bool:
        rollout = self.store.state().rollout
        return bool(rollout and rollout.run == self.watching and rollout.step in {"shifted", "confirm"})

    # --- what operators do

    def spec(self, **more: Any) -> str:
        fields = {
            "image": "eduhub/bridge:py{python}", "python": "3.11", "health_path": "/health/ready",
            "live_path": "/health/live", "smoke_paths": ["/plone/"], "stop_seconds": 5,
        }  # fmt: skip
        return json.dumps({**fields, **more})

    def begin(self, run: str, verb: str = "deploy", owner: str = "ana@desk", **words: Any) -> Outcome:
        spec = words.pop("spec", None)
        return begin(self.host, RunRequest(run, owner, verb, **words), parse_spec(json.loads(spec or self.spec())))

    def candidate(self, run: str, **given: Any) -> Candidate:
        """The slot of `run` as gates see it; `given` are their variables without `pilot_`."""
        state = self.store.state()
        assert state.rollout
        record = self.store.record(state.rollout.release)
        judged_by = criteria({f"pilot_{name}": value for name, value in given.items()}, record.spec)
        release = self.host.known(state.live.release) if state.live else None
        live = self.engine.containers.get(self.name(other(state.rollout.slot)))
        runs = bool(live and live.runs)
        return Candidate(self.host, state.rollout, record, release, judged_by, self.host.heart(run).beat, runs)

    def steps(self, run: str) -> list[Callable[[], Outcome]]:
        """The commands that follow `begin`."""
        return [lambda: prove(self.host, run), lambda: self.shift(run), lambda: confirm_and_free(self.host, run)]

    def roll(self, run: str, verb: str = "deploy", **words: Any) -> Outcome:
        """A whole run, as the playbook does it; a failing step is reverted, and its outcome returned."""
        begun = self.begin(run, verb, **words)
        if begun.data["action"] == "none":
            return begun
        self.role_bridge(begun.data["slot"], begun.data["record"])
        outcome = begun
        for step in self.steps(run):
            try:
                outcome = step()
            except PilotError as error:
                revert(self.host, run, error.message)
                raise
        return outcome

    # --- what must always hold

    def check(self) -> None:
        """Fail unless the host is in a legal state: files whole; traffic served, now and once HAProxy has crashed."""
        state = self.store.state()
        self.store.lock()
        journal = (self.settings.root / "journal.jsonl").read_text().splitlines()
        for line in journal:
            assert {"time", "run", "host", "step", "event"} <= set(json.loads(line))
        if state.last:
            # Also in what a cut line was: that is kept as a text in another one.
            words = (f'"run":"{state.last.run}"', f'"event":"{state.last.result}"')
            assert any(all(word in line.replace("\\", "") for word in words) for line in journal), state.last
        if state.live:
            rolling = [state.rollout.release] if state.rollout and state.rollout.step == "confirm" else []
            self._serves(slot_of(self.store.weight()), {state.live.release, *rolling})
            if self.haproxy.up:
                self._serves(slot_of(self.haproxy.weight), {state.live.release, *filter(None, state.slots.values())})
                # Traffic is on what nobody confirmed only while somebody keeps watch, who will undo it.
                assert self.haproxy.weight == self.store.weight() or self.lives()

    def _serves(self, slot: Slot, releases: set[str]) -> None:
        container = self.engine.containers.get(self.name(slot))
        assert container is not None, f"{slot} gets traffic and has no container"
        assert container.runs
        assert container.release in releases


def at(world: World, seconds: float, happen: Callable[[], object]) -> None:
    """Let something happen once the clock has passed `seconds` from now."""
    world.clock.due.append((world.clock.passed + seconds, happen))


def never(world: World, happen: Callable[[], object]) -> bool:
    """Let something that was to happen not happen any more; return whether it had not yet."""
    before, world.clock.due = world.clock.due, [each for each in world.clock.due if each[1] is not happen]
    return world.clock.due != before


def given_back(world: World) -> bool:
    """Whether blue is live as if nothing had happened."""
    world.check()
    slots = set(world.engine.containers) - {"eduhub-edge", "eduhub-shift"}
    return (world.haproxy.up and world.haproxy.weight, world.store.lock(), slots) == (0, None, {"eduhub-blue"})
