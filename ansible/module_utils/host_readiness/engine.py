"""The Docker Engine of a host, as it answers and, while it does not, as its files tell. Reads only."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .model import Engine, Network, Stray
from .programs import read, run

CONFIGURATION = "/etc/docker/daemon.json"
ROOT, CONTAINERD_ROOT, CONTAINERD_SOCKET = "/var/lib/docker", "/var/lib/containerd", "/run/containerd/containerd.sock"
# Beginnings of `SecurityOptions` in `docker info`, and what each says of the engine.
MODES = {"name=userns": "userns", "name=rootless": "rootless"}
# What the engine mounts into a container of its own record of it.
CONTAINER = re.compile(r"(?P<root>/.+)/(?P<path>containers/[0-9a-f]{64})/")
# How long a busy engine may take for its answer before it counts as none: it is asked nothing more then.
SLOW_SECONDS = 60
MTU = "com.docker.network.driver.mtu"


def engine() -> Engine:
    """Return what is known of the host's engine; without one that answers, what its configuration says."""
    info = parsed(run("docker", "info", "--format", "{{json .}}", seconds=SLOW_SECONDS))
    seen = answering(info) if info.get("ServerVersion") else configured(parsed(read(CONFIGURATION)))
    return seen if not (shutil.which("docker") or "").startswith("/snap/") else seen.also("snap")


def answering(info: Mapping[str, Any]) -> Engine:
    """Return the engine that gave `info`, the document of `docker info`."""
    root = info.get("DockerRootDir") or ROOT
    options = info.get("SecurityOptions") or []
    modes = {MODES[option.split(",")[0]] for option in options if option.split(",")[0] in MODES}
    return Engine(
        version=info["ServerVersion"],
        root=root,
        # With containerd's image store (the default from engine 29 on) the data-root holds no images.
        store=containerd_root(info, root) if containerd_store(info) else root,
        live_restore=bool(info.get("LiveRestoreEnabled", True)),
        modes=frozenset(modes | ({"snap"} if root.startswith("/var/snap/") else set())),
        driver=info.get("Driver") or "",
        containerd=containerd_store(info),
    )


def configured(configuration: Mapping[str, Any]) -> Engine:
    """Return the engine that would start with `configuration`, the document of daemon.json."""
    root = configuration.get("data-root") or configuration.get("graph") or ROOT
    remapped = {"userns"} if configuration.get("userns-remap") else set()
    return Engine(version=None, root=root, store=root, modes=frozenset(remapped))


def containerd_store(info: Mapping[str, Any]) -> bool:
    """Whether the engine keeps its images in containerd."""
    status = {pair[0]: pair[1] for pair in info.get("DriverStatus") or [] if len(pair) == 2}
    return str(status.get("driver-type", "")).startswith("io.containerd.snapshotter")


def containerd_root(info: Mapping[str, Any], root: str) -> str:
    """Return where containerd keeps images: the system's one, or one that the engine runs itself."""
    address = (info.get("Containerd") or {}).get("Address") or CONTAINERD_SOCKET
    if not address.removeprefix("/var").startswith("/run/containerd/"):
        return f"{root}/containerd/daemon"
    named = re.search(r"^root\s*=\s*[\"'](.+)[\"']", read("/etc/containerd/config.toml"), re.MULTILINE)
    return named[1] if named else CONTAINERD_ROOT


def network(name: str) -> Network | None:
    """Return the engine's network `name`, None where there is none."""
    found = parsed(run("docker", "network", "inspect", "--format", "{{json .}}", name)) if name else {}
    return described(found) if found else None


def plone(stack: str) -> tuple[str | None, str | None]:
    """Return the Python of our Plone, as "3.11", and its version, by the labels of its image; None without them.

    While another container takes over from it, those of the one that runs.
    """
    labels = "org.eduhub.python", "org.opencontainers.image.version"
    form = "{{.State.Running}}" + "".join(f'|{{{{index .Config.Labels "{each}"}}}}' for each in labels)
    seen = [run("docker", "inspect", "--format", form, f"{stack}-{name}") or "" for name in ("plone", "plone-standby")]
    found = sorted((line.strip().split("|") for line in seen if "|" in line), key=lambda fields: fields[0] != "true")
    _, python, version = found[0] if found else ("", "", "")
    return ".".join(python.split(".")[:2]) or None, version or None


def described(found: Mapping[str, Any]) -> Network:
    """Return the network whose document of `docker network inspect` is `found`."""
    options = found.get("Options") or {}
    pools = (found.get("IPAM") or {}).get("Config") or []
    return Network(
        subnets=tuple(pool["Subnet"] for pool in pools if pool.get("Subnet")),
        mtu=int(options.get(MTU, 0)),
        interface=options.get("com.docker.network.bridge.name") or f"br-{found['Id'][:12]}",
    )


def recorded_pids(root: str, stack: str) -> Iterator[int]:
    """Yield the first processes of the stack's containers that run on without their engine, from its own records.

    A record outlives its process; one whose number another process has by now is not in the container's cgroup.
    """
    for path in Path(root, "containers").glob("*/config.v2.json"):
        record = parsed(read(path))
        labels = (record.get("Config") or {}).get("Labels") or {}
        pid = (record.get("State") or {}).get("Pid") or 0
        if labels.get("org.eduhub.stack") == stack and path.parent.name in read(f"/proc/{pid}/cgroup"):
            yield pid


def stray(bundle: Path, stack: str, now: Engine) -> Stray | None:
    """Return the container of the stack with the OCI bundle `bundle`; None for any other, and for one of `now`.

    The bundle is the work of the engine that started the container, and says from where that mounts its files.
    `now` is the engine that is there. It passes over the records of containers of another driver than its own, as they
    are after its image store was changed.
    """
    mounts = parsed(read(bundle / "config.json")).get("mounts") or []
    sources = [str(mount.get("source")) for mount in mounts if isinstance(mount, dict)]
    own = any(source.startswith((f"/etc/{stack}/", f"/var/lib/{stack}/")) for source in sources)
    container = next(filter(None, map(CONTAINER.match, sources)), None)
    if not own or container is None:
        return None
    record = Path(now.root, container["path"])
    if not record.is_dir():
        return Stray(container["root"], now.root, Path(container["root"], container["path"]).is_dir())
    driver = parsed(read(record / "config.v2.json")).get("Driver") or ""
    if not driver or not now.driver or driver == now.driver:
        return None
    return Stray(container["root"], now.root, True, driver, now.containerd)


def parsed(text: str | None) -> dict[str, Any]:
    """Return a JSON object's fields, none for anything else."""
    try:
        document = json.loads(text or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
