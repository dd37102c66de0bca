"""The container that runs a release in a slot: what the engine is to make of a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from eduhub_pilot.model.facts import Slot
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.settings import Settings


@dataclass(frozen=True)
class Mount:
    """A `source` on the host (for a volume, its name) that the container has at `target`."""

    source: str
    target: str
    read_only: bool = False
    type: Literal["bind", "volume", "tmpfs"] = "bind"


@dataclass(frozen=True)
class SlotContainer:
    """A container to be made. `command` and `user` are the image's own where they are None.

    `memory` is a size as Docker writes it ("512m"); `published` maps a port of the container to one of the host's
    loopback address; `stop_seconds` pass between SIGTERM and SIGKILL. `hosts`: names and addresses for its /etc/hosts.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    mounts: Sequence[Mount]
    networks: Sequence[str]
    command: Sequence[str] | None = None
    user: str | None = None
    memory: str | None = None
    stop_seconds: int = 30
    read_only: bool = True
    published: tuple[int, int] | None = None
    hosts: Mapping[str, str] = field(default_factory=dict)


def slot_container(
    settings: Settings, slot: Slot, record: Record, hosts: Mapping[str, str] | None = None
) -> SlotContainer:
    """Return the container that runs `record` in `slot`; `hosts` are the names that only the host knows.

    Everything about the release is from its record, so that a rollback starts what was live once; what is the host's
    (directories, ports) is from the settings.
    """
    fields = record.spec.fields
    port = record.spec.port
    return SlotContainer(
        name=settings.container(slot),
        image=record.image_id,
        labels={
            "org.eduhub.stack": settings.stack, "org.eduhub.role": "bridge", "org.eduhub.slot": slot,
            "org.eduhub.release": record.id,
        },
        environment={str(name): str(value) for name, value in (fields.get("environment") or {}).items()},
        mounts=_mounts(settings, slot, fields, shares_socket=not port),
        networks=[str(name) for name in fields.get("networks") or []],
        command=fields.get("command") or None,
        user=fields.get("user") or None,
        memory=fields.get("memory") or None,
        stop_seconds=record.spec.stop_seconds,
        read_only=bool(fields.get("read_only", True)),
        published=(port, settings.published[slot]) if port else None,
        hosts=hosts or {},
    )  # fmt: skip


def _mounts(settings: Settings, slot: Slot, fields: Mapping[str, Any], *, shares_socket: bool) -> list[Mount]:
    # A bridge that only speaks TCP is published on loopback; any other shares a directory with the edge for its socket.
    socket = [Mount(f"{settings.shown}/run/{slot}", "/run/eduhub")] if shares_socket else []
    # The same for both slots: a job that one leaves goes on in the other.
    state = [
        Mount(f"{settings.shown}/bridge", "/var/lib/eduhub-bridge"),
        # Whether the edge takes writes: jobs wait while it takes none.
        Mount(f"{settings.shown}/edge", "/var/lib/eduhub/edge", read_only=True),
        Mount(f"{settings.shown_config}/bridge/state_key", "/run/secrets/bridge_state_key", read_only=True),
    ]
    secrets = [
        Mount(str(source), str(target), read_only=True) for target, source in (fields.get("secrets") or {}).items()
    ]
    given = [
        Mount(str(each.get("source") or ""), str(each["target"]), bool(each.get("read_only")), each.get("type", "bind"))
        for each in fields.get("mounts") or []
    ]
    return [*socket, *state, *secrets, *given]
