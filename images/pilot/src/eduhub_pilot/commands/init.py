"""`init`: the state files and maps that are missing. What is there is never changed."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.facts import weight_of
from eduhub_pilot.model.outcome import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    del parser  # it takes none


def run(host: Host, _: argparse.Namespace) -> Outcome:
    """Run the command."""
    return init(host)


def init(host: Host) -> Outcome:
    """Make what is missing, agreeing with what is there; idempotent. Ansible makes the folders and their owners."""
    made = []
    root = host.store.root
    with host.store.guard():
        state = host.store.state()
        if not (root / "edge/traffic.map").exists():
            host.store.save_share(weight_of(state.live.slot) if state.live else 0)
            made.append("edge/traffic.map")
        if not (root / "edge/releases.map").exists():
            host.store.save_names(state.slots)
            made.append("edge/releases.map")
        if not (root / "edge/transport.map").exists():
            host.store.save_transports(host.store.transports())
            made.append("edge/transport.map")
        if not (root / "release.json").exists():
            host.store.save_state(state)
            made.append("release.json")
        if made or not (root / "journal.jsonl").exists():
            host.note(None, "init", "made", files=made)
    say = f"Made {', '.join(made)}." if made else "All state files are there."
    return Outcome(0, say, bool(made))
