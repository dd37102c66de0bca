"""`maintenance on|off`: refuse writes at the edge, or take them again. Reads, and pages that are stored, go on.

It is on the disk first, so that a HAProxy that restarts comes back with it. The bridges of both slots read the same
file: what they write by themselves, operations of jobs, waits too.
"""

from __future__ import annotations

import argparse
from contextlib import suppress

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.adapters.sampling import METRICS_BYTES, METRICS_SECONDS
from eduhub_pilot.adapters.store import maintenance_value
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import SLOTS, Slot
from eduhub_pilot.model.outcome import Outcome

# The answer with the reason has to fit into one buffer of HAProxy, and into a line of the terminal.
REASON_CHARACTERS = 200
# A bridge counts the jobs that wait once a second. An operation in hand takes Plone some seconds, an export minutes.
COUNTED_SECONDS, IN_HAND_SECONDS = 2.0, 10.0
RUNNING, QUEUED, HELD = "eduhub_bridge_jobs", "eduhub_bridge_jobs_queued", "eduhub_bridge_maintenance"


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
        host.proxy.set_writes(maintenance_value(reason), TIMEOUT_SECONDS)
        if changed:
            host.note(None, "maintenance", "off" if reason is None else "on", why=reason)
    if reason is None:
        return Outcome("maintenance_off", "The edge takes writes.", changed)
    why = f" ({reason})" if reason else ""
    return Outcome("maintenance_on", f"The edge answers writes with 503{why}. Reads go on. {_jobs(host)}", changed)


def _jobs(host: Host) -> str:
    """Return what the jobs of the bridge do, once the operations in hand have ended or have had time for it."""
    deadline = host.clock.monotonic() + IN_HAND_SECONDS
    host.clock.sleep(COUNTED_SECONDS)
    while True:
        counts, silent = _counts(host)
        running = sum(each[0] for each in counts.values())
        if silent or not running or host.clock.monotonic() >= deadline:
            break
        host.clock.sleep(1.0)
    if silent:
        slots = " and ".join(silent)
        return (
            f"Jobs of the bridge in slot {slots} may write: it does not say that it knows of maintenance. Cancel them, "
            "or deploy the present release."
        )
    # Both slots count the same store.
    queued = max((each[1] for each in counts.values()), default=0)
    verb = "runs" if running == 1 else "run"
    still = f"{running} still {verb}: an operation in hand, or an export, which only reads" if running else "none runs"
    return f"Jobs of the bridge: {queued} wait, {still}."


def _counts(host: Host) -> tuple[dict[Slot, tuple[int, int]], list[Slot]]:
    """Return how many jobs run in each slot and wait in its store, and the slots that do not say that they hold any."""
    counts: dict[Slot, tuple[int, int]] = {}
    silent: list[Slot] = []
    live = host.store.state().live
    for slot in SLOTS:
        answer = host.ask(host.settings.private_endpoints[slot], "/metrics", METRICS_SECONDS, most=METRICS_BYTES)
        numbers = dict(line.split()[:2] for line in answer.body.splitlines() if len(line.split()) == 2)
        with suppress(KeyError, ValueError, OverflowError):
            if float(numbers[HELD]):
                counts[slot] = int(float(numbers[RUNNING])), int(float(numbers[QUEUED]))
        if slot not in counts and (answer.good or (live and live.slot == slot)):
            silent.append(slot)
    return counts, silent
