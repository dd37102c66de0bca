"""`candidate`: the image that a deployment or an upgrade would start, to check its signature first."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.begin import release_of, resumed_record
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.release import Spec, parse_spec
from eduhub_pilot.rollout.admission import RunRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--verb", required=True, choices=["deploy", "upgrade"])
    parser.add_argument("--python", help="Python to move to, as 3.11; without it the live one stays")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    request = RunRequest(options.run, "", options.verb, options.python, resume=options.resume)
    return candidate(host, request, parse_spec(options.spec) if options.spec else None)


def candidate(host: Host, request: RunRequest, spec: Spec | None) -> Outcome:
    """Return the name and the id of the image that `begin` would start; RefusedError where it would be refused.

    A rollback that is resumed has none: its image was accepted when it was rolled out.
    """
    state = host.store.state()
    resumed = state.rollout if request.resume else None
    record = resumed_record(host, request, resumed) if resumed else release_of(host, request, spec, state)
    if resumed and resumed.verb == "rollback":
        message = f"A rollback to {record.named()} is resumed, whose image was accepted before."
        return Outcome("candidate_named", message, data={"image": {}})
    image = {"name": record.image_name, "id": record.image_id}
    message = f"The candidate is {record.image_name} ({record.image_id[:19]})."
    return Outcome("candidate_named", message, data={"image": image})
