"""The state of a host without changing it: the disk, HAProxy, the engine, and what could not be determined."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.memory import MEMORY, available
from eduhub_pilot.model.errors import EngineDownError, ProxyDownError, RefusedError
from eduhub_pilot.model.facts import PLONE, SHIFT, SLOTS, STANDBY_PLONE, Container, Image, Slot, slot_of, weight_of
from eduhub_pilot.model.outcome import Finding, finding_of
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.state import HostState, Lock, stamp
from eduhub_pilot.rollout.plone import container_down, interrupted, plone, unconfirmed

# A status is urgent, but has to survive a HAProxy that is being restarted.
TIMEOUT_SECONDS = 1.0
# Where a Plone that is behind an endpoint has its socket.
SOCKETS = "/run/eduhub/plone"
# A certificate that ends within this time is noted.
ENDING = timedelta(days=30)


@dataclass
class Inspection:
    """What was determined; `notes` hold what could not be, and what disagrees.

    `deadline`: when the host reverts the run (UTC, RFC 3339), where all traffic has moved and is not confirmed.
    `unmonitored`: why it will not, where traffic has moved and the shift's container does not run.
    `expired`: whether the lock is. `moved_by_hand`: that traffic is where no run has moved it. `plone`: what our own
    runs on; None without one.
    """

    state: HostState
    records: dict[str, Record]
    lock: Lock | None
    weight: int | None
    containers: dict[Slot, Container | None] | None
    target_image: Image | None
    notes: list[Finding]
    free_bytes: int | None = None
    deadline: str | None = None
    unmonitored: str | None = None
    expired: bool = False
    moved_by_hand: Finding | None = None
    plone: dict[str, Any] | None = None


def inspect(host: Host) -> Inspection:
    """Return what is true of the host now; only an unreadable release.json is an error (RefusedError)."""
    notes: list[Finding] = []
    state, records = host.store.state(), host.store.records()
    with suppress(RefusedError):  # a traffic.map that cannot be read is noted below
        state = host.completed(state)
    lock, weight, containers, target_image, ours = None, None, None, None, None
    try:
        lock = host.store.lock()
    except RefusedError as error:
        notes.append(finding_of(error))
    try:
        weight = host.proxy.now(TIMEOUT_SECONDS).weight
    except ProxyDownError as error:
        notes.append(finding_of(error, "The live slot shown is the one HAProxy will start with."))
    if (reason := host.store.maintenance()) is not None:
        why = f": {reason}" if reason else ""
        message = f"Maintenance is on: the edge answers writes with 503{why}."
        notes.append(Finding("maintenance", message, [["./invoke", "maintenance", "off"]]))
    if host.store.draining():
        message = "The host is drained: it tells its balancer to go elsewhere, and answers requests that still come."
        notes.append(Finding("draining", message, [["./invoke", "undrain"]]))
    with suppress(ProxyDownError):  # one that is down is noted already
        notes += certificates_ending(host, 0.0)
    if mismatch := host.map_mismatch(state):
        notes.append(mismatch)
    if edited := host.edited_configuration():
        notes.append(edited)
    try:
        containers = {slot: host.engine.container(host.settings.container(slot)) for slot in SLOTS}
        if record := records.get(state.last_good or ""):
            target_image = host.engine.image(record.image_id)
        ours = plone(host)
        notes += plone_notes(host, ours)
    except EngineDownError as error:
        notes.append(finding_of(error, "The state of the slots is unknown."))
    memory, unmonitored = available(MEMORY.read_text()), _unmonitored(host, state, weight)
    deadline = None if unmonitored else _deadline(host, state, weight)
    expired = bool(lock and lock.expired(host.clock.now()))
    return Inspection(
        state, records, lock, weight, containers, target_image, notes, memory, deadline, unmonitored, expired,
        host.moved_by_hand(state, weight), ours,
    )  # fmt: skip


def plone_notes(host: Host, ours: dict[str, Any] | None) -> list[Finding]:
    """Return what an operator should know of our Plone. EngineDownError."""
    return [
        *plone_endpoint(host), *filter(None, (_plone_down(host), unconfirmed(host), interrupted(host))),
        *(silent_processes(host, ours["processes"]) if ours else []),
    ]  # fmt: skip


def _plone_down(host: Host) -> Finding | None:
    """Return that our Plone is down; None also while a standby serves in its place. EngineDownError."""
    plone, standby = (host.engine.container(host.settings.container(part)) for part in (PLONE, STANDBY_PLONE))
    return container_down(plone) if plone and not (standby and standby.runs) else None


def plone_endpoint(host: Host) -> list[Finding]:
    """Return what is wrong with the container before our Plone; nothing where there is none. EngineDownError."""
    plone, edge = (host.engine.container(host.settings.container(part)) for part in ("plone", "edge"))
    name = host.settings.container("plone-endpoint")
    endpoint = host.engine.container(name)
    if plone is None or (endpoint is None and SOCKETS not in plone.mounts):
        return []
    if endpoint is None or not endpoint.runs:
        message = f"Plone cannot be reached: its endpoint {name} is {endpoint.state if endpoint else 'absent'}."
        return [Finding("plone_endpoint_down", message, [["docker", "logs", name], ["./invoke", "deploy"]])]
    if edge and endpoint.image != edge.image:
        message = f"Plone's endpoint {name} runs another image than the edge, whose image is for both."
        return [Finding("plone_endpoint_differs", message, [["./invoke", "deploy"]])]
    return []


def silent_processes(host: Host, processes: Mapping[str, bool]) -> list[Finding]:
    """Return a note where processes of our Plone do not answer."""
    silent = [name for name, answers in processes.items() if not answers]
    if not silent or len(silent) == len(processes):  # then all of Plone is down
        return []
    name = host.settings.container(PLONE)
    message = (
        f"Of {len(processes)} processes of Plone {len(silent)} do not answer: {', '.join(silent)}. Where that lasts, "
        "restart Plone on the host: all its processes start again."
    )
    following = [["docker", "logs", "--tail", "50", name], ["docker", "restart", name]]
    return [Finding("plone_process_silent", message, following)]


def certificates_ending(host: Host, timeout: float) -> list[Finding]:
    """Return a note for each certificate that the edge serves and that ends soon, or has ended."""
    now, found = host.clock.now(), []
    for each in host.proxy.certificates(timeout):
        if each.ends - now < ENDING:
            days = (each.ends - now).days
            when = f"in {days} days" if days > 1 else "within two days" if each.ends > now else "already"
            verb = "ends" if each.ends > now else "has ended"
            file = host.settings.on_host(each.file)
            message = f"The TLS certificate {file} {verb} {when}, at {stamp(each.ends)}. Renew its source."
            found.append(Finding("certificate_ends", message, [["./invoke", "certificates"]]))
    return found


def _unmonitored(host: Host, state: HostState, weight: int | None) -> str | None:
    if not (state.live and state.rollout and state.rollout.moving) or weight in {None, weight_of(state.live.slot)}:
        return None
    name = host.settings.container(SHIFT)
    with suppress(EngineDownError):
        container = host.engine.container(name)
        if container is None or container.state not in {"running", "restarting", "created"}:
            return f"the container {name} is {container.state if container else 'absent'}"
    return None


def _deadline(host: Host, state: HostState, weight: int | None) -> str | None:
    rollout = state.rollout
    if rollout is None or rollout.traffic is None or rollout.traffic.confirm_by is None:
        return None
    if rollout.undoing or weight not in {None, weight_of(rollout.slot)}:
        return None  # traffic has returned, or is about to: HAProxy was restarted
    # The monotonic time of an earlier boot means nothing.
    left = min(rollout.traffic.confirm_by - host.clock.monotonic(), rollout.confirm_seconds)
    return stamp(host.clock.now() + timedelta(seconds=max(0.0, left)))


def live_slot(inspection: Inspection) -> Slot | None:
    """Return the slot that gets the public traffic; the committed one while HAProxy is down; None before a deploy."""
    if not inspection.state.live:
        return None
    return inspection.state.live.slot if inspection.weight is None else slot_of(inspection.weight)
