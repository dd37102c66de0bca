"""`end`: free the lock of a run."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.messages import serving
from eduhub_pilot.rollout.summary import summed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    return summed(host, options.run, end(host, options.run))


def end(host: Host, run: str) -> Outcome:
    """Free the lock if it is this run's. An unfinished rollout stays recorded, for the next run to undo or resume."""
    with host.store.guard():
        lock = host.store.lock()
        if lock is None or lock.run != run:
            return Outcome(0, f"Run {run} holds no lock here.")
        _, state = host.held(run)
        host.store.free()
        host.note(run, "end", "freed")
    left = f" Run {run} is unfinished: the next one undoes it, or --resume goes on with it." if state.rollout else ""
    return Outcome(0, f"The lock is free. {serving(state)}{left}", True, {"serving": host.serving(state)})
