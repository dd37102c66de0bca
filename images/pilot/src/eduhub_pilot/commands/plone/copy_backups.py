"""`copy-backups`: copy the proven backups of Plone's data that have no copy yet. The host runs it after its backup."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.plone import copies, work
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.outcome import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_directory(parser)
    copies.add_arguments(parser)
    parser.add_argument("--run", required=True, help="id of the run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    work.plone(host)
    where, backup = copies.wanted(options), host.store.backup()
    if backup is None:
        message = "Plone has no proven backup, so there is nothing to copy."
        raise RefusedError("backup_unknown", message, ["./invoke", "plone.backup"])
    message = f"Backup {backup['id']}: {copies.made(host, where, options.directory, options.run, backup)}"
    return Outcome("backups_copied", message, True, {"backup": backup}, [work.LIST])
