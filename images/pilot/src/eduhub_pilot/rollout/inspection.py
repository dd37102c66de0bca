"""Looking at a host without changing it: the disk, HAProxy and the engine, and what could not be found out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.memory import MEMORY, available
from eduhub_pilot.model.errors import EngineDownError, ProxyDownError, RefusedError
from eduhub_pilot.model.facts import SHIFT, SLOTS, Container, Image, Slot, slot_of, weight_of
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.state import HostState, Lock, stamp

# A status is wanted now; it also has to survive a HAProxy that is just being restarted.
PATIENCE_SECONDS = 1.0


@dataclass
class Inspection:
    """What could be found out, and in `notes` what could not and what does not agree.

    `goes_back`: when the host goes back by itself (UTC, RFC 3339), where all traffic has moved and is not confirmed.
    `unwatched`: why it will not do that, where traffic has moved and the shift's container is not there to see to it.
    `stale`: whether the lock is.
    """

    state: HostState
    records: dict[str, Record]
    lock: Lock | None
    share: int | None
    containers: dict[Slot, Container | None] | None
    way_back: Image | None
    notes: list[str]
    free_bytes: int | None = None
    goes_back: str | None = None
    unwatched: str | None = None
    stale: bool = False


def inspect(host: Host) -> Inspection:
    """Return what is true of the host now; only an unreadable release.json is an error (RefusedError)."""
    notes: list[str] = []
    state, records = host.store.state(), host.store.records()
    with suppress(RefusedError):  # a traffic.map that cannot be read is noted below
        state = host.completed(state)
    lock, share, containers, way_back = None, None, None, None
    try:
        lock = host.store.lock()
    except RefusedError as error:
        notes.append(error.say)
    try:
        share = host.proxy.now(PATIENCE_SECONDS).share
    except ProxyDownError as error:
        notes.append(f"{error.say} `live` is what it will come back with.")
    if wrong := host.astray(state):
        notes.append(wrong)
    try:
        containers = {slot: host.engine.container(host.settings.container(slot)) for slot in SLOTS}
        if record := records.get(state.last_good or ""):
            way_back = host.engine.image(record.image_id)
    except EngineDownError as error:
        notes.append(f"{error.say} What runs in the slots is not known.")
    memory, unwatched = available(MEMORY.read_text()), _unwatched(host, state, share)
    goes_back = None if unwatched else _goes_back(host, state, share)
    stale = bool(lock and lock.stale(host.clock.now()))
    return Inspection(state, records, lock, share, containers, way_back, notes, memory, goes_back, unwatched, stale)


def _unwatched(host: Host, state: HostState, share: int | None) -> str | None:
    if not (state.live and state.rollout and state.rollout.moving) or share in {None, weight_of(state.live.slot)}:
        return None
    name = host.settings.container(SHIFT)
    with suppress(EngineDownError):
        container = host.engine.container(name)
        if container is None or container.state not in {"running", "restarting", "created"}:
            return f"its container {name} is {container.state if container else 'absent'}"
    return None


def _goes_back(host: Host, state: HostState, share: int | None) -> str | None:
    rollout = state.rollout
    if rollout is None or rollout.traffic is None or rollout.traffic.confirm_by is None:
        return None
    if share not in {None, weight_of(rollout.slot)}:
        return None  # it has gone back, or is about to: there was a restart
    # Monotonic time of a boot before this one says nothing.
    left = min(rollout.traffic.confirm_by - host.clock.monotonic(), rollout.confirm_seconds)
    return stamp(host.clock.now() + timedelta(seconds=max(0.0, left)))


def live_slot(inspection: Inspection) -> Slot | None:
    """Return the slot that gets the public traffic; the committed one while HAProxy is down; None before a deploy."""
    if not inspection.state.live:
        return None
    return inspection.state.live.slot if inspection.share is None else slot_of(inspection.share)
