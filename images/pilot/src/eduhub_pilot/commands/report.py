"""`report`: the last rollout of this host as one document of bounded size. Changes nothing."""

from __future__ import annotations

import argparse
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.analysis import timeline
from eduhub_pilot.analysis.series import count, series
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.status import status
from eduhub_pilot.rollout.summary import rollout_of

SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    del parser  # it takes none


def run(host: Host, _: argparse.Namespace) -> Outcome:
    """Run the command."""
    return report(host)


def report(host: Host) -> Outcome:
    """Return the document that docs/reference/report.md describes; `rollout` is null where there was none."""
    lines, older = host.store.journal()
    journal, broken = timeline.entries(lines)
    run = timeline.last_run(journal)
    notes = [f"{count(broken, 'line')} of the journal could not be read."] if broken else []
    now, unreadable = _now(host)
    document: dict[str, Any] = {"schema": SCHEMA, "host": host.name, "time": _stamp(host), "now": now, "rollout": None}
    if not run:
        kept = " in the part of its journal that was read" if older else ""
        message = f"This host has no rollout{kept}."
        data = {"report": {**document, "notes": [message, *notes]}}
        return Outcome("no_rollout_recorded", message, False, data, [["./invoke", "deploy"]])
    name = str(run[0]["run"])
    sampled = series(_samples(host, name))
    about = sampled.notes
    told, left_out = timeline.events(run)
    if not sampled.points:
        why = "it moved no traffic, an older pilot moved it, or the disk was full"
        about = [*about, f"Run {name} has no traffic samples: {why}."]
    rollout = rollout_of(host, name, run) | {"verdicts": timeline.verdicts(run), "timeline": told}
    rollout |= {"steps": sampled.steps, "points": sampled.points}
    document |= {"rollout": rollout, "notes": [*notes, *left_out, *about]}
    message = f"{rollout['verb']} to {rollout['to']['release']}, run {name}: {rollout['result']}. {unreadable}"
    return Outcome("report_made", message.strip(), False, {"report": document})


def _samples(host: Host, name: str) -> list[str]:
    try:
        return host.store.samples(name)
    except OSError:
        return []


def _now(host: Host) -> tuple[dict[str, Any] | None, str]:
    """Return the host's status object, or None and why it cannot be read: a report needs no release.json."""
    try:
        return status(host).data["status"], ""
    except RefusedError as error:
        return None, error.message


def _stamp(host: Host) -> str:
    return host.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
