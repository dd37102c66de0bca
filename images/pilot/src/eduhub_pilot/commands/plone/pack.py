"""`pack`: remove from Plone's database what is no longer its content, while Plone serves."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.model.outcome import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_arguments(parser)
    parser.add_argument("--keep-days", type=int, required=True, help="days for which changes can still be undone")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    work.plone(host)
    with work.locked(host, options.run, options.owner, "plone.pack") as heart:
        host.note(options.run, "pack", "begun", owner=options.owner, days=options.keep_days)
        answer = work.worked(host, options.directory, ["pack", "--days", str(options.keep_days)], heart)
        sizes = {"before": answer["before"], "after": answer["after"], "seconds": answer["seconds"]}
        host.note(options.run, "pack", "packed", **sizes)
    return Outcome(answer["code"], answer["message"], True, sizes)
