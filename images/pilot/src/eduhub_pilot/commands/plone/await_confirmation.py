"""`plone-await`: wait until an upgrade of Plone's version is confirmed or rolled back, and roll it back when overdue.

It is overdue when it was not confirmed in time, or when its command ended before the new version served. A
confirmation that was interrupted is completed: the database of before may be marked as left by then. This runs
in a container of its own that the engine restarts whenever it ends, after a reboot too: writes are refused no longer
than that, whatever becomes of the operator. A run that holds the lock of the host is waited for. A full disk keeps it
from nothing but its notes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.commands.plone.confirm import confirmed
from eduhub_pilot.commands.plone.rollback import back_to_version
from eduhub_pilot.model.errors import PilotError, RefusedError
from eduhub_pilot.model.facts import PLONE_AWAIT
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import stamp
from eduhub_pilot.rollout.plone import confirming

POLL_SECONDS = 2.0
# A rollback that failed is tried again, each time after twice as long: what it needs may be there by then.
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 60.0, 900.0
# What no repetition helps against: a stop, after which the engine starts this again, and a container that is gone.
FOR_GOOD = frozenset({"stopped", "plone_rollback_blocked"})
DECIDED = "The upgrade does not wait any more: it was confirmed or rolled back."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_take_over(parser)
    work.add_directory(parser)


def without_settings(host: Host, run: str) -> None:
    """Do nothing where the settings that `plone-upgrade` kept cannot be read: which stack this is cannot be known."""


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    pause = RETRY_SECONDS
    while True:
        try:
            done = _until_over(host, options)
        except (PilotError, OSError) as error:
            code = getattr(error, "code", "")
            if code != "stopped":
                with suppress(PilotError, OSError):
                    host.note(options.run, "plone", "stuck", why=work.reason(error))
            if code == "plone_rollback_blocked":
                _let_end(host)
            if code in FOR_GOOD:
                raise
            print(work.reason(error), file=sys.stderr, flush=True)  # for `docker logs`
            host.clock.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)
        else:
            _let_end(host)
            return done


def _let_end(host: Host) -> None:
    host.engine.let_end(host.settings.container(PLONE_AWAIT))


def _until_over(host: Host, options: argparse.Namespace) -> Outcome:
    """Return once this run's upgrade waits no more, rolled back where it is overdue."""
    while upgrade := _waiting(host, options):
        lock, now = host.store.lock(), host.clock.now()
        if (lock is None or lock.expired(now)) and _overdue(host, upgrade, now):
            try:
                return _decided(host, options)
            except RefusedError as error:
                if error.code != "lock_held":
                    raise
        host.clock.sleep(POLL_SECONDS)
    return Outcome("plone_unchanged", DECIDED)


def _waiting(host: Host, options: argparse.Namespace) -> dict[str, Any] | None:
    """Return the record of this run's upgrade; None where it does not wait any more."""
    upgrade = host.store.plone_upgrade()
    return upgrade if upgrade and upgrade["run"] == options.run else None


def _overdue(host: Host, upgrade: Mapping[str, Any], now: datetime) -> bool:
    """Return whether no person decides any more; without a time the upgrade's command ended too early."""
    return confirming(host, upgrade) or "confirm_by" not in upgrade or bool(now >= upgrade["confirm_by"])


def _decided(host: Host, options: argparse.Namespace) -> Outcome:
    """Roll the upgrade back, or complete its confirmation, unless somebody has ended it in the meantime."""
    # A run of its own: an upgrade that was taken for dead notices that it has lost the host.
    own = argparse.Namespace(**{**vars(options), "run": f"{options.run}-await"})
    with work.locked_or_guarded(host, own.run, own.owner, own.verb) as heart:
        upgrade = _waiting(host, options)
        if upgrade is None:
            return Outcome("plone_unchanged", DECIDED)
        if confirming(host, upgrade):
            return confirmed(host, own, heart, upgrade)
        until = upgrade.get("confirm_by")
        why = f"it was not confirmed by {stamp(until)}" if until else "its command ended before it served"
        work.noted(host, options.run, "expired", why=why, version=upgrade["to"])
        return back_to_version(host, own, heart, upgrade)
