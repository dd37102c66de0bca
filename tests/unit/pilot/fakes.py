"""What stands around a pilot, in memory: an HAProxy, an engine, a disk and a clock that do what the real ones do."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from eduhub_pilot.adapters.clock import Clock
from eduhub_pilot.adapters.docker import LINE_CHARACTERS
from eduhub_pilot.adapters.haproxy import Proxy
from eduhub_pilot.adapters.store import Store
from eduhub_pilot.model.errors import EngineDownError, ProxyDownError
from eduhub_pilot.model.facts import SLOTS, Container, Found, Image, Look
from eduhub_pilot.model.program import Program
from eduhub_pilot.model.slot_container import SlotContainer

# Ids of releases, oldest first.
RELEASES = tuple(f"20260101T00000{n}Z-py3.9-0000000{n}" for n in range(3))

IMAGES = {
    "eduhub/bridge:py3.9": Image("sha256:" + "39" * 32, "3.9.2"),
    "eduhub/bridge:py3.11": Image("sha256:" + "11" * 32, "3.11.2"),
}


# What the gate `runtime` is told of an image in which all is well.
CLEAN = {
    "python": "3.11.2", "files": 90, "modules": 80, "packages": 7, "distributions": {"click": "8.1.8"},
    "findings": [], "dropped": 0, "unexamined": [], "unreached": 0, "mounted": 0,
}  # fmt: skip


class Killed(BaseException):
    """kill -9."""


class Parked(BaseException):
    """The test leaves a shift alone for a while, where it waits."""


class FakeClock(Clock):
    """Time that passes only by sleeping. `jumped` are the seconds that somebody set the wall clock ahead, or back.

    `due`: what happens once so much time has passed. `booted`: when the host was, from which monotonic time counts.
    """

    def __init__(self) -> None:
        self.passed = 0.0
        self.jumped = 0.0
        self.booted = 0.0
        self.due: list[tuple[float, Callable[[], object]]] = []
        self.park: Callable[[], bool] = lambda: False

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.passed + self.jumped)

    def monotonic(self) -> float:
        return self.passed - self.booted

    def sleep(self, seconds: float) -> None:
        if self.park():
            raise Parked
        self.passed += seconds
        for event in [each for each in self.due if each[0] <= self.passed]:
            self.due.remove(event)
            event[1]()


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
    ended: int = 0  # requests that are over and not forgotten
    unanswered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    aborts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))  # of them, whose client gave up
    started: float = 0.0

    def start(self) -> None:
        self.pid += 1
        self.back_at, self.started = None, self.clock.passed
        self.maps = {}
        for name in ("traffic.map", "releases.map", "transport.map", "maintenance.map", "drain.map"):
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
    def weight(self) -> int:
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
                built = "Name: HAProxy\nVersion: 2.6.12-1+deb12u1"
                return f"{built}\nPid: {self.pid}\nUptime: 0d 0h00m01s\nStart_time_sec: {epoch}\n\n"
            case ["show", "stat", slot, "6", "-1"]:
                return self._statistics(slot) if slot in SLOTS else "No such proxy.\n\n"
            case ["show", "sess", "all"]:
                pairs = [(slot, number) for slot in SLOTS for number in range(self.sessions[slot])]
                return "".join(self._session(slot, number) for slot, number in pairs) + "\n"
            case ["show", "table", "inflight"]:
                ports = range(sum(self.sessions.values()))
                lines = (f"0x1: key=10.0.0.1:{port}\\ /plone/{port} use=1 exp=7012 conn_cur=1\n" for port in ports)
                over = (f"0x2: key=10.0.0.2:{port}\\ /over use=0 exp=42 conn_cur=0\n" for port in range(self.ended))
                return "# table: inflight, type: string, size:4000, used:1\n" + "".join([*lines, *over]) + "\n"
            case ["shutdown", "sessions", "server", server]:
                slot, _, name = server.partition("/")
                if slot not in SLOTS:
                    return "No such backend.\n\n"
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
            f"0,{counts['2xx']},0,0,{counts['5xx']},{self.aborts[slot]},\n\n"
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
    """An engine with the images of `IMAGES`, which passes the contract of tests/adapters/engine_contract.py.

    What a program in a container does is up to the test: `logs` is what it said, `looks` what a look into it returns,
    and `ends` lets it end.
    """

    before: Callable[[str], None]
    images: dict[str, Image] = field(default_factory=lambda: dict(IMAGES))
    containers: dict[str, Container] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    looks: dict[str, Look] = field(default_factory=dict)
    looked: list[tuple[str, Sequence[str]]] = field(default_factory=list)
    ran: list[SlotContainer] = field(default_factory=list)
    laid: dict[str, tuple[dict[str, str], dict[str, str]]] = field(default_factory=dict)
    lasting: set[str] = field(default_factory=set)
    health: Callable[[], str | None] = lambda: None
    works: Callable[[tuple[str, ...]], Look] = lambda _: Look(0, "")
    worked: list[tuple[tuple[str, ...], dict[str, str], bool]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    runs: Callable[[Program], Look] = lambda _: Look(0, "")
    programs: list[Program] = field(default_factory=list)
    says_version: str = "20.10.24+dfsg1"
    down: bool = False
    made: int = 0

    def _asked(self) -> None:
        if self.down:
            raise EngineDownError("The Docker Engine does not do what it is asked (Connection refused).")

    def _refuse(self, why: str) -> NoReturn:
        raise EngineDownError(f"The Docker Engine does not do what it is asked ({why}).")

    def _made(self, container: Container) -> None:
        self.made += 1
        self.containers[container.name] = replace(container, id=f"{self.made:064x}")

    def _needed(self, image: str) -> Image:
        return self.image(image) or self._refuse(f"No such image: {image}")

    def version(self) -> str:
        self._asked()
        return self.says_version

    def image(self, name: str) -> Image | None:
        self._asked()
        return self.images.get(name) or next((each for each in self.images.values() if each.id == name), None)

    def tags(self, repository: str) -> list[str]:
        self._asked()
        return sorted(name for name in self.images if name.startswith(f"{repository}:"))

    def tag(self, image: str, name: str) -> None:
        self._asked()
        self.before("tag")
        self.images[name] = self._needed(image)

    def untag(self, name: str) -> None:
        self._asked()
        self.before("untag")
        names = [each for each, image in self.images.items() if image == self.images.get(name)]
        if names == [name] and self.images[name].id in {each.image for each in self.containers.values()}:
            self._refuse(f"conflict: unable to remove repository reference {name}: a container uses it")
        self.images.pop(name, None)

    def container(self, name: str, seconds: int = 10) -> Container | None:
        assert seconds > 0
        self._asked()
        return self.containers.get(name)

    def run(self, wanted: SlotContainer) -> None:
        self._asked()
        self.before("run")
        if wanted.name in self.containers:
            self._refuse(f"Conflict. The container name {wanted.name} is already in use")
        image = self._needed(wanted.image).id
        mounts = tuple(sorted(each.target for each in wanted.mounts))
        command = tuple(wanted.command or ())
        self._made(Container(wanted.name, "running", image, wanted.labels, command=command, mounts=mounts))
        self.lasting.discard(wanted.name)
        self.ran.append(wanted)

    def log(self, name: str, lines: int) -> list[str]:
        self._asked()
        return [line[:LINE_CHARACTERS] for line in self.logs.get(name, [])[-lines:]]

    def containers_of(self, stack: str) -> list[Container]:
        self._asked()
        there = [each for each in self.containers.values() if each.labels.get("org.eduhub.stack") == stack]
        return sorted(there, key=lambda each: each.name)

    def lines_with(self, name: str, text: str, seconds: float) -> Found:
        self._asked()
        return Found([line for line in self.logs.get(name, []) if text in line], seconds > 0)

    def remove(self, name: str, stop_seconds: int) -> None:
        assert stop_seconds > 0
        self._asked()
        self.before("remove")
        self.containers.pop(name, None)

    def stop(self, name: str, stop_seconds: int) -> None:
        assert stop_seconds > 0
        self._asked()
        if name in self.containers:
            self.before("stop")
            self.containers[name] = replace(self.containers[name], state="exited", health=None)

    def start(self, name: str) -> None:
        self._asked()
        self.before("start")
        if name not in self.containers:
            self._refuse(f"No such container: {name}")
        self.containers[name] = replace(self.containers[name], state="running", health=self.health())

    def let_end(self, name: str) -> None:
        self._asked()
        if name in self.containers:
            self.before("let_end")
            self.lasting.add(name)

    def let_last(self, name: str) -> None:
        self._asked()
        self.before("let_last")
        if name not in self.containers:
            self._refuse(f"No such container: {name}")
        self.lasting.discard(name)

    def rename(self, name: str, new: str) -> None:
        self._asked()
        self.before("rename")
        if name not in self.containers:
            self._refuse(f"No such container: {name}")
        if new in self.containers:
            self._refuse(f"Conflict. The container name {new} is already in use")
        self.containers[new] = replace(self.containers.pop(name), name=new)
        # Its policy goes with it.
        (self.lasting.add if name in self.lasting else self.lasting.discard)(new)
        self.lasting.discard(name)

    def ends(self, name: str, code: int = 0) -> None:
        """Let the program in a container end: the engine starts it again, unless it was told not to."""
        ended = self.containers[name]
        if name in self.lasting:
            self.containers[name] = replace(ended, state="exited", exit_code=code)
        else:
            self.containers[name] = replace(ended, restarts=ended.restarts + 1)

    def lay(
        self, name: str, image: str, folder: str, files: Mapping[str, str], environment: Mapping[str, str], stack: str
    ) -> None:
        self._asked()
        self.containers.pop(name, None)
        labels = {"org.eduhub.stack": stack, "org.eduhub.role": "look"}
        self._made(Container(name, "created", self._needed(image).id, labels, mounts=(folder,)))
        self.laid[name] = (dict(files), dict(environment))

    def discard(self, name: str) -> None:
        self._asked()
        self.containers.pop(name, None)

    def look(
        self, like: str, command: Sequence[str], memory: str, seconds: float, between: Callable[[], None]
    ) -> Look:
        assert memory
        assert seconds > 0
        self._asked()
        if like not in self.containers:
            raise EngineDownError(f"There is no container {like} to look into.")
        between()
        self.looked.append((like, command))
        version = next((i.python for i in self.images.values() if i.id == self.containers[like].image), None)
        return self.looks.get(like) or Look(0, json.dumps({**CLEAN, "python": version or "3.11.2"}))

    def work(
        self, like: str, command: Sequence[str], folders: Mapping[str, str], writes: bool, between: Callable[[], None],
        part: str = "work",
    ) -> Look:  # fmt: skip
        self._asked()
        if like not in self.containers:
            raise EngineDownError(f"There is no container {like} whose data could be worked on.")
        self.worked.append((tuple(command), dict(folders), writes))
        self.parts.append(part)
        between()
        done = self.works(tuple(command))
        between()
        return done

    def program(self, wanted: Program, seconds: float | None, between: Callable[[], None]) -> Look:
        self._asked()
        assert seconds is None or seconds > 0
        self._needed(wanted.image)
        between()
        self.programs.append(wanted)
        return self.runs(wanted)


class FakeStore(Store):
    """Real files on a disk that may be `full`, or becomes so after `room` more writes."""

    full = False
    room: int | None = None

    def _refuse_if_full(self) -> None:
        if self.room is not None:
            self.full = self.room <= 0
            self.room -= 1
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _temporary(self, path: Path, text: str) -> Path:
        self._refuse_if_full()
        return super()._temporary(path, text)

    def append(self, line: str, mend: Callable[[str], str]) -> None:
        self._refuse_if_full()
        super().append(line, mend)

    def append_sample(self, run: str, line: str, header: str) -> None:
        self._refuse_if_full()
        super().append_sample(run, line, header)
