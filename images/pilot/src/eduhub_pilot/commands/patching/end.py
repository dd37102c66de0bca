"""`patch-end`: wait until the host serves as before its packages were updated, note what changed, free the lock."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.balancer.serving import silent
from eduhub_pilot.commands.patching.compare import changes, versions, wait_for
from eduhub_pilot.model.errors import PersonError, PilotError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout import claim

STATUS, DEPLOY = ["./invoke", "status"], ["./invoke", "deploy"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--before", default="", help="what ran before, as `patch-begin` answered it, in JSON")
    parser.add_argument("--seconds", type=float, default=0, help="how long the containers may take to serve")
    parser.add_argument("--updates", type=int, default=0, help="how many packages were updated")
    parser.add_argument("--rebooted", action="store_true", help="the host was rebooted")
    parser.add_argument("--failed", default="", help="why the packages were not updated: then nothing is waited for")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    if options.failed:
        return give_up(host, options.run, options.failed)
    before = json.loads(options.before)
    return end(host, options.run, before, options.seconds, options.updates, rebooted=options.rebooted)


def end(
    host: Host, run: str, before: Mapping[str, Any], seconds: float, updates: int, *, rebooted: bool
) -> Outcome:  # fmt: skip
    """Wait `seconds` at most, and write one line with the versions before and after. PersonError where it is silent.

    The lock is freed either way: what brings such a host back is a deployment.
    """
    began = host.clock.monotonic()
    try:
        why = _trouble(host, before["containers"], seconds)
        now = {} if why else versions(host)
    except PilotError as error:
        why, now = error.message, {}
    took = round(host.clock.monotonic() - began, 1)
    what = {"updated": updates, "rebooted": rebooted, "seconds": took, "before": before["versions"], "after": now}
    claim.free(host, run)
    if why:
        host.note(run, "patch", "failed", why=why, **what)
        after = "the reboot" if rebooted else "the update of its packages"
        message = f"The host does not serve as it did before {after}, after {took:.0f} s: {why}"
        raise PersonError("patch_not_serving", message, STATUS, DEPLOY)
    host.note(run, "patch", "patched", **what)
    told = "; ".join(changes(before["versions"], now))
    counted = f"{updates} package{'' if updates == 1 else 's'} updated{', rebooted' if rebooted else ''}"
    return Outcome("patched", f"The host serves. {counted}: {told}.", True, {"patch": {**what, "ended": True}})


def give_up(host: Host, run: str, why: str) -> Outcome:
    """Note why the packages were not updated, and free the lock."""
    claim.free(host, run)
    host.note(run, "patch", "failed", why=why)
    return Outcome("patch_ended", "Other runs may begin on the host.", True)


def _trouble(host: Host, names: list[str], seconds: float) -> str | None:
    """Return what does not serve in time, as a sentence; None where all does."""
    deadline = host.clock.monotonic() + seconds
    if late := wait_for(host, names, seconds):
        return f"{', '.join(f'{name} is {state}' for name, state in late.items())}."
    live = host.store.state().live
    left = max(host.settings.start_seconds, deadline - host.clock.monotonic())
    why = silent(host, live, left) if live else "no release is live"
    return f"{why}." if why else None
