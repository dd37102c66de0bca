"""What of a host is compared before and after its packages are updated."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host

POLL_SECONDS = 1.0
# What comes and goes beside the containers that serve: pilots, their programs, and copies of backups.
PASSING = frozenset({"pilot", "work", "look", "copy"})
NAMES = {"kernel": "kernel", "engine": "Docker Engine", "haproxy": "HAProxy"}


def versions(host: Host) -> dict[str, str]:
    """Return the versions that run: of the kernel, the engine and HAProxy. EngineDownError, ProxyDownError."""
    return {
        "kernel": platform.release(),
        "engine": host.engine.version(),
        "haproxy": host.proxy.version(TIMEOUT_SECONDS),
    }


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Yield each version in words: old and new where they differ."""
    for name, label in NAMES.items():
        old, new = before[name], after[name]
        yield f"{label} {old}" if old == new else f"{label} {old} -> {new}"


def containers(host: Host) -> list[str]:
    """Return the names of the stack's containers that run, those that only do some work excluded. EngineDownError."""
    found = host.engine.containers_of(host.settings.stack)
    ending = f"{host.settings.container('edge')}-ending-"  # serves its last connections and is gone then
    return [
        each.name
        for each in found
        if each.runs and each.labels.get("org.eduhub.role") not in PASSING and not each.name.startswith(ending)
    ]


def wait_for(host: Host, names: Sequence[str], seconds: float) -> dict[str, str]:
    """Wait `seconds` at most until all of these containers run and are healthy; return those that are not, and why."""
    deadline = host.clock.monotonic() + seconds
    while (late := dict(_late(host, names))) and host.clock.monotonic() < deadline:
        host.clock.sleep(POLL_SECONDS)
    return late


def _late(host: Host, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        found = host.engine.container(name)
        if found is None or not found.runs:
            yield name, found.state if found else "absent"
        elif found.health not in {None, "healthy"}:
            yield name, found.health or ""
