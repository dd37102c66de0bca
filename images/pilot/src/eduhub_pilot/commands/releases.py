"""`releases`: the releases that this host keeps, and what each is now. Changes nothing."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.state import HostState


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    del parser  # it takes none


def run(host: Host, _: argparse.Namespace) -> Outcome:
    """Run the command."""
    return releases(host)


def releases(host: Host) -> Outcome:
    """Return the releases kept on this host, newest first, each with what it is now."""
    state = host.store.state()
    newest_first = sorted(host.store.records().values(), key=lambda each: each.id, reverse=True)
    shown = ("id", "created", "python", "python_version", "image")
    listed = [
        {**{name: record.document()[name] for name in shown}, "is": _is(state, record.id)}
        for record in newest_first
    ]
    # Set in, the lines of a table are shown as they are and not folded.
    rows = [f"  {each['id']}  Python {each['python_version'] or '-'}  {each['is']}" for each in listed]
    say = "\n".join(["Kept on this host, newest first:", *rows]) if rows else "No release is kept on this host."
    return Outcome(0, say, False, {"releases": listed})


def _is(state: HostState, release: str) -> str:
    if state.live and state.live.release == release:
        return "live"
    if state.rollout and state.rollout.release == release:
        return "being rolled out"
    if state.last_good == release:
        return "last known-good: `rollback` goes here"
    return "known-good" if release in state.good else "not known to be good"
