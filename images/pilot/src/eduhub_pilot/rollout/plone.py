"""What our Plone runs on, and what it can be rolled back to: read from the engine."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import PilotError
from eduhub_pilot.model.facts import PLONE, PREVIOUS_PLONE, STANDBY_PLONE, Container

PYTHON, VERSION = "org.eduhub.python", "org.opencontainers.image.version"


def plone(host: Host) -> dict[str, Any] | None:
    """Return what `status` says of our Plone; None where there is none. Raises EngineDownError."""
    parts = (host.engine.container(host.settings.container(part)) for part in (PLONE, STANDBY_PLONE, PREVIOUS_PLONE))
    serves, standby, previous = parts
    # In the middle of a takeover the standby serves.
    shown = standby if standby and standby.runs and not (serves and serves.runs) else serves or standby
    if shown is None:
        return None
    why = blocked(shown, previous)
    return {
        "python": python_of(shown), "version": shown.labels.get(VERSION), "image": shown.image, "state": shown.state,
        "health": shown.health, "processes": _processes(host),
        "rollback": {
            "ready": why is None, "python": python_of(previous) if previous else None,
            "image": previous.image if previous else None, "why": why,
        },
    }  # fmt: skip


def _processes(host: Host) -> dict[str, bool]:
    """Return whether each process of Plone answers; empty where there is one, or the endpoint cannot be asked."""
    with suppress(PilotError, OSError):
        return host.endpoint.processes(0.0)
    return {}


def python_of(container: Container) -> str | None:
    """Return the full version of the Python in a container, as "3.11.2", by its image's label."""
    return container.labels.get(PYTHON)


def blocked(serves: Container, previous: Container | None) -> str | None:
    """Return why Plone cannot be rolled back, or None. Versions of Plone do not share a database."""
    if previous is None:
        return "no container from before is kept on this host"
    now, then = serves.labels.get(VERSION), previous.labels.get(VERSION)
    if previous.image != serves.image and (now is None or now != then):
        return (
            f"the container from before has Plone {then or 'of an unknown version'}, and {now or 'an unknown one'} "
            "serves, whose database it cannot read; only a restore of a backup returns"
        )
    return None
