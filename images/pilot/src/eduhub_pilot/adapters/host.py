"""One host as a command sees it, and a run's hold on it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from eduhub_pilot.adapters import cgroup
from eduhub_pilot.adapters.clock import Clock
from eduhub_pilot.adapters.docker import Engine
from eduhub_pilot.adapters.haproxy import Proxy
from eduhub_pilot.adapters.http import Ask, Fetch, exchange
from eduhub_pilot.adapters.keepalive import Dial, HttpLine
from eduhub_pilot.adapters.store import Store
from eduhub_pilot.model import connections, journal
from eduhub_pilot.model.connections import Connection
from eduhub_pilot.model.errors import LostError, RefusedError
from eduhub_pilot.model.facts import Slot, weight_of
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.settings import Settings
from eduhub_pilot.model.state import HostState, Lock

# A killed HAProxy is back within a second or two; a machine under load may need longer.
PATIENCE_SECONDS = 15.0
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

    def cpu(self, slot: Slot) -> cgroup.Meter | None:
        """Return what reads the CPU seconds that a slot's container took so far; None where that cannot be read."""
        if self.meter:
            return self.meter(slot)
        container = self.engine.container(self.settings.container(slot))
        return cgroup.meter(container.id) if container else None

    def note(self, run: str | None, step: str, event: str, **more: Any) -> None:
        """Write one line into the journal."""
        now = self.clock.now()

        def mend(fragment: str) -> str:
            return journal.line(now, self.name, run, "journal", "cut", fragment=fragment)

        self.store.append(journal.line(now, self.name, run, step, event, **more), mend)

    def note_connections(
        self, run: str, step: str, event: str, slot: Slot, found: Sequence[Connection], **more: Any
    ) -> None:
        """Write down every connection at `slot`: what one line does not hold goes into further ones, `listed`."""
        first, *rest = connections.pages(found)
        self.note(run, step, event, slot=slot, **{"left": len(found), **more}, connections=first)
        for page in rest:
            self.note(run, step, "listed", slot=slot, connections=page)

    def held(self, run: str) -> tuple[Lock, HostState]:
        """Return the lock that `run` holds and the host's state; RefusedError when it holds none. Behind the guard."""
        lock, state = self.store.lock(), self.store.state()
        if lock is None or lock.run != run:
            holder = f"run {lock.run} of {lock.owner} does" if lock else "no run does"
            raise RefusedError(f"Run {run} does not hold this host's lock ({holder}): nothing was touched.")
        return lock, self.settled(state)

    @contextmanager
    def step(self, run: str, step: str) -> Iterator[tuple[Lock, HostState]]:
        """Enter `step` of `run` behind the guard: checked, with a fresh heartbeat."""
        with self.store.guard():
            lock, state = self.held(run)
            lock = replace(lock, step=step, heartbeat=self.clock.now())
            self.store.renew(lock)
            yield lock, state

    def settled(self, state: HostState) -> HostState:
        """Return the state with a confirmation that a crash cut in the middle completed."""
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
        with it HAProxy would come back on the new slot, so release.json follows it.
        """
        rollout = state.rollout
        if rollout and rollout.step == "confirm" and self.store.kept_weight() == weight_of(rollout.slot):
            return state.committed(rollout, self.clock.now())
        return state

    def astray(self, state: HostState) -> str | None:
        """Return why HAProxy, restarted, would not come back with the live slot; None where it would."""
        if not state.live or (state.rollout and state.rollout.step == "confirm"):
            return None
        share = weight_of(state.live.slot)
        try:
            if self.store.kept_weight() == share:
                return None
        except RefusedError as error:
            return error.say
        file = f"{self.store.shown}/edge/traffic.map"
        return (
            f"{file} does not name {state.live.slot}, which serves by release.json: a HAProxy that is restarted would "
            f"not come back with it. `echo green {share} > {file}` mends that."
        )

    def serving(self, state: HostState) -> dict[str, Any] | None:
        """Return what is committed to serve, for answers: slot, release, Python; None when nothing is deployed."""
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
    """A run's heartbeat while one of its commands waits; it also notices that the run lost the host."""

    def __init__(self, host: Host, run: str) -> None:
        self.host = host
        self.run = run
        self.beaten = host.clock.monotonic()

    def beat(self) -> None:
        """Refresh the lock when it is time; LostError when it is no longer this run's."""
        lock = self.host.store.lock()
        if lock is None or lock.run != self.run:
            who = f"run {lock.run} of {lock.owner} took this host over" if lock else "it was reverted meanwhile"
            raise LostError(f"Run {self.run} ends here: {who}. `./invoke status` says what serves.")
        if self.host.clock.monotonic() - self.beaten >= HEARTBEAT_SECONDS:
            with self.host.store.guard():
                lock, _ = self.host.held(self.run)
                self.host.store.renew(replace(lock, heartbeat=self.host.clock.now()))
            self.beaten = self.host.clock.monotonic()
