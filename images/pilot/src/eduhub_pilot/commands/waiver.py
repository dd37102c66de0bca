"""`waiver`: why a rollback need not reach readiness, where it has a reason. Changes nothing."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.gates.waiver import waiver_of
from eduhub_pilot.model.outcome import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return waiver(host, options.run)


def waiver(host: Host, run: str) -> Outcome:
    """Return the waiver of `run` as data, None where there is none; a run without a rollout needs no readiness."""
    rollout = host.store.state().rollout
    if rollout is None or rollout.run != run:
        message = f"Run {run} has no rollout."
        return Outcome("waived", message, False, {"waiver": message})
    why = waiver_of(host, rollout)
    if why is None:
        return Outcome("no_waiver", "The release before the rollback is ready.", False, {"waiver": None})
    return Outcome("waived", f"The rollback need not reach readiness: {why}.", False, {"waiver": why})
