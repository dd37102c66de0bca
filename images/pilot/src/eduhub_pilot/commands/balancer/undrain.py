"""`undrain`: tell the balancer before this host to come, once the public address is answered by the live release."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.commands.balancer.serving import silent
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.outcome import Outcome

STATUS, DEPLOY = ["./invoke", "status"], ["./invoke", "deploy"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--taken-back", action="store_true", help="undo a drain that was just begun, unproven")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return take_back(host) if options.taken_back else undrain(host, check=options.check)


def undrain(host: Host, *, check: bool = False) -> Outcome:
    """Take the mark away; idempotent. RefusedError where the host does not serve, as long as a slot may take to start.

    A host that was just rebooted is waited for.
    """
    changed = host.store.draining()
    if changed:
        _refuse_unless_it_serves(host)
    if check:
        what = "serves, and would tell its balancer to come" if changed else "is not drained"
        return Outcome("undrain_planned", f"The host {what}.", changed)
    _take_mark_away(host, changed)
    how = "serves, and tells its balancer to come" if changed else "was not drained: its balancer is told to come"
    return Outcome("undrained", f"The host {how}.", changed)


def take_back(host: Host) -> Outcome:
    """Take the mark away from a host that serves as it did before it was marked, a moment ago."""
    changed = host.store.draining()
    _take_mark_away(host, changed)
    return Outcome("drain_taken_back", "The host tells its balancer to come, as before.", changed)


def _take_mark_away(host: Host, changed: bool) -> None:
    with host.store.guard():
        if changed:
            host.store.save_draining(False)
        # Said again even where the disk has it: a pilot may have died between the two.
        host.proxy.set_draining(False, TIMEOUT_SECONDS)
        if changed:
            host.note(None, "drain", "off")


def _refuse_unless_it_serves(host: Host) -> None:
    state = host.store.state()
    if not state.live:
        raise RefusedError("nothing_deployed", "No release is live on this host; it stays drained.", DEPLOY)
    if why := silent(host, state.live, host.settings.start_seconds):
        raise RefusedError("not_serving", f"The host stays drained: {why}.", STATUS, DEPLOY)
