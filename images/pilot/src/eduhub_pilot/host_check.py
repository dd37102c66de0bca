"""Looks at a host before anything is on it, and prints what would stop a deployment: every finding at once.

Ansible copies this one file to the host and runs it, so it needs nothing but Python 3.9 and the standard library.
Its argument is the JSON of `Wanted`. It prints one JSON object and exits with its `code`, 0 or 2; it changes nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OLDEST_ENGINE = (20, 10)
LISTENS = "0A"  # TCP_LISTEN in /proc/net/tcp
# Beyond this a release's id and the journal of two hosts tell a wrong order, and tokens end too early or too late.
CLOCK_SECONDS = 60
SCHEDULES = (
    "/etc/crontab", "/etc/cron.d/*", "/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*",
    "/etc/cron.monthly/*", "/var/spool/cron/crontabs/*", "/etc/systemd/system/*.service",
)  # fmt: skip
# What takes images that no container uses just now, or volumes with content; not what takes only untagged images.
PRUNES = re.compile(
    r"docker\s+(?:system|image)\s+prune\b[^;&|\n]*?\s(?:--all|-[a-z]*a[a-z]*)\b"
    r"|docker\s+system\s+prune\b[^;&|\n]*?\s--volumes\b|docker\s+volume\s+prune\b"
)
# Left by an engine that was killed, these keep the next one from starting.
PID_FILES = {"/var/run/docker.pid": "dockerd", "/var/run/docker/containerd/containerd.pid": "containerd"}


@dataclass(frozen=True)
class Finding:
    """Something that stops a deployment, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}."


@dataclass(frozen=True)
class Port:
    """A TCP port that the stack will listen on, and the variable that names it."""

    variable: str
    address: str
    port: int


@dataclass(frozen=True)
class Wanted:
    """What the stack needs. Sizes are in MB; `disk_mb` says how much below each path, `next_disk_mb` how much below
    each once it is deployed, for one release more; `now`: the controller's clock, in seconds since 1970.
    """

    stack: str
    ports: list[Port]
    disk_mb: dict[str, int]
    memory_mb: int
    engine_required: bool
    next_disk_mb: int = 0
    now: float | None = None


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket. `holder` says whose it is, as far as that can be seen; `ours`: the stack's own."""

    address: str
    port: int
    inode: int = 0
    holder: str = "a program"
    ours: bool = False


@dataclass(frozen=True)
class Room:
    """A file system: the paths on it that need room, what is free and what they need together, in MB."""

    paths: list[str]
    free_mb: int
    needed_mb: int


@dataclass(frozen=True)
class Prune:
    """A scheduled command that empties the engine: where it stands, and its text."""

    path: str
    line: int
    command: str


@dataclass(frozen=True)
class Host:
    """What was seen. `engine`: the version of the Docker Engine that answers, None when none does; `ahead_seconds`: how
    far the clock is before the controller's.
    """

    root: bool = True
    distribution: str = ""
    installable: bool = True
    engine: str | None = None
    deployed: bool = False
    foreign_addresses: frozenset[str] = frozenset()
    listeners: list[Listener] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)
    memory_mb: int = 1 << 20
    ahead_seconds: float = 0
    prunes: list[Prune] = field(default_factory=list)


def findings(host: Host, wanted: Wanted) -> list[Finding]:
    """Return everything that stops `wanted` on `host`, in the order in which it would be met."""
    return [
        *about_root(host),
        *about_engine(host, wanted),
        *about_ports(host, wanted.ports),
        *about_disk(host.rooms),
        # What runs already has its memory; the pilot knows what the next release needs.
        *(() if host.deployed else about_memory(host.memory_mb, wanted.memory_mb)),
        *about_clock(host.ahead_seconds),
        *about_prunes(host.prunes),
    ]


def about_root(host: Host) -> Iterator[Finding]:
    if not host.root:
        yield Finding("This is not root", "type the command as root, or set ansible_become: true in the inventory")


def about_engine(host: Host, wanted: Wanted) -> Iterator[Finding]:
    if host.engine is None and not host.installable:
        here = host.distribution or "this distribution"
        yield Finding(f"No Docker Engine answers, and {here} has no docker.io", "install Docker Engine 20.10 or newer")
    elif host.engine is None and wanted.engine_required:
        yield Finding("No Docker Engine answers", "./invoke deploy installs and starts it")
    elif host.engine and version(host.engine) < OLDEST_ENGINE:
        yield Finding(f"The Docker Engine is {host.engine}", "upgrade it to 20.10 or newer")


def about_ports(host: Host, ports: Iterable[Port]) -> Iterator[Finding]:
    seen: list[Port] = []
    for port in ports:
        another = f"set {port.variable} to another port"
        if port.address in host.foreign_addresses:
            yield Finding(f"{port.address} is no address of this host", "set edge_address to one that is")
        if twin := next((other for other in seen if overlap(port, other)), None):
            yield Finding(f"{port.variable} and {twin.variable} are both {port.port}", another)
        elif taken := next((each for each in host.listeners if overlap(port, each) and not each.ours), None):
            yield Finding(f"Port {port.port} is taken by {taken.holder}", f"stop that, or {another}")
        seen.append(port)


def about_disk(rooms: Iterable[Room]) -> Iterator[Finding]:
    for room in rooms:
        if room.free_mb < room.needed_mb:
            yield Finding(
                f"{' and '.join(room.paths)} need {room.needed_mb} MB and have {room.free_mb} MB free",
                "free some space, or mount a larger disk",
            )


def about_memory(available_mb: int, needed_mb: int) -> Iterator[Finding]:
    if available_mb < needed_mb:
        yield Finding(
            f"{available_mb} MB of memory are available, {needed_mb} MB needed", "stop something, or add memory"
        )


def about_clock(ahead: float) -> Iterator[Finding]:
    if abs(ahead) > CLOCK_SECONDS:
        which = "ahead of" if ahead > 0 else "behind"
        yield Finding(
            f"The clock is {abs(ahead):.0f} s {which} that of the machine you type on",
            "set whichever is wrong, with timedatectl set-ntp true",
        )


def about_prunes(prunes: Iterable[Prune]) -> Iterator[Finding]:
    for each in prunes:
        yield Finding(
            f"{each.path}:{each.line} runs `{each.command}`, which can remove the release to go back to",
            "leave out --all, --volumes and volume prune, or end the job",
        )


def overlap(one: Port | Listener, other: Port | Listener) -> bool:
    """Whether two sockets cannot both listen: same port, and same address or one of them any address."""
    wild = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return one.port == other.port and (one.address == other.address or bool(wild & {one.address, other.address}))


def version(text: str) -> tuple[int, ...]:
    """Return (20, 10) for "20.10.24+dfsg1"; () when there is no number."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def listeners(table: str) -> list[Listener]:
    """Return the listening sockets in the text of /proc/net/tcp or tcp6."""
    rows = (line.split() for line in table.splitlines()[1:])
    return [
        Listener(address(row[1].split(":")[0]), int(row[1].split(":")[1], 16), int(row[9]))
        for row in rows
        if row[3] == LISTENS
    ]


def address(words: str) -> str:
    """Return the address that the kernel writes as little-endian 32-bit words in hexadecimal."""
    packed = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
    text = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
    return text.removeprefix("::ffff:")


def installable(os_release: str) -> tuple[str, bool]:
    """Return the distribution's name, and whether Debian's docker.io can be installed on it."""
    pairs = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    said = {name: value.strip("\"'") for name, value in pairs.items()}
    names = {said.get("ID", ""), *said.get("ID_LIKE", "").split()}
    return said.get("PRETTY_NAME", ""), "debian" in names


# ---- From here on: looking


def run(*words: str) -> str | None:
    """Return what a program printed; None when it is missing, fails or does not answer within 10 s."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def read(path: str | Path) -> str:
    """Return a file's text, nothing for one that cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def look(wanted: Wanted) -> Host:
    """Return what this host is like."""
    name, can_install = installable(read("/etc/os-release"))
    available = re.search(r"MemAvailable:\s+(\d+)", read("/proc/meminfo"))
    deployed = Path("/var/lib", wanted.stack, "release.json").exists()
    return Host(
        root=os.geteuid() == 0,
        distribution=name,
        installable=can_install and shutil.which("apt-get") is not None,
        engine=run("docker", "version", "--format", "{{.Server.Version}}") or None,
        deployed=deployed,
        foreign_addresses=frozenset(port.address for port in wanted.ports if not bindable(port.address)),
        listeners=list(held(wanted)),
        rooms=list(rooms(dict.fromkeys(wanted.disk_mb, wanted.next_disk_mb) if deployed else wanted.disk_mb)),
        memory_mb=int(available[1]) // 1024 if available else 1 << 20,
        ahead_seconds=time.time() - wanted.now if wanted.now is not None else 0,
        prunes=list(scheduled(SCHEDULES)),
    )


def scheduled(places: Iterable[str], root: Path = Path("/")) -> Iterator[Prune]:
    """Yield the scheduled commands that prune the engine; cron's own comments are none."""
    for place in places:
        for path in sorted(root.glob(place.lstrip("/"))):
            for number, line in enumerate(read(path).splitlines(), 1):
                if (match := PRUNES.search(line)) and not line.lstrip().startswith("#"):
                    yield Prune(f"/{path.relative_to(root)}", number, match[0])


def bindable(address: str) -> bool:
    """Whether a socket of this host may listen on `address`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def held(wanted: Wanted) -> Iterator[Listener]:
    """Yield whoever listens where the stack wants to, with its holder."""
    table = [*listeners(read("/proc/net/tcp")), *listeners(read("/proc/net/tcp6"))]
    taken = [each for each in table if any(overlap(each, port) for port in wanted.ports)]
    label = f"label=org.eduhub.stack={wanted.stack}"
    mains = main_pids(label) if taken else set()
    pids = holders({each.inode for each in taken}) if taken else {}
    for each in taken:
        published = ["docker", "ps", "--format", "{{.Names}}", "--filter", f"publish={each.port}"]
        pid = pids.get(each.inode)
        ours = bool(pid and mains & set(ancestors(pid))) or bool(run(*published, "--filter", label))
        yield Listener(each.address, each.port, each.inode, who(pid, run(*published)), ours)


def main_pids(label: str) -> set[int]:
    """Return the first process of each running container with `label`."""
    ids = (run("docker", "ps", "--quiet", "--filter", label) or "").split()
    said = run("docker", "inspect", "--format", "{{.State.Pid}}", *ids) if ids else ""
    return {int(pid) for pid in (said or "").split()}


def holders(inodes: set[int]) -> dict[int, int]:
    """Return the pid that holds each socket, as far as this user may see."""
    found = {}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
        except OSError:
            continue
        if match and int(match[1]) in inodes:
            found[int(match[1])] = int(link.parts[2])
    return found


def ancestors(pid: int) -> Iterator[int]:
    """Yield a process, its parent, and so on up."""
    while pid:
        yield pid
        after_name = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        pid = int(after_name[1]) if after_name else 0


def who(pid: int | None, container: str | None) -> str:
    """Return words for a port's holder: its container where it has one, else its program and pid."""
    if container:
        return f"the container {container.splitlines()[0]}"
    if pid is None:
        return "a program that cannot be seen from here"
    name, program = read(f"/proc/{pid}/comm").strip(), Path(f"/proc/{pid}/exe").resolve().name
    return f"{name}, pid {pid}" if program.startswith(name) else f"{name} ({program}), pid {pid}"


def rooms(disk_mb: dict[str, int]) -> Iterator[Room]:
    """Yield the file systems that paths, or what there is of them, lie on."""
    devices: dict[int, list[str]] = {}
    for path in disk_mb:
        devices.setdefault(existing(path).stat().st_dev, []).append(path)
    for paths in devices.values():
        space = os.statvfs(existing(paths[0]))
        yield Room(paths, space.f_bavail * space.f_frsize // 1_000_000, sum(disk_mb[path] for path in paths))


def existing(path: str) -> Path:
    """Return `path`, or the nearest directory above it that there is."""
    return next(each for each in (Path(path), *Path(path).parents) if each.exists())


def stale() -> list[str]:
    """Return the pid files whose process is gone or is another program by now."""
    there = {path: read(path).strip() for path in PID_FILES if Path(path).exists()}
    return [path for path, pid in there.items() if read(f"/proc/{pid}/comm").strip() != PID_FILES[path]]


def answer(host: Host, wanted: Wanted) -> dict[str, Any]:
    """Return what is printed: the findings, and what the role that asks has to know of the host."""
    found = findings(host, wanted)
    engine = f"Docker Engine {host.engine}" if host.engine else "no Docker Engine yet"
    return {
        "code": 2 if found else 0,
        "say": " ".join(map(str, found)) or f"{host.distribution}, {engine}.",
        "changed": False,
        "findings": [asdict(finding) for finding in found],
        "engine": host.engine,
        "deployed": host.deployed,
        "systemd": Path("/run/systemd/system").is_dir(),
        "requests": importlib.util.find_spec("requests") is not None,
        "stale": stale(),
    }


def main(argument: str) -> int:
    """Look, print, and return the exit code."""
    given = json.loads(argument)
    wanted = Wanted(**{**given, "ports": [Port(**port) for port in given["ports"]]})
    said = answer(look(wanted), wanted)
    print(json.dumps(said))
    return int(said["code"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
