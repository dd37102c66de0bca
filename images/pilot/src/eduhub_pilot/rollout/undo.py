"""Undoing a run: traffic back first, then everything else. Safe to repeat, killed at any line.

The first deed writes nothing, so that a full disk cannot keep traffic on a slot that nobody vouches for. The rollout
stays recorded until its container is gone, so whoever comes next goes on where a killed revert stopped.
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
    """Let the committed slot have all traffic again; writes nothing to disk.

    A HAProxy that is down comes back with the committed slot by itself. PersonError when one that runs cannot be told:
    removing the new slot's container under it would fail requests.
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
                f"{error.say} Its container {edge.name} runs, so traffic may still be on the unconfirmed slot, which "
                f"was left alone. `docker restart {edge.name}` brings back {state.live.slot}; then type your "
                "command again."
            ) from None


def _committed(host: Host, state: HostState, live: Slot) -> int:
    """Return green's committed share: that of the live slot, whatever has become of traffic.map.

    Only where a confirmation was cut in the middle traffic.map knows better: its rename is the commit.
    """
    share = None
    if state.rollout and state.rollout.step == "confirm":
        with suppress(RefusedError):
            share = host.store.kept_weight()
    return weight_of(live) if share is None else share


def undo(host: Host, state: HostState, rollout: Rollout, why: str) -> Undone:
    """Undo `rollout`, behind the guard: give traffic back, remove its container, forget it. The lock stays."""
    give_back(host, state)
    host.note(rollout.run, "revert", "given back", slot=state.live.slot if state.live else None, why=why)
    if state.live and drained(host, rollout.slot, host.settings.drain_seconds, lambda: None):
        with suppress(ProxyDownError):
            host.note_connections(rollout.run, "revert", "cut", rollout.slot, host.proxy.left(rollout.slot, patience=2))
    name = host.settings.container(rollout.slot)
    try:
        log = host.engine.log(name, LOG_LINES)
        host.engine.remove(name, _stop_seconds(host, rollout.release))
    except EngineDownError as error:
        serving = f"{state.live.slot} serves {state.live.release}" if state.live else "Nothing serves"
        raise PersonError(
            f"{serving}, but {name} could not be removed: {error.say} Once the engine answers, the next run "
            "removes it, or `docker rm -f` does."
        ) from None
    rename(host, rollout.slot, None)
    # Before release.json forgets the rollout: a pilot killed in between says it twice, and nobody says nothing.
    host.note(rollout.run, "revert", "reverted", slot=rollout.slot, release=rollout.release, why=why, log=log)
    state = state.undone(rollout, why, host.clock.now())
    host.store.save_state(state)
    return Undone(state, log)


def rename(host: Host, slot: Slot, release: str | None) -> None:
    """Let HAProxy name `release` in the answers of `slot`: on disk, then in the running one if there is one."""
    names = {**host.store.names(), slot: release}
    host.store.save_names(names)
    with suppress(ProxyDownError):  # it reads the file when it is back
        host.proxy.name(slot, release or EMPTY, patience=2)


def _stop_seconds(host: Host, release: str) -> int:
    with suppress(RefusedError):
        return host.store.record(release).spec.stop_seconds
    return 30


def reset(host: Host, state: HostState) -> bool:
    """Give traffic back to the committed slot where somebody moved it by hand; return whether it had to be."""
    if not state.live:
        return False
    with suppress(ProxyDownError):  # a HAProxy that is down comes back with it
        if host.proxy.now(patience=2).share != weight_of(state.live.slot):
            host.proxy.move(weight_of(state.live.slot), PATIENCE_SECONDS)
            return True
    return False
