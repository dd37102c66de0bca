"""`releases`: the releases that this host keeps, each with its role. Changes nothing."""

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
    """Return the releases kept on this host, newest first, each with its role now."""
    state = host.store.state()
    newest_first = sorted(host.store.records().values(), key=lambda each: each.id, reverse=True)
    shown = ("id", "created", "python", "python_version", "image")
    listed = [
        {**{name: record.document()[name] for name in shown}, "is": _is(state, record.id)}
        for record in newest_first
    ]
    # Indented lines are shown unfolded.
    rows = [f"  {each['id']}  Python {each['python_version'] or '-'}  {each['is']}" for each in listed]
    message = "\n".join(["Releases on this host, newest first:", *rows]) if rows else "This host keeps no release."
    return Outcome("releases_listed", message, False, {"releases": listed})


def _is(state: HostState, release: str) -> str:
    if state.live and state.live.release == release:
        return "live"
    if state.rollout and state.rollout.release == release:
        return "being rolled out"
    if state.last_good == release:
        return "last known-good: the rollback target"
    return "known-good" if release in state.good else "not known to be good"
