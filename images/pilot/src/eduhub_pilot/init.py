"""`init`: the state files and maps that are missing. What is there is never changed."""

from __future__ import annotations

from eduhub_pilot.facts import share_of
from eduhub_pilot.host import Host, Outcome


def init(host: Host) -> Outcome:
    """Make what is missing, agreeing with what is there; idempotent. Ansible makes the folders and their owners."""
    made = []
    root = host.store.root
    with host.store.guard():
        state = host.store.state()
        if not (root / "edge/traffic.map").exists():
            host.store.save_share(share_of(state.live.slot) if state.live else 0)
            made.append("edge/traffic.map")
        if not (root / "edge/releases.map").exists():
            host.store.save_names(state.slots)
            made.append("edge/releases.map")
        if not (root / "release.json").exists():
            host.store.save_state(state)
            made.append("release.json")
        if made or not (root / "journal.jsonl").exists():
            host.note(None, "init", "made", files=made)
    say = f"Made {', '.join(made)}." if made else "All state files are there."
    return Outcome(0, say, bool(made))
