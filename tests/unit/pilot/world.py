"""A host in memory for the pilot: real files, and an HAProxy, an engine and a clock that do what the real ones do.

`Killed` is a pilot killed with -9: `World.kill_after` lets it happen before any chosen effect on the outside.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from eduhub_pilot.begin import begin
from eduhub_pilot.clock import Clock
from eduhub_pilot.confirm import confirm, end
from eduhub_pilot.errors import EngineDownError, PilotError, ProxyDownError, RefusedError
from eduhub_pilot.facts import SHIFT, SLOTS, Answer, Container, Image, Look, Reply, Slot, other, slot_of
from eduhub_pilot.follow import follow
from eduhub_pilot.gates.bench import Bench
from eduhub_pilot.gates.criteria import criteria
from eduhub_pilot.haproxy import Proxy
from eduhub_pilot.host import Host, Outcome
from eduhub_pilot.init import init
from eduhub_pilot.plan import Wish
from eduhub_pilot.prove import prove
from eduhub_pilot.record import parse_spec
from eduhub_pilot.revert import revert
from eduhub_pilot.settings import Settings
from eduhub_pilot.shift import shift
from eduhub_pilot.steps import Plan
from eduhub_pilot.store import Store

IMAGES = {
    "eduhub/bridge:py3.9": Image("sha256:" + "39" * 32, "3.9.2"),
    "eduhub/bridge:py3.11": Image("sha256:" + "11" * 32, "3.11.2"),
}


# What the gate `runtime` is told of an image in which all is well.
CLEAN = {
    "python": "3.11.2", "files": 90, "modules": 80, "packages": 7, "distributions": {"click": "8.1.8"},
    "findings": [], "dropped": 0, "unexamined": [],
}  # fmt: skip


class Killed(BaseException):
    """kill -9."""


class Parked(BaseException):
    """The test leaves a shift alone for a while, where it waits."""


class FakeClock(Clock):
    """Time that passes only by sleeping. `jumped` are the seconds that somebody set the wall clock ahead, or back."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.jumped = 0.0
        self.park: Callable[[], bool] = lambda: False

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.passed + self.jumped)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        if self.park():
            raise Parked
        self.passed += seconds


@dataclass
class Haproxy:
    """HAProxy's runtime, answering as 2.6 does. It reads its maps from `folder` when it starts."""

    folder: Path
    clock: FakeClock
    maps: dict[str, dict[str, str]] = field(default_factory=dict)
    pid: int = 0
    back_at: float | None = None
    sessions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    status: int = -1  # of every session: HAProxy has -1 until the answer begins
    answers: dict[str, dict[str, int]] = field(default_factory=lambda: {slot: {"2xx": 0, "5xx": 0} for slot in SLOTS})
    faults: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    waiting: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    unanswered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    started: float = 0.0

    def start(self) -> None:
        self.pid += 1
        self.back_at, self.started = None, self.clock.passed
        self.maps = {}
        for name in ("traffic.map", "releases.map"):
            text = (self.folder / name).read_text()
            self.maps[f"{self.folder}/{name}"] = dict(line.split() for line in text.splitlines())

    def kill(self, seconds: float = 1.0) -> None:
        """Kill it; the engine starts it again after `seconds`."""
        self.back_at = self.clock.passed + seconds

    @property
    def up(self) -> bool:
        if self.back_at is not None and self.clock.passed >= self.back_at:
            self.start()
        return self.back_at is None

    @property
    def share(self) -> int:
        return int(self.maps[f"{self.folder}/traffic.map"]["green"])

    def answer(self, command: str) -> str:
        """What HAProxy sends for one command, its closing empty line included."""
        words = command.split()
        match words:
            case ["set", "map", name, key, value]:
                return self._set(name, key, value)
            case ["show", "map", name] if name in self.maps:
                return "".join(f"0x55bff3c3e6c0 {key} {value}\n" for key, value in self.maps[name].items()) + "\n"
            case ["show", "info"]:
                epoch = 1795477976 + int(self.started)
                return f"Name: HAProxy\nPid: {self.pid}\nUptime: 0d 0h00m01s\nStart_time_sec: {epoch}\n\n"
            case ["show", "stat", slot, "6", "-1"]:
                return self._statistics(slot)
            case ["show", "sess", "all"]:
                pairs = [(slot, number) for slot in SLOTS for number in range(self.sessions[slot])]
                return "".join(self._session(slot, number) for slot, number in pairs) + "\n"
            case ["show", "table", "inflight"]:
                ports = range(sum(self.sessions.values()))
                lines = (f"0x1: key=10.0.0.1:{port}\\ /plone/{port} use=1 exp=7012 conn_cur=1\n" for port in ports)
                return "# table: inflight, type: string, size:4000, used:1\n" + "".join(lines) + "\n"
            case ["shutdown", "sessions", "server", server]:
                slot, _, name = server.partition("/")
                self.sessions[slot] = 0 if name == "slot" else self.sessions[slot]
                return "\n"
        return "Unknown map identifier. Please use #<id> or <file>.\n\n" if "map" in words else "Unknown command.\n\n"

    def _statistics(self, slot: str) -> str:
        counts = self.answers[slot]
        total = sum(counts.values()) + self.unanswered[slot]
        return (
            "# pxname,svname,qcur,scur,stot,econ,eresp,wretr,rtime,"
            "hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,\n"
            f"{slot},slot,0,{self.sessions[slot]},{total},0,0,0,3,0,{counts['2xx']},0,0,{counts['5xx']},0,\n"
            f"{slot},wait,0,{self.waiting[slot]},0,0,0,0,0,0,0,0,0,0,0,\n"
            f"{slot},BACKEND,0,{self.sessions[slot]},{total},{self.faults[slot]},0,0,3,"
            f"0,{counts['2xx']},0,0,{counts['5xx']},0,\n\n"
        )

    def _session(self, slot: str, number: int) -> str:
        port = number + (self.sessions["blue"] if slot == "green" else 0)
        return (
            f"0x{port:x}: [25/Nov/2026:02:22:02.786393] id=1 proto=tcpv4 source=10.0.0.1:{port}\n"
            f"  frontend=public (id=2 mode=http), listener=? (id=1) addr=127.0.0.1:8080\n"
            f"  backend={slot} (id=4 mode=http) addr=unix\n  task=0x1 (state=0x00 nice=0 exp=57s age=1m{number}s)\n"
            f"  txn=0x1 flags=0x3000 meth=1 status={self.status} req.st=MSG_DONE rsp.st=MSG_RPBEFORE req.f=0x4c "
            "rsp.f=0x00\n"
        )

    def _set(self, name: str, key: str, value: str) -> str:
        if name not in self.maps:
            return "Unknown map identifier. Please use #<id> or <file>.\n\n"
        if key not in self.maps[name]:
            return "entry not found.\n\n"
        self.maps[name][key] = value
        return "\n"


@dataclass(frozen=True)
class FakeProxy(Proxy):
    """The pilot's client with the socket left out: what is parsed is what HAProxy would send."""

    haproxy: Haproxy = field(kw_only=True)
    before: Callable[[str], None] = field(kw_only=True)

    def _ask(self, *commands: str) -> list[str]:
        for command in commands:
            if command.startswith(("set", "shutdown")):
                self.before(command)
        if not self.haproxy.up:
            raise ProxyDownError("HAProxy does not answer on its admin socket (Connection refused).")
        answers = [self.haproxy.answer(command).removesuffix("\n") for command in commands]
        if not self.haproxy.up:
            raise ProxyDownError("HAProxy closed its admin socket in the middle of an answer.")
        return answers


@dataclass
class FakeEngine:
    """An engine with the images of `IMAGES`; what a run of a container would do is up to `World`."""

    before: Callable[[str], None]
    images: dict[str, Image] = field(default_factory=lambda: dict(IMAGES))
    containers: dict[str, Container] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    looks: dict[str, Look] = field(default_factory=dict)
    looked: list[tuple[str, Sequence[str]]] = field(default_factory=list)
    down: bool = False

    def _asked(self) -> None:
        if self.down:
            raise EngineDownError("The Docker Engine does not do what it is asked (Connection refused).")

    def image(self, name: str) -> Image | None:
        self._asked()
        return self.images.get(name) or next((each for each in self.images.values() if each.id == name), None)

    def tags(self, repository: str) -> list[str]:
        return sorted(name for name in self.images if name.startswith(f"{repository}:"))

    def tag(self, image: str, name: str) -> None:
        self.before("tag")
        self.images[name] = next(each for each in self.images.values() if each.id == image)

    def untag(self, name: str) -> None:
        self.before("untag")
        self.images.pop(name, None)

    def container(self, name: str) -> Container | None:
        self._asked()
        return self.containers.get(name)

    def log(self, name: str, lines: int) -> list[str]:
        self._asked()
        return self.logs.get(name, [])[-lines:]

    def remove(self, name: str, stop_seconds: int) -> None:
        assert stop_seconds > 0
        self._asked()
        self.before("remove")
        self.containers.pop(name, None)

    def let_end(self, name: str) -> None:
        self._asked()
        if name in self.containers:
            self.before("let_end")
            self.containers[name] = replace(self.containers[name], state="exited")

    def lay(
        self, name: str, image: str, folder: str, files: Mapping[str, str], environment: Mapping[str, str], stack: str
    ) -> None:
        raise NotImplementedError

    def discard(self, name: str) -> None:
        raise NotImplementedError

    def look(
        self, like: str, command: Sequence[str], memory: str, seconds: float, between: Callable[[], None]
    ) -> Look:
        assert memory
        assert seconds > 0
        self._asked()
        between()
        self.looked.append((like, command))
        version = next((i.python for i in self.images.values() if i.id == self.containers[like].image), None)
        return self.looks.get(like) or Look(0, json.dumps({**CLEAN, "python": version or "3.11.2"}))


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
        self.store = Store(root, "/var/lib/eduhub", guard_seconds=0.2)
        self.settings = Settings(
            "eduhub", root, {"blue": "http://127.0.0.1:8101", "green": "http://127.0.0.1:8102"}, "http://127.0.0.1:8080",
            start_seconds=10, probe_seconds=2, drain_seconds=3, drain_stream_seconds=8, watch_seconds=1,
            plan=Plan((25, 100), seconds=1), config=root / "etc",
            # Which asks thousands of times, and has tests of its own.
            gates={"EDUHUB_GATE_PERFORMANCE": "off"},
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
        copy.rehearses = self.rehearses
        copy.engine.images, copy.engine.containers = dict(self.engine.images), dict(self.engine.containers)
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

    # --- what stands around the pilot

    def name(self, slot: Slot) -> str:
        return self.settings.container(slot)

    def ask(self, base: str, path: str, seconds: float, /, *, most: int = 4096) -> Answer:
        """One answer through a slot's door, or the public one; `metrics` of a slot are what it says of itself."""
        slot: Slot = "blue" if base.endswith("8101") else "green"
        if base == self.settings.edge and self.haproxy.up:
            slot = slot_of(self.haproxy.share)
        if path == "/metrics" and slot in self.metrics:
            return Answer(200, 0.01, body=self.metrics[slot]()[:most])
        if not self.haproxy.up:
            return Answer(None, 0.0, "door")
        container = self.engine.containers.get(self.name(slot))
        if not container or not container.runs:
            return Answer(503, 0.0, "nobody")
        answer = self.behaviour.get(slot, lambda _: Answer(200, 0.01))(path)
        if answer.trouble == "hangs":
            self.clock.sleep(seconds)
        names = self.haproxy.maps[f"{self.haproxy.folder}/releases.map"]
        return answer if answer.trouble else replace(answer, slot=slot, release=names[slot])

    def fetch(self, base: str, path: str, seconds: float, method: str, headers: Mapping[str, str]) -> Reply:
        """One whole reply through a slot's door."""
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
        name = self.settings.container(SHIFT)
        if self.lives() and self.watching != run:
            raise RefusedError(f"The container name {name} is already in use.")
        self.engine.containers[name] = Container(name, "running", "sha256:pilot")
        self.watching, self.rehearses = run, rehearse
        self._watches()
        return follow(self.host, run)

    def lives(self) -> bool:
        """Whether the shift's container runs, or the engine will start it again."""
        container = self.engine.containers.get(self.settings.container(SHIFT))
        return self.watching is not None and container is not None and container.runs

    def goes_on(self) -> None:
        """Let the shift's container have its turn, started again by the engine if it was killed, until it waits."""
        if self.lives() and not self.engine.down:
            with suppress(PilotError):
                self._watches()

    def _watches(self) -> None:
        self.clock.park = self._waits
        try:
            shift(self.host, self.watching or "", self.rehearses)
        except Parked:
            pass
        finally:
            self.clock.park = lambda: False

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
        return begin(self.host, Wish(run, owner, verb, **words), parse_spec(spec or self.spec()))

    def bench(self, run: str, **given: str) -> Bench:
        """The slot of `run` as gates see it; `given` are their variables without EDUHUB_."""
        state = self.store.state()
        assert state.rollout
        record = self.store.record(state.rollout.release)
        judged_by = criteria({f"EDUHUB_{name}": value for name, value in given.items()}, record.spec)
        blue = self.host.known(state.live.release) if state.live else None
        live = self.engine.containers.get(self.name(other(state.rollout.slot)))
        runs = bool(live and live.runs)
        return Bench(self.host, state.rollout, record, blue, judged_by, self.host.heart(run).beat, runs)

    def steps(self, run: str) -> list[Callable[[], Outcome]]:
        """The commands that follow `begin`."""
        return [lambda: prove(self.host, run), lambda: self.shift(run), lambda: confirm(self.host, run),
                lambda: end(self.host, run)]  # fmt: skip

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
                revert(self.host, run, error.say)
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
            self._serves(slot_of(self.store.share()), {state.live.release, *rolling})
            if self.haproxy.up:
                self._serves(slot_of(self.haproxy.share), {state.live.release, *filter(None, state.slots.values())})
                # Traffic is on what nobody confirmed only while somebody keeps watch, who will undo it.
                assert self.haproxy.share == self.store.share() or self.lives()

    def _serves(self, slot: Slot, releases: set[str]) -> None:
        container = self.engine.containers.get(self.name(slot))
        assert container is not None, f"{slot} gets traffic and has no container"
        assert container.runs
        assert container.release in releases


def at(world: World, seconds: float, happen: Callable[[], object]) -> None:
    """Let something happen once the clock has passed `seconds` from now."""
    due, sleep = world.clock.passed + seconds, world.clock.sleep

    def passing(pause: float) -> None:
        sleep(pause)
        if world.clock.passed >= due:
            world.clock.sleep = sleep
            happen()

    world.clock.sleep = passing


def given_back(world: World) -> bool:
    """Whether blue serves as if nothing had happened."""
    world.check()
    slots = set(world.engine.containers) - {"eduhub-edge", "eduhub-shift"}
    return (world.haproxy.up and world.haproxy.share, world.store.lock(), slots) == (0, None, {"eduhub-blue"})
