"""`maintenance on|off`: refuse writes at the edge, or take them again. Reads, and pages that are stored, go on.

It is on the disk first, so that a HAProxy that restarts comes back with it.
"""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import PATIENCE_SECONDS, Host
from eduhub_pilot.adapters.store import maintenance_value
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.outcome import Outcome

# The answer with the reason has to fit into one buffer of HAProxy, and into a line of the terminal.
REASON_CHARACTERS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("state", help="on or off")
    parser.add_argument("--reason", default="", help="what clients are told")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    if options.state not in {"on", "off"}:
        message = f"Maintenance is on or off, not {options.state[:40]!r}."
        raise RefusedError("maintenance_unknown", message, ["./invoke", "maintenance", "on"])
    return maintenance(host, " ".join(options.reason.split())[:REASON_CHARACTERS] if options.state == "on" else None)


def maintenance(host: Host, reason: str | None) -> Outcome:
    """Refuse writes for `reason`, or take them where it is None; idempotent."""
    with host.store.guard():
        changed = host.store.maintenance() != reason
        if changed:
            host.store.save_maintenance(reason)
        # Said again even where the disk has it: a pilot may have died between the two.
        host.proxy.set_writes(maintenance_value(reason), PATIENCE_SECONDS)
        if changed:
            host.note(None, "maintenance", "off" if reason is None else "on", why=reason)
    if reason is None:
        return Outcome("maintenance_off", "The edge takes writes.", changed)
    why = f" ({reason})" if reason else ""
    return Outcome("maintenance_on", f"The edge answers writes with 503{why}. Reads go on.", changed)
