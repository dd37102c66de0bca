"""`backups`: the backups of Plone's data on this host, newest first. Changes nothing."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.model.outcome import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_directory(parser)


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    work.plone(host)
    answer = work.worked(host, options.directory, ["list"])
    return Outcome(answer["code"], answer["message"], False, {"backups": answer["backups"]})
