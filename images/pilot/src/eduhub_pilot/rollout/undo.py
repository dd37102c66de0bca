"""Undoes a run: traffic first, then everything else. Safe to repeat, and to kill at any line.

Moving traffic writes nothing, so a full disk cannot keep it on an unconfirmed slot. Right after it the disk gets that
the run is being undone, and why. The rollout stays recorded until its container is removed, so the next pilot of any
command completes an undo that was interrupted, with its first reason, and none continues the run.

Where the live slot's container does not run, it is started first; the candidate keeps its traffic until it is ready.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.adapters.http import wait_ready
from eduhub_pilot.adapters.store import EMPTY
from eduhub_pilot.model.errors import EngineDownError, PersonError, PilotError, ProxyDownError, RefusedError
from eduhub_pilot.model.facts import Answer, Slot, other, weight_of
from eduhub_pilot.model.release import Record
from eduhub_pilot.model.state import HostState, Rollout, Serving
from eduhub_pilot.rollout.drain import drained
from eduhub_pilot.rollout.public_check import path_of
from eduhub_pilot.rollout.slot import start

LOG_LINES = 20
# So long may the live slot take to answer before the engine is asked about it.
ANSWER_SECONDS = 1.0
# And so long the engine: requests may fail meanwhile.
ENGINE_SECONDS = 2


@dataclass(frozen=True)
class Undone:
    """The state afterwards, and the last lines of the container that was removed."""

    state: HostState
    log: list[str] = field(default_factory=list)


def give_back(host: Host, state: HostState, *, gone: bool | None = None) -> None:
    """Move all traffic to the committed slot; writes nothing to disk, unless its container has to be started first.

    A HAProxy that is down starts with the committed slot. PersonError when a running one does not accept the command,
    or when the committed slot cannot be started: removing the candidate's container then would fail requests.
    `gone`: what `lost` found, where it was asked.
    """
    if not state.live:
        return
    if lost(host, state) if gone is None else gone:
        _revive(host, state, state.live)
    try:
        host.proxy.move(_committed(host, state, state.live.slot), TIMEOUT_SECONDS)
    except ProxyDownError as error:
        edge = None
        with suppress(EngineDownError):
            edge = host.engine.container(host.settings.container("edge"))
        if edge and edge.runs:
            raise PersonError(
                "traffic_not_restored",
                f"{error.message} Its container {edge.name} runs, so traffic may be on the unconfirmed slot, "
                f"which was left running. A restart of {edge.name} returns traffic to {state.live.slot}; then repeat "
                "the command.",
                ["docker", "restart", edge.name],
            ) from None


def lost(host: Host, state: HostState) -> bool:
    """Return whether traffic would return from the candidate to a slot whose container does not run.

    The engine, which may hang, is asked only about a slot that does not answer.
    """
    if not state.live:
        return False
    slot, record = state.live.slot, host.known(state.live.release)
    with suppress(ProxyDownError, EngineDownError):
        if host.proxy.now(timeout=1).weight == weight_of(slot):
            return False
        if record and _answer(host, slot, record, ANSWER_SECONDS).trouble is None:
            return False
        container = host.engine.container(host.settings.container(slot), ENGINE_SECONDS)
        return not (container and container.runs)
    return False


def _answer(host: Host, slot: Slot, record: Record, seconds: float) -> Answer:
    return host.ask(host.settings.private_endpoints[slot], path_of(record), seconds)


def _revive(host: Host, state: HostState, live: Serving) -> None:
    """Start the live slot's container, and return once it is ready; also where the candidate does not answer either.

    PersonError where it is not to be had and the candidate answers.
    """
    name, why = host.settings.container(live.slot), None
    try:
        record = host.store.record(live.release)
        container, _ = start(host, live.slot, record)
        readiness = wait_ready(
            host.clock, lambda: _answer(host, live.slot, record, host.settings.probe_seconds),
            lambda: _ended(host, container.name), host.settings.start_seconds,
        )  # fmt: skip
        why = None if readiness.ready else readiness.stopped or f"not ready after {readiness.elapsed:.0f} s"
    except PilotError as error:
        why = error.message.rstrip(".")
    except OSError as error:
        why = error.strerror or str(error)
    run = state.rollout.run if state.rollout else None
    with suppress(OSError):
        event = "live_slot_lost" if why else "live_slot_started"
        host.note(run, "revert", event, slot=live.slot, release=live.release, why=why)
    candidate = other(live.slot)
    known = host.known(state.slots[candidate])
    if why and known and _answer(host, candidate, known, host.settings.probe_seconds).good:
        raise PersonError(
            "live_slot_lost",
            f"{name}, the container of the live release {live.release}, does not run and could not be started: {why}. "
            f"The candidate ({candidate}) answers, and keeps the traffic that it has. The undo goes on once {name} "
            f"runs; without the container of {candidate} it goes on at once.",
            ["docker", "logs", name], ["./invoke", "rollback", "--take-over"],
        )  # fmt: skip


def _ended(host: Host, name: str) -> str | None:
    """Return that a container which was just started has ended, or None."""
    with suppress(EngineDownError):
        container = host.engine.container(name)
        if container is None or container.state in {"exited", "dead"} or container.restarts:
            return f"it ended with code {container.exit_code}" if container else "it was removed"
    return None


def _committed(host: Host, state: HostState, live: Slot) -> int:
    """Return green's committed weight: that of the live slot, whatever traffic.map holds.

    Only for an interrupted confirmation traffic.map decides: its rename is the commit.
    """
    weight = None
    if state.rollout and state.rollout.step == "confirm":
        with suppress(RefusedError):
            weight = host.store.kept_weight()
    return weight_of(live) if weight is None else weight


def undo(host: Host, state: HostState, rollout: Rollout, why: str) -> Undone:
    """Undo `rollout`, holding the guard: restore traffic, remove its container, forget it. The lock stays.

    An undo that was interrupted keeps its own reason.
    """
    why = rollout.why or "" if rollout.undoing else why
    if gone := lost(host, state):  # traffic waits for it in any case
        state = _keep(host, state, rollout, why)
    give_back(host, state, gone=gone)
    state = _keep(host, state, rollout, why)
    host.note(rollout.run, "revert", "traffic_restored", slot=state.live.slot if state.live else None, why=why)
    if state.live and drained(host, rollout.slot, host.settings.drain_seconds, lambda: None):
        with suppress(ProxyDownError):
            host.note_connections(rollout.run, "revert", "cut", rollout.slot, host.proxy.left(rollout.slot, timeout=2))
    name = host.settings.container(rollout.slot)
    try:
        log = host.engine.log(name, LOG_LINES)
        host.engine.remove(name, _stop_seconds(host, rollout.release))
    except EngineDownError as error:
        traffic = f"Traffic is on {state.live.release} ({state.live.slot})" if state.live else "No release is live"
        message = f"{traffic}, but {name} could not be removed. {error.message} The next run removes it."
        raise PersonError("container_not_removed", message, ["docker", "rm", "-f", name]) from None
    rename(host, rollout.slot, None)
    # Before release.json forgets the rollout: a pilot killed in between writes this line twice, never not at all.
    host.note(rollout.run, "revert", "reverted", slot=rollout.slot, release=rollout.release, why=why, log=log)
    state = state.undone(rollout, why, host.clock.now())
    host.store.save_state(state)
    return Undone(state, log)


def _keep(host: Host, state: HostState, rollout: Rollout, why: str) -> HostState:
    """Return the state with `rollout` being undone, which is on the disk if that has room."""
    undoing = state.undoing(rollout, why)
    if undoing != state:
        with suppress(OSError):  # of a full disk the journal's line tells, with traffic restored
            host.store.save_state(undoing)
    return undoing


def rename(host: Host, slot: Slot, release: str | None) -> None:
    """Let HAProxy name `release` in the answers of `slot`: on disk, then in the running process."""
    names = {**host.store.names(), slot: release}
    host.store.save_names(names)
    with suppress(ProxyDownError):  # it reads the file when it starts
        host.proxy.name(slot, release or EMPTY, timeout=2)


def _stop_seconds(host: Host, release: str) -> int:
    with suppress(RefusedError):
        return host.store.record(release).spec.stop_seconds
    return 30


def reset(host: Host, state: HostState) -> bool:
    """Move traffic to the committed slot where it was moved by hand; return whether it had to be moved."""
    if not state.live:
        return False
    with suppress(ProxyDownError):  # a HAProxy that is down starts with it
        if host.proxy.now(timeout=2).weight != weight_of(state.live.slot):
            host.proxy.move(weight_of(state.live.slot), TIMEOUT_SECONDS)
            return True
    return False
