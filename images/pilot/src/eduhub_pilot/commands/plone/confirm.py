"""`plone-confirm`: take writes again with another version of Plone. From then on only a backup returns."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.commands.plone.version import reopen, step
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import PLONE, PREVIOUS_PLONE
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.plone import ROLLBACK, VERSION, returnable


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
        # Before the first write, so that none can be lost. The mark first: on a full disk that fails, and a rollback is
        # needed still.
        step(host, options.directory, serves.name, "confirm", heart, f"--serves={upgrade['from']}")
        host.engine.remove(host.settings.container(PREVIOUS_PLONE), work.STOP_SECONDS)
        host.store.save_backup({})  # none can be restored into this version
        reopen(host)
        host.note(options.run, "plone", "confirmed", version=upgrade["to"], was=upgrade["from"])
    to = upgrade["to"]
    message = (
        f'Plone {to} takes writes. Write plone_version: "{to}" into the inventory. The database of {upgrade["from"]} '
        "stays in Plone's volume until the next upgrade, without what is written from now on."
    )
    return Outcome("plone_confirmed", message, True, {"plone_version": to}, [["./invoke", "plone.backup"]])
