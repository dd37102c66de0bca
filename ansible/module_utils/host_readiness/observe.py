"""Observes a host before anything is deployed on it. Reads only."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import containers, directories, identities
from .certificates import certificate
from .engine import CONFIGURATION, engine, network, parsed, plone
from .findings import installable
from .firewall import firewall
from .installed import installed
from .model import NAME_SERVER, Calendar, FileSystem, Host, Installed, Prune, Requirements
from .programs import read, run
from .routes import routes, way_out_mtu
from .sockets import bindable, peers, taken
from .subnets import bip, pools
from .upstream import Answer, Upstream, asked, wrong_address

SCHEDULES = (
    "/etc/crontab", "/etc/cron.d/*", "/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*",
    "/etc/cron.monthly/*", "/var/spool/cron/crontabs/*", "/etc/systemd/system/*.service",
)  # fmt: skip
# Removes images that no running container uses, or volumes; a prune of untagged images alone is harmless.
PRUNES = re.compile(
    r"docker\s+(?:system|image)\s+prune\b[^;&|\n]*?\s(?:--all|-[a-z]*a[a-z]*)\b"
    r"|docker\s+system\s+prune\b[^;&|\n]*?\s--volumes\b|docker\s+volume\s+prune\b"
)
# Left by an engine that was killed, these keep the next one from starting.
PID_FILES = {"/var/run/docker.pid": "dockerd", "/var/run/docker/containerd/containerd.pid": "containerd"}


def observe(required: Requirements) -> Host:
    """Return what this host is like, as far as `required` asks."""
    name, can_install = installable(read("/etc/os-release"))
    available = re.search(r"MemAvailable:\s+(\d+)", read("/proc/meminfo"))
    state = Path("/var/lib", required.stack, "release.json")
    deployed = state.exists()
    seen = engine()
    first = {seen.store: required.engine_disk_mb, **required.disk_mb}
    needed = dict.fromkeys(first, required.next_disk_mb) if deployed else first
    plone_python, plone_version = plone(required.stack) if seen.version else (None, None)
    daemon = parsed(read(CONFIGURATION))
    ways = list(routes(read("/proc/net/route")))
    own = network(required.network) if seen.version else None
    return Host(
        root=os.geteuid() == 0,
        distribution=name,
        installable=can_install and shutil.which("apt-get") is not None,
        engine=seen.version,
        installed=Installed() if seen.version else installed(under_systemd()),
        engine_modes=seen.modes,
        live_restore=seen.live_restore,
        network=own,
        routes=ways,
        way_out_mtu=way_out_mtu(ways),
        firewall=firewall(own, daemon.get("iptables") is not False),
        bip=bip(daemon),
        pools=pools(daemon),
        partners=list(partners(required.plone)),
        deployed=deployed,
        foreign_directories=list(directories.foreign(required.stack)),
        foreign_containers=list(containers.foreign(required.stack)) if seen.version else [],
        foreign_renewal=directories.certificate(required.stack) if required.acme else "",
        lacking_python=sys.executable if lacks_requests(can_install, sys.path) else "",
        identities=list(identities.names()),
        python=live_python(read(state)),
        plone_python=plone_python,
        plone_version=plone_version,
        foreign_addresses=frozenset(port.address for port in required.ports if not bindable(port.address)),
        listeners=list(taken(required, seen)),
        file_systems=list(file_systems(needed)),
        memory_mb=int(available[1]) // 1024 if available else 1 << 20,
        clock_offset=time.time() - required.controller_time if required.controller_time is not None else 0,
        prunes=list(scheduled(SCHEDULES)),
        certificates=[certificate(files) for files in required.certificates],
        acme_key_readable=not (required.acme and required.acme.key_file) or bool(read(required.acme.key_file).strip()),
        now=time.time(),
        plone=answered(required.plone),
        systemd=under_systemd(),
        unknown_events=frozenset(each.event for each in required.calendars if under_systemd() and not known(each)),
    )


def under_systemd() -> bool:
    """Whether systemd runs this host."""
    return Path("/run/systemd/system").is_dir()


def known(calendar: Calendar) -> bool:
    """Whether systemd understands a calendar event."""
    return run("systemd-analyze", "calendar", "--", calendar.event) is not None


def live_python(state: str) -> str | None:
    """Return the Python that the live release's id names, as "3.11"; None where there is none, or a foreign image."""
    try:
        named = re.search(r"-py(\d+\.\d+)-", str(json.loads(state)["live"]["release"]))
    except (ValueError, KeyError, TypeError):
        return None
    return named[1] if named else None


def answered(plone: Upstream | None) -> Answer | None:
    """Return what the institution's own Plone answers; None where its address or authority cannot be used."""
    if plone is None or wrong_address(plone.url):
        return None
    try:
        return asked(plone)
    except (ssl.SSLError, ValueError):
        return None


def partners(plone: Upstream | None) -> Iterator[tuple[str, str]]:
    """Yield the addresses of IPv4 that the host talks to: of connections, name servers and the institution's Plone."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        yield from ((peer, "a connection") for peer in peers(read(table)) if is_ipv4(peer))
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        servers = re.findall(r"^nameserver\s+(\S+)", read(path), re.MULTILINE)
        yield from ((server, NAME_SERVER) for server in servers if is_ipv4(server))
    name = urlsplit(plone.url).hostname if plone and not wrong_address(plone.url) else None
    with suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM) if name else []
        yield from ((str(each[4][0]), "Plone's") for each in found)


def is_ipv4(text: str) -> bool:
    """Whether `text` is an address of IPv4, and none of the host's own loopback."""
    return re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text) is not None and not text.startswith("127.")


def scheduled(places: Iterable[str], root: Path = Path("/")) -> Iterator[Prune]:
    """Yield the scheduled commands that prune the engine; commented lines are none."""
    for place in places:
        for path in sorted(root.glob(place.lstrip("/"))):
            for number, line in enumerate(read(path).splitlines(), 1):
                if (match := PRUNES.search(line)) and not line.lstrip().startswith("#"):
                    yield Prune(f"/{path.relative_to(root)}", number, match[0])


def file_systems(disk_mb: dict[str, int]) -> Iterator[FileSystem]:
    """Yield the file systems of the paths; a missing path counts for its nearest existing parent."""
    devices: dict[int, list[str]] = {}
    for path in disk_mb:
        devices.setdefault(existing(path).stat().st_dev, []).append(path)
    for paths in devices.values():
        space = os.statvfs(existing(paths[0]))
        # A file system that makes inodes as it needs them (btrfs) has none to count.
        inodes = space.f_favail if space.f_files else None
        free_mb, needed_mb = space.f_bavail * space.f_frsize // 1_000_000, sum(disk_mb[path] for path in paths)
        yield FileSystem(paths, free_mb, needed_mb, inodes)


def existing(path: str) -> Path:
    """Return `path`, or its nearest existing parent."""
    return next(each for each in (Path(path), *Path(path).parents) if each.exists())


def lacks_requests(installable: bool, path: Iterable[str]) -> bool:
    """Whether requests is missing, and Debian's package would not bring it to the Python that searches `path`."""
    reached = installable and "/usr/lib/python3/dist-packages" in path
    return importlib.util.find_spec("requests") is None and not reached


def stale_pid_files() -> list[str]:
    """Return the engine's pid files whose process has ended, or is another program, or another container's engine."""
    there = {path: read(path).strip() for path in PID_FILES if Path(path).exists()}
    return [path for path, pid in there.items() if not ours(pid, PID_FILES[path])]


def ours(pid: str, program: str) -> bool:
    """Whether the process `pid` is `program`, on this host itself and not in a container that runs an engine too."""
    same = read(f"/proc/{pid}/comm").strip() == program
    return same and namespace(pid) == namespace("self")


def namespace(pid: str) -> str | None:
    """Return the pid namespace of a process, None without such a process."""
    try:
        return str(Path("/proc", pid, "ns/pid").readlink())
    except OSError:
        return None


def install_facts() -> dict[str, Any]:
    """Return what the installation of an engine has to know of the host."""
    return {
        "systemd": under_systemd(),
        "python_requests": importlib.util.find_spec("requests") is not None,
        "stale_pid_files": stale_pid_files(),
    }
