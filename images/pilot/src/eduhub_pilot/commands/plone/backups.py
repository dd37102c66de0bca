"""`backups`: the backups of Plone's data on this host, and their copies, newest first. Changes nothing."""

from __future__ import annotations

import argparse
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.plone import copies, work
from eduhub_pilot.model.copies import Told, told
from eduhub_pilot.model.errors import PilotError
from eduhub_pilot.model.outcome import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_directory(parser)
    copies.add_arguments(parser)


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    work.plone(host)
    answer = work.worked(host, options.directory, ["list"], part="list")
    backups, where, message = answer["backups"], told(options.copy), answer["message"]
    last = host.store.backup() or {}
    if not backups and last.get("directory") == options.directory:
        message += f" The last proven one, {last['id']}, was made in {options.directory}: is anything mounted there?"
    if where:
        message += f"\n{_copied(host, where, backups)}"
    return Outcome(answer["code"], message, False, {"backups": backups})


def _copied(host: Host, where: Told, backups: list[dict[str, Any]]) -> str:
    """Note in `backups` whether each has a copy, None where that is unknown, and return all copies in lines."""
    repository = copies.Repository(host, where, "copy-list")
    try:
        repository.identity()
        found = [copy.id for copy in reversed(repository.copies())]
    except PilotError as error:
        for each in backups:
            each["copied"] = None
        return f"Copies are not listed: {error.message}"
    here = {each["id"] for each in backups}
    for each in backups:
        each["copied"] = each["id"] in found
    if not found:
        return f"{where.to} has no copy yet."
    rows = [f"  {each}  {'also on this host' if each in here else 'only there'}" for each in found]
    return "\n".join([f"Copies in {where.to}, newest first, by times in UTC:", *rows])
