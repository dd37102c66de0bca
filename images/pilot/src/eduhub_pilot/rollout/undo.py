"""Undoes a run: traffic first, then everything else. Safe to repeat, and to kill at any line.

Moving traffic writes nothing, so a full disk cannot keep it on an unconfirmed slot. The rollout stays recorded until
its container is removed, so the next pilot continues where a killed revert stopped.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from eduhub_pilot.adapters.host import PATIENCE_SECONDS, Host
from eduhub_pilot.adapters.store import EMPTY
from eduhub_pilot.model.errors import EngineDownError, PersonError, ProxyDownError, RefusedError
from eduhub_pilot.model.facts import Slot, weight_of
from eduhub_pilot.model.state import HostState, Rollout
from eduhub_pilot.rollout.drain import drained

LOG_LINES = 20


@dataclass(frozen=True)
class Undone:
    """The state afterwards, and the last lines of the container that was removed."""

    state: HostState
    log: list[str] = field(default_factory=list)


def give_back(host: Host, state: HostState) -> None:
    """Move all traffic to the committed slot; writes nothing to disk.

    A HAProxy that is down starts with the committed slot. PersonError when a running one does not accept the command:
    removing the candidate's container under it would fail requests.
    """
    if not state.live:
        return
    try:
        host.proxy.move(_committed(host, state, state.live.slot), PATIENCE_SECONDS)
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
    """Undo `rollout`, holding the guard: restore traffic, remove its container, forget it. The lock stays."""
    give_back(host, state)
    host.note(rollout.run, "revert", "traffic_restored", slot=state.live.slot if state.live else None, why=why)
    if state.live and drained(host, rollout.slot, host.settings.drain_seconds, lambda: None):
        with suppress(ProxyDownError):
            host.note_connections(rollout.run, "revert", "cut", rollout.slot, host.proxy.left(rollout.slot, patience=2))
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


def rename(host: Host, slot: Slot, release: str | None) -> None:
    """Let HAProxy name `release` in the answers of `slot`: on disk, then in the running process."""
    names = {**host.store.names(), slot: release}
    host.store.save_names(names)
    with suppress(ProxyDownError):  # it reads the file when it starts
        host.proxy.name(slot, release or EMPTY, patience=2)


def _stop_seconds(host: Host, release: str) -> int:
    with suppress(RefusedError):
        return host.store.record(release).spec.stop_seconds
    return 30


def reset(host: Host, state: HostState) -> bool:
    """Move traffic to the committed slot where it was moved by hand; return whether it had to be moved."""
    if not state.live:
        return False
    with suppress(ProxyDownError):  # a HAProxy that is down starts with it
        if host.proxy.now(patience=2).weight != weight_of(state.live.slot):
            host.proxy.move(weight_of(state.live.slot), PATIENCE_SECONDS)
            return True
    return False
