"""`init`: create missing state files and maps. Existing files are never changed."""

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
    """Create what is missing, consistent with what exists; idempotent. Ansible creates the directories."""
    created = []
    root = host.store.root
    with host.store.guard():
        state = host.store.state()
        if not (root / "edge/traffic.map").exists():
            host.store.save_weight(weight_of(state.live.slot) if state.live else 0)
            created.append("edge/traffic.map")
        if not (root / "edge/releases.map").exists():
            host.store.save_names(state.slots)
            created.append("edge/releases.map")
        if not (root / "edge/transport.map").exists():
            host.store.save_transports(host.store.transports())
            created.append("edge/transport.map")
        if not (root / "edge/maintenance.map").exists():
            host.store.save_maintenance(None)
            created.append("edge/maintenance.map")
        if not (root / "edge/drain.map").exists():
            host.store.save_draining(False)
            created.append("edge/drain.map")
        if not (root / "release.json").exists():
            host.store.save_state(state)
            created.append("release.json")
        if created or not (root / "journal.jsonl").exists():
            host.note(None, "init", "created", files=created)
    if not created:
        return Outcome("already_initialized", "All state files exist.")
    return Outcome("initialized", f"Created {', '.join(created)}.", True)
