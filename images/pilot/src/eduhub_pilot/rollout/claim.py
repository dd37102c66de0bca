"""The lock of a host for work that is no rollout, and that no rollout may begin in: it is taken, and freed."""

from __future__ import annotations

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.state import PATCH, Lock, stamp
from eduhub_pilot.rollout.admission import PATCH_ON, STATUS, died

BEGIN, DRAIN = "begin", "drain"  # steps: with the second, the host was drained under the lock


def refuse_claimed(host: Host, run: str, replaced: str = "") -> None:
    """Raise RefusedError where another run has the host. Needs the guard.

    A rollout that is not over has a claim on the host without a lock too. A lock of the verb `replaced` is none.
    """
    lock, rollout = host.store.lock(), host.store.state().rollout
    if lock and lock.run != run and lock.verb != replaced and not lock.expired(host.clock.now()):
        raise RefusedError(
            "lock_held",
            f"{lock.owner} holds the lock of this host since {stamp(lock.since)}: run {lock.run}, verb "
            f"{lock.verb}, step {lock.step}. Nothing was changed. Repeat the command when that run has "
            f"ended.{died(lock)}",
            STATUS, *([PATCH_ON] if lock.verb == PATCH else []),
        )
    if rollout:
        raise RefusedError(
            "lock_held",
            f"The rollout of run {rollout.run} is not over: it is at step {rollout.step}. Nothing was changed. "
            "Confirm it or roll it back first.",
            STATUS,
        )


def take(host: Host, run: str, owner: str, verb: str, seconds: float, replaced: str = "") -> Lock:
    """Take the lock and return it; it expires `seconds` after its last heartbeat. RefusedError as for `refuse_claimed`.

    It has the step of a lock of the same verb that is left of a run that died.
    """
    now = host.clock.now()
    with host.store.guard():
        refuse_claimed(host, run, replaced)
        left = host.store.lock()
        step = left.step if left and left.verb == verb else BEGIN
        taken = Lock(owner, run, verb, step, now, now, seconds)
        if left:
            host.store.renew(taken)
        else:
            host.store.take(taken)
    return taken


def free(host: Host, run: str) -> None:
    """Free the lock, if `run` still holds it."""
    with host.store.guard():
        held = host.store.lock()
        if held and held.run == run:
            host.store.free()
