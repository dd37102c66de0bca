"""`patch-begin`: keep rollouts from a host whose packages are to be updated, and report what runs before."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.patching.compare import containers, versions
from eduhub_pilot.commands.plone.work import refuse_unconfirmed
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import PATCH, Lock
from eduhub_pilot.rollout import claim


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--owner", required=True, help="the operator, as user@host")
    parser.add_argument("--seconds", type=float, required=True, help="after which the lock of a run that died expires")
    parser.add_argument("--take-over", action="store_true", help="take the lock of an update that died")
    parser.add_argument("--check", action="store_true", help="take no lock")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return begin(
        host, options.run, options.owner, options.seconds, take_over=options.take_over, check=options.check
    )  # fmt: skip


def begin(
    host: Host, run: str, owner: str, seconds: float, *, take_over: bool = False, check: bool = False
) -> Outcome:  # fmt: skip
    """Take the lock, and return in `before` what runs now. RefusedError while a run has the host, or may return.

    An update that died, as with the operator's machine, leaves a lock that `take_over` replaces, unlike a rollout's.
    The answer has whether there is such a lock (`unfinished`), and whether its run drained the host, which still is
    (`left_drained`): this run ends that. `drained` in `before` is a drain of an operator's own.
    """
    replaced = PATCH if take_over else ""
    if not host.store.state().live:
        message = "No release is live on this host, so nobody could see whether it serves after an update."
        raise RefusedError("nothing_deployed", message, ["./invoke", "deploy"])
    refuse_unconfirmed(host)
    if check:
        with host.store.guard():
            claim.refuse_claimed(host, run, replaced)
            found = host.store.lock()
        dead = found if found and found.verb == PATCH else None
        data = {"unfinished": dead is not None, "left_drained": dead is not None and _is_left_drained(host, dead)}
        return Outcome("patch_admitted", "No run has the host.", data=data)
    lock = claim.take(host, run, owner, PATCH, seconds, replaced)
    left_drained = _is_left_drained(host, lock)
    before = {
        "versions": versions(host), "containers": containers(host), "left_drained": left_drained,
        "drained": host.store.draining() and not left_drained,
    }  # fmt: skip
    return Outcome("patch_admitted", "No other run may begin on the host.", data={"before": before})


def _is_left_drained(host: Host, lock: Lock) -> bool:
    return lock.step == claim.DRAIN and host.store.draining()
