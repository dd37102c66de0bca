"""One host as a command sees it, and the lock of a run on it."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from eduhub_pilot.adapters import cgroup
from eduhub_pilot.adapters.clock import Clock
from eduhub_pilot.adapters.docker import Engine
from eduhub_pilot.adapters.endpoint import Endpoint
from eduhub_pilot.adapters.haproxy import Proxy
from eduhub_pilot.adapters.http import Ask, Fetch, exchange
from eduhub_pilot.adapters.keepalive import Dial, HttpLine
from eduhub_pilot.adapters.store import Store
from eduhub_pilot.model import connections, journal
from eduhub_pilot.model.connections import Connection
from eduhub_pilot.model.errors import RefusedError, SupersededError
from eduhub_pilot.model.facts import Slot, other, weight_of
from eduhub_pilot.model.outcome import Finding, finding_of
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.settings import Settings
from eduhub_pilot.model.state import HostState, Lock

# A killed HAProxy restarts within a second or two; a host under load may need longer.
TIMEOUT_SECONDS = 15.0
# The lock is refreshed this often in commands that wait.
HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True)
class Host:
    """Everything that a command works with."""

    settings: Settings
    store: Store
    proxy: Proxy
    engine: Engine
    ask: Ask
    clock: Clock
    name: str = field(default_factory=socket.gethostname)
    fetch: Fetch = exchange
    dial: Dial = HttpLine
    meter: Callable[[Slot], cgroup.Meter | None] | None = None
    before_plone: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Plone's endpoint, where this host has our Plone."""
        return self.before_plone or Endpoint(self.settings.root / "run", self.clock)

    def cpu(self, slot: Slot) -> cgroup.Meter | None:
        """Return what reads the CPU seconds of a slot's container; None where they cannot be read."""
        if self.meter:
            return self.meter(slot)
        container = self.engine.container(self.settings.container(slot))
        return cgroup.meter(container.id) if container else None

    def note(self, run: str | None, step: str, event: str, **more: Any) -> None:
        """Write one line into the journal."""
        now = self.clock.now()

        def repair(fragment: str) -> str:
            return journal.line(now, self.name, run, "journal", "repaired", fragment=fragment)

        self.store.append(journal.line(now, self.name, run, step, event, **more), repair)

    def note_connections(
        self, run: str, step: str, event: str, slot: Slot, found: Sequence[Connection], **more: Any
    ) -> None:
        """Journal every connection at `slot`: what one line does not hold goes into further lines, `listed`."""
        first, *rest = connections.pages(found)
        self.note(run, step, event, slot=slot, **{"left": len(found), **more}, connections=first)
        for page in rest:
            self.note(run, step, "listed", slot=slot, connections=page)

    def held(self, run: str) -> tuple[Lock, HostState]:
        """Return the lock that `run` holds and the host's state; RefusedError when it holds none. Needs the guard."""
        lock, state = self.store.lock(), self.store.state()
        if lock is None or lock.run != run:
            holder = f"run {lock.run} of {lock.owner} does" if lock else "no run does"
            message = f"Run {run} does not hold the lock of this host ({holder}). Nothing was changed."
            raise RefusedError("not_lock_holder", message, ["./invoke", "status"])
        return lock, self.settled(state)

    @contextmanager
    def step(self, run: str, step: str) -> Iterator[tuple[Lock, HostState]]:
        """Enter `step` of `run` with the guard held, the lock checked and its heartbeat refreshed."""
        with self.store.guard():
            lock, state = self.held(run)
            lock = replace(lock, step=step, heartbeat=self.clock.now())
            self.store.renew(lock)
            yield lock, state

    def settled(self, state: HostState) -> HostState:
        """Return the state with an interrupted confirmation completed."""
        completed, rollout = self.completed(state), state.rollout
        if completed is not state and rollout:
            self.note(
                rollout.run, "confirm", "confirmed", release=rollout.release, slot=rollout.slot, completed=True
            )
            self.store.save_state(completed)
        return completed

    def completed(self, state: HostState) -> HostState:
        """Return the same, with nothing written.

        Confirming writes its intent, then traffic.map, then release.json. The rename of traffic.map is the commit:
        with it HAProxy would start with the candidate, so release.json follows it.
        """
        rollout = state.rollout
        if rollout and rollout.step == "confirm" and self.store.kept_weight() == weight_of(rollout.slot):
            return state.committed(rollout, self.clock.now())
        return state

    def map_mismatch(self, state: HostState) -> Finding | None:
        """Return why a restarted HAProxy would not serve the live slot; None where it would."""
        if not state.live or (state.rollout and state.rollout.step == "confirm"):
            return None
        weight = weight_of(state.live.slot)
        try:
            if self.store.kept_weight() == weight:
                return None
        except RefusedError as error:
            return finding_of(error)
        file = f"{self.store.shown}/edge/traffic.map"
        return Finding(
            "traffic_map_mismatch",
            f"{file} does not name the live slot {state.live.slot}, so a restarted HAProxy would not serve it.",
            [["sh", "-c", f"echo green {weight} > {file}"]],
        )

    def moved_by_hand(self, state: HostState, weight: int | None) -> Finding | None:
        """Return which part of the traffic no run has moved, at green's `weight`; None where there is none."""
        if not state.live or state.rollout or weight in {None, weight_of(state.live.slot)}:
            return None
        slot = other(state.live.slot)
        percent = weight if slot == "green" else 100 - (weight or 0)
        return Finding(
            "traffic_uncommitted",
            f"{percent}% of the traffic is on {slot}, where no run has moved it. A restarted HAProxy returns all of it "
            f"to the live slot {state.live.slot}.",
            [["./invoke", "deploy"]],
        )

    def edited_configuration(self) -> Finding | None:
        """Return that haproxy.cfg is not the one that role edge wrote; None where it is, or no digest was kept."""
        file = self.settings.config / "edge/haproxy.cfg"
        try:
            kept = file.with_name("haproxy.cfg.sha1").read_text().strip()
            found = hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
        except OSError:
            return None
        if found == kept:
            return None
        shown = f"{self.settings.shown_config}/edge/haproxy.cfg"
        return Finding(
            "edge_configuration_edited",
            f"{shown} was edited after the last deployment: HAProxy may work otherwise than the inventory says, or not "
            "start. A deployment writes it again.",
            [["./invoke", "deploy"]],
        )

    def serving(self, state: HostState) -> dict[str, Any] | None:
        """Return the live release for answers: slot, release, Python; None when nothing is deployed."""
        if not state.live:
            return None
        record = self.known(state.live.release)
        return {
            "slot": state.live.slot,
            "release": state.live.release,
            "since": state.live.since,
            "python": record.python if record else None,
            "python_version": record.python_version if record else None,
        }

    def known(self, release: str | None) -> Record | None:
        """Return a release's record, or None where it cannot be read."""
        try:
            return self.store.record(release) if release else None
        except RefusedError:
            return None

    def heart(self, run: str) -> Heart:
        return Heart(self, run)


class Heart:
    """A run's heartbeat while one of its commands waits; it also detects that the run was superseded."""

    def __init__(self, host: Host, run: str) -> None:
        self.host = host
        self.run = run
        self.beaten = host.clock.monotonic()

    def beat(self) -> None:
        """Refresh the lock when it is due; SupersededError when it is no longer this run's."""
        lock = self.host.store.lock()
        if lock is None or lock.run != self.run:
            why = f"run {lock.run} of {lock.owner} took over" if lock else "it was reverted"
            raise SupersededError(self.run, why)
        if self.host.clock.monotonic() - self.beaten >= HEARTBEAT_SECONDS:
            with self.host.store.guard():
                lock, _ = self.host.held(self.run)
                self.host.store.renew(replace(lock, heartbeat=self.host.clock.now()))
            self.beaten = self.host.clock.monotonic()


class GuardedHeart(Heart):
    """The same for a run that keeps the guard in place of a lock: there is none to refresh, and no run takes over."""

    def beat(self) -> None:
        """Do nothing."""
