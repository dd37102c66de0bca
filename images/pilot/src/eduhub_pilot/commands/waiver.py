"""`waiver`: why a rollback may leave the host as it found it, if it may. Changes nothing."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.gates.waiver import excuse
from eduhub_pilot.model.outcome import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return excused(host, options.run)


def excused(host: Host, run: str) -> Outcome:
    """Return the excuse of `run` as data, None where there is none; a run that rolled nothing can give nothing back."""
    rollout = host.store.state().rollout
    if rollout is None or rollout.run != run:
        say = "This run moved nothing that it could give back."
        return Outcome(0, say, False, {"excused": say})
    why = excuse(host, rollout)
    say = f"Gone back all the same, since {why}." if why else "What is left is ready."
    return Outcome(0, say, False, {"excused": why})
