"""Who listens on a host's TCP ports: from the kernel's tables to containers and processes."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from glob import iglob
from pathlib import Path

from .engine import recorded_pids, stray
from .findings import overlap
from .model import Engine, Listener, Requirements, Stray
from .programs import read, run

ESTABLISHED, LISTENS = "01", "0A"  # TCP_ESTABLISHED and TCP_LISTEN in /proc/net/tcp


def listeners(table: str) -> list[Listener]:
    """Return the listening sockets in the text of /proc/net/tcp or tcp6."""
    rows = (line.split() for line in table.splitlines()[1:])
    return [
        Listener(address(row[1].split(":")[0]), int(row[1].split(":")[1], 16), int(row[9]))
        for row in rows
        if row[3] == LISTENS
    ]


def peers(table: str) -> list[str]:
    """Return the other ends of the established connections in the text of /proc/net/tcp or tcp6, each once."""
    rows = (line.split() for line in table.splitlines()[1:])
    return list(dict.fromkeys(address(row[2].split(":")[0]) for row in rows if row[3] == ESTABLISHED))


def address(words: str) -> str:
    """Return the address that the kernel writes as little-endian 32-bit words in hexadecimal."""
    packed = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
    text = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
    return text.removeprefix("::ffff:")


def bindable(address: str) -> bool:
    """Whether a socket of this host may listen on `address`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def taken(required: Requirements, engine: Engine) -> Iterator[Listener]:
    """Yield the listeners on the ports that the stack requires, with their holders.

    Containers run on without an engine (live-restore): the stack's own are known then, too.
    """
    table = [*listeners(read("/proc/net/tcp")), *listeners(read("/proc/net/tcp6"))]
    found = [each for each in table if any(overlap(each, port) for port in required.ports)]
    label = f"label=org.eduhub.stack={required.stack}"
    mains: set[int] = set()
    if found:
        mains = main_pids(label) if engine.version else set(recorded_pids(engine.root, required.stack))
    pids = holders({each.inode for each in found}) if found else {}
    for each in found:
        published = ["docker", "ps", "--format", "{{.Names}}", "--filter", f"publish={each.port}"]
        pid = pids.get(each.inode)
        own = bool(pid and mains & set(ancestors(pid))) or bool(run(*published, "--filter", label))
        lost = None if own or pid is None else unknown(pid, required.stack, engine)
        yield Listener(each.address, each.port, each.inode, holder_name(pid, run(*published)), own, lost)


def main_pids(label: str) -> set[int]:
    """Return the first process of each running container with `label`."""
    ids = (run("docker", "ps", "--quiet", "--filter", label) or "").split()
    printed = run("docker", "inspect", "--format", "{{.State.Pid}}", *ids) if ids else ""
    return {int(pid) for pid in (printed or "").split()}


def holders(inodes: set[int]) -> dict[int, int]:
    """Return the pid that holds each socket, as far as this user may see."""
    found = {}
    # Processes end while they are looked at: iglob passes over those, Path.glob raises.
    for link in iglob("/proc/[0-9]*/fd/*"):  # noqa: PTH207
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))  # noqa: PTH115
        except OSError:
            continue
        if match and int(match[1]) in inodes:
            found[int(match[1])] = int(link.split("/")[2])
    return found


def ancestors(pid: int) -> Iterator[int]:
    """Yield a process, its parent, and so on up."""
    while pid:
        yield pid
        after_name = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        pid = int(after_name[1]) if after_name else 0


def unknown(pid: int, stack: str, engine: Engine) -> Stray | None:
    """Return the stack's container that holds the process `pid` while the `engine` does not know it.

    The working directory of a container's shim, the parent of its first process, is its OCI bundle.
    """
    bundles = (Path("/proc", str(each), "cwd") for each in ancestors(pid))
    return next(filter(None, (stray(bundle, stack, engine) for bundle in bundles)), None)


def holder_name(pid: int | None, container: str | None) -> str:
    """Return a port's holder in words: its container where it has one, else its program and pid."""
    if container:
        return f"the container {container.splitlines()[0]}"
    if pid is None:
        return "a program that this user cannot see"
    name, program = read(f"/proc/{pid}/comm").strip(), Path(f"/proc/{pid}/exe").resolve().name
    return f"{name}, pid {pid}" if program.startswith(name) else f"{name} ({program}), pid {pid}"
