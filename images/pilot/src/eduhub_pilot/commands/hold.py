"""`hold`: the deadline of a run that has moved all traffic and awaits its confirmation. Changes nothing."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import FailedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.inspection import inspect
from eduhub_pilot.rollout.messages import ended
from eduhub_pilot.rollout.summary import summed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return summed(host, options.run, hold(host, options.run))


def hold(host: Host, run: str) -> Outcome:
    """Return the deadline for confirming `run`; FailedError when it does not await a confirmation."""
    inspection = inspect(host)
    rollout, last = inspection.state.rollout, inspection.state.last
    if rollout is None or rollout.run != run or inspection.deadline is None:
        how = f" {ended(last)}" if last and last.run == run else ""
        raise FailedError("hold_over", f"Run {run} does not await a confirmation.{how}", ["./invoke", "status"])
    message = (
        f"All traffic is on {rollout.release} ({rollout.slot}), unconfirmed. It is reverted at {inspection.deadline} "
        "unless it is confirmed."
    )
    data = {"deadline": inspection.deadline}
    return Outcome("awaiting_confirmation", message, False, data, [["./invoke", "confirm"], ["./invoke", "rollback"]])
