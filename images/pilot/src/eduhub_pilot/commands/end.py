"""`end`: release the lock of a run."""

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
    """Release the lock if this run holds it. An unfinished rollout stays recorded, to be undone or resumed."""
    with host.store.guard():
        lock = host.store.lock()
        if lock is None or lock.run != run:
            return Outcome("no_lock_to_release", f"Run {run} holds no lock on this host.")
        _, state = host.held(run)
        host.store.free()
        host.note(run, "end", "lock_released")
    left = f" Run {run} is unfinished: the next run undoes or resumes it." if state.rollout else ""
    following = [["./invoke", "upgrade", "--resume"]] if state.rollout else []
    message = f"The lock is released. {serving(state)}{left}"
    return Outcome("lock_released", message, True, {"serving": host.serving(state)}, following)
