"""`status`: the live release, the slots, the lock and the rollback. Changes nothing."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.status import status
from eduhub_pilot.rollout.summary import summed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    del parser  # it takes none


def run(host: Host, _: argparse.Namespace) -> Outcome:
    """Run the command."""
    outcome = status(host)
    rollout = outcome.data["status"]["rollout"]
    return summed(host, rollout["run"], outcome) if rollout else outcome
