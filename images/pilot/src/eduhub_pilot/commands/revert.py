"""`revert`: undo a run and report the live release."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.revert import revert
from eduhub_pilot.rollout.summary import summed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--why", default="requested", help="for the journal and the operator")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return summed(host, options.run, revert(host, options.run, options.why.strip().partition("\n")[0]))
