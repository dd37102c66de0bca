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
    notes = [f"{count(broken, 'line')} of the journal cannot be read, as after a crash."] if broken else []
    now, serves = _now(host)
    document: dict[str, Any] = {"schema": SCHEMA, "host": host.name, "time": _stamp(host), "now": now, "rollout": None}
    if not run:
        before = " in what is left of its journal" if older else ""
        say = f"No rollout has happened on this host{before} yet: `./invoke deploy` begins."
        return Outcome(0, say, False, {"report": {**document, "notes": [say, *notes]}})
    name = str(run[0]["run"])
    seen = series(_samples(host, name))
    about = seen.notes
    told, left_out = timeline.events(run)
    if not seen.points:
        why = "it moved none, an older pilot moved it, or the disk was full"
        about = [*about, f"No samples of the traffic were kept of run {name}: {why}."]
    rollout = rollout_of(host, name, run) | {"verdicts": timeline.verdicts(run), "timeline": told}
    rollout |= {"steps": seen.steps, "points": seen.points}
    document |= {"rollout": rollout, "notes": [*notes, *left_out, *about]}
    say = f"{rollout['verb']} to {rollout['to']['release']}, run {name}: {rollout['result']}. {serves}"
    return Outcome(0, say.strip(), False, {"report": document})


def _samples(host: Host, name: str) -> list[str]:
    try:
        return host.store.samples(name)
    except OSError:
        return []


def _now(host: Host) -> tuple[dict[str, Any] | None, str]:
    """Return the host's status object, and what to say of it; a release.json that cannot be read ends no report."""
    try:
        return status(host).data["status"], ""
    except RefusedError as error:
        return None, error.say


def _stamp(host: Host) -> str:
    return host.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
