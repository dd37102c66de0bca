"""`plone-confirm`: take writes again with another version of Plone. From then on only a backup returns."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from eduhub_pilot.adapters.host import Heart, Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.commands.plone.version import reopen, step
from eduhub_pilot.model.errors import PilotError, RefusedError
from eduhub_pilot.model.facts import PLONE, PREVIOUS_PLONE, Container
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.plone import ROLLBACK, VERSION, confirming, returnable

# After these a step may have been taken, or be taken still.
UNKNOWN = frozenset({"engine_down", "run_superseded", "stopped"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_arguments(parser)


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    with work.locked(host, options.run, options.owner, "plone.confirm") as heart:
        upgrade, serves = host.store.plone_upgrade(), host.engine.container(host.settings.container(PLONE))
        if upgrade is None:
            message = "No upgrade of Plone's version waits for its confirmation. Nothing was changed."
            raise RefusedError("plone_nothing_to_confirm", message, ["./invoke", "status"])
        if not confirming(host, upgrade):
            _refuse_interrupted(host, upgrade, serves)
        return confirmed(host, options, heart, upgrade)


def _refuse_interrupted(host: Host, upgrade: Mapping[str, Any], serves: Container | None) -> None:
    if serves is None or serves.labels.get(VERSION) != upgrade["to"] or not serves.runs:
        message = (
            f"The upgrade to Plone {upgrade['to']} was interrupted before it served, so it cannot be confirmed. "
            "Nothing was changed. A rollback takes writes again."
        )
        raise RefusedError("plone_upgrade_unconfirmed", message, ROLLBACK)
    if "confirm_by" not in upgrade and returnable(host, upgrade["from"]):
        message = (
            f"The upgrade to Plone {upgrade['to']} was interrupted before it had been watched, and before a late "
            "write was looked for, so it cannot be confirmed. Nothing was changed. A rollback takes writes again."
        )
        raise RefusedError("plone_upgrade_unconfirmed", message, ROLLBACK)


def confirmed(host: Host, options: argparse.Namespace, heart: Heart, upgrade: Mapping[str, Any]) -> Outcome:
    """Take writes with the version that serves, and let nothing return from it. The caller holds the lock."""
    begun = {"confirming": host.clock.now(), **upgrade}
    host.store.save_plone_upgrade(begun)  # from here on it is only completed: which database is marked is not known
    try:
        # Before the first write, so that none can be lost. The mark first: on a full disk that fails, and a rollback is
        # needed still.
        words = f"--serves={upgrade['from']}"
        step(host, options.directory, host.settings.container(PLONE), "confirm", heart, words)
    except PilotError as error:
        if error.code not in UNKNOWN:
            del begun["confirming"]
            host.store.save_plone_upgrade(begun)
        raise
    host.engine.remove(host.settings.container(PREVIOUS_PLONE), work.STOP_SECONDS)
    host.store.save_backup({})  # none can be restored into this version
    reopen(host)
    work.noted(host, options.run, "confirmed", version=upgrade["to"], was=upgrade["from"])
    to = upgrade["to"]
    message = (
        f'Plone {to} takes writes. Write plone_version: "{to}" into the inventory. The database of {upgrade["from"]} '
        "stays in Plone's volume until the next upgrade, without what is written from now on."
    )
    return Outcome("plone_confirmed", message, True, {"plone_version": to}, [["./invoke", "plone.backup"]])
