"""`hold`: until when a run that has moved all traffic waits for a person to confirm it. Changes nothing."""

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
    """Return until when `run`, which has moved all traffic, waits for a person; FailedError when it does not."""
    inspection = inspect(host)
    rollout, last = inspection.state.rollout, inspection.state.last
    if rollout is None or rollout.run != run or inspection.goes_back is None:
        how = ended(last) if last and last.run == run else "`./invoke status` says what became of it."
        raise FailedError(f"Run {run} waits for nobody. {how}")
    words = f"{rollout.slot} ({rollout.release}) has all traffic and waits for a person, until {inspection.goes_back}."
    return Outcome(0, words)
