"""What our Plone runs on, and what it can be rolled back to: read from the engine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import PilotError, RefusedError
from eduhub_pilot.model.facts import PLONE, PLONE_AWAIT, PREVIOUS_PLONE, STANDBY_PLONE, Container
from eduhub_pilot.model.outcome import Finding, finding_of
from eduhub_pilot.model.state import stamp

# A rollback by the host itself has taken no longer than this.
LATE = timedelta(minutes=5)
CONFIRM, ROLLBACK = ["./invoke", "plone.confirm"], ["./invoke", "plone.rollback"]
# Restore in place; keep what Plone serves after a restore that was interrupted.
AGAIN, SERVED = (["./invoke", "plone.restore", "--to", to] for to in ("live", "served"))
PYTHON, VERSION = "org.eduhub.python", "org.opencontainers.image.version"


def plone(host: Host) -> dict[str, Any] | None:
    """Return what `status` says of our Plone; None where there is none. Raises EngineDownError."""
    parts = (host.engine.container(host.settings.container(part)) for part in (PLONE, STANDBY_PLONE, PREVIOUS_PLONE))
    serves, standby, previous = parts
    # In the middle of a takeover the standby serves.
    shown = standby if standby and standby.runs and not (serves and serves.runs) else serves or standby
    if shown is None:
        return None
    upgrade = None
    with suppress(RefusedError):  # a note of its own says so
        upgrade = host.store.plone_upgrade()
    why = blocked(shown, previous, upgrade["from"] if upgrade else None)
    return {
        "python": python_of(shown), "version": shown.labels.get(VERSION), "image": shown.image, "state": shown.state,
        "health": shown.health, "processes": _processes(host),
        "rollback": {
            "ready": why is None, "python": python_of(previous) if previous else None,
            "version": previous.labels.get(VERSION) if previous else None,
            "image": previous.image if previous else None, "why": why,
        },
    }  # fmt: skip


def container_down(container: Container) -> Finding | None:
    """Return that the container of our Plone does not run, or hangs; None where it is in order."""
    name, logs = container.name, ["docker", "logs", "--tail", "50", container.name]
    if not container.runs:
        message = f"Plone's container {name} is {container.state}."
        return Finding("plone_container_down", message, [logs, ["./invoke", "deploy"]])
    if container.health != "unhealthy":
        return None
    # The engine starts what ends, and leaves what hangs; so does a deployment.
    message = f"Plone's container {name} is unhealthy: it runs, and does not answer. Restart it on the host."
    return Finding("plone_container_down", message, [logs, ["docker", "restart", name]])


def _processes(host: Host) -> dict[str, bool]:
    """Return whether each process of Plone answers; empty where there is one, or the endpoint cannot be asked."""
    with suppress(PilotError, OSError):
        return host.endpoint.processes(0.0)
    return {}


def python_of(container: Container) -> str | None:
    """Return the full version of the Python in a container, as "3.11.2", by its image's label."""
    return container.labels.get(PYTHON)


def unconfirmed(host: Host) -> Finding | None:
    """Return that an upgrade of Plone's version is neither confirmed nor rolled back; None where there is none."""
    try:
        upgrade = host.store.plone_upgrade()
    except RefusedError as error:
        return finding_of(error)
    if upgrade is None:
        return None
    if confirming(host, upgrade):
        said = (
            f"The confirmation of Plone {upgrade['to']} has begun and not ended, and nothing can be written since "
            f"{upgrade['since']}. The same command ends it, and the host does once the lock of that run has expired."
        )
        return Finding("plone_upgrade_unconfirmed", said, [CONFIRM])
    serves = host.engine.container(host.settings.container(PLONE))
    watched = "confirm_by" in upgrade or not returnable(host, upgrade["from"])
    if watched and serves and serves.runs and serves.labels.get(VERSION) == upgrade["to"]:
        back = host.engine.container(host.settings.container(PREVIOUS_PLONE)) is not None
        said = (
            f"Plone {upgrade['to']} serves in place of {upgrade['from']}, and nothing can be written since "
            f"{upgrade['since']}: confirm it{', or roll it back' if back else '; its previous container is gone'}."
        )
        if back and "confirm_by" in upgrade:
            until = stamp(upgrade["confirm_by"])
            log = f"docker logs {host.settings.container(PLONE_AWAIT)}"
            over = host.clock.now() > upgrade["confirm_by"] + LATE
            said += (
                f" The host tries to roll back by itself since {until}, and cannot: {log} says why."
                if over
                else f" Unconfirmed, the host rolls back by itself at {until}."
            )
        return Finding("plone_upgrade_unconfirmed", said, [CONFIRM, *([ROLLBACK] if back else [])])
    said = (
        f"An upgrade to Plone {upgrade['to']} was interrupted, and nothing can be written since {upgrade['since']}. A "
        "rollback takes writes again."
    )
    return Finding("plone_upgrade_unconfirmed", said, [ROLLBACK])


def confirming(host: Host, upgrade: Mapping[str, Any]) -> bool:
    """Return whether the confirmation of an upgrade has begun: the database of before may be marked as left by now."""
    serves = host.engine.container(host.settings.container(PLONE))
    return "confirming" in upgrade and serves is not None and serves.labels.get(VERSION) == upgrade["to"]


def not_shared(serves: Container, other: Container) -> str | None:
    """Return why two containers of Plone cannot take a database over from one another, or None.

    One whose database is not in files waits for none, and serves at once.
    """
    if serves.in_files and other.in_files:
        return None
    if serves.in_files or other.in_files:
        one = "the container that serves" if serves.in_files else "the container from before or beside it"
        return f"{one} has a database in files, and the other's is not: both would not serve the same content"
    return "Plone's database is not in files (ZEO_ADDRESS or RELSTORAGE_DSN)"


def returnable(host: Host, version: str) -> bool:
    """Return whether a container of `version`, from which an upgrade came, is there to return to."""
    parts = (host.engine.container(host.settings.container(part)) for part in (PREVIOUS_PLONE, STANDBY_PLONE))
    return any(part is not None and part.labels.get(VERSION) == version for part in parts)


def interrupted(host: Host) -> Finding | None:
    """Return that a restore in place of Plone's data was interrupted; None where none was, or one is at work."""
    record = host.store.plone_restore()
    if record is None:
        return None
    with suppress(RefusedError):  # of a lock that cannot be read a note of its own says so
        lock = host.store.lock()
        if lock and lock.run == record.get("run") and not lock.expired(host.clock.now()):
            return None
    refused = " Plone's endpoint may refuse writes since." if record.get("writes") == "refused" else ""
    said = (
        f"The restore of run {record.get('run')}, begun {record.get('since')}, was interrupted.{refused} Another one "
        "first brings back the data from before it, unless you keep what Plone serves."
    )
    return Finding("restore_interrupted", said, [AGAIN, SERVED])


def blocked(serves: Container, previous: Container | None, origin: str | None) -> str | None:
    """Return why Plone cannot be rolled back, or None. Versions of Plone do not share a database.

    `origin`: the version from which an upgrade came that is not confirmed, and whose database is as it was.
    """
    if previous is None:
        return "no container from before is kept on this host"
    if why := not_shared(serves, previous):
        return why
    now, then = serves.labels.get(VERSION), previous.labels.get(VERSION)
    if origin and then == origin:
        return None
    if previous.image != serves.image and (now is None or now != then):
        return (
            f"the container from before has Plone {then or 'of an unknown version'}, and {now or 'an unknown one'} "
            "serves, whose database it cannot read; only a restore of a backup returns"
        )
    return None
