"""`plan`: what a deployment would do to the bridge on this host. Changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.begin import release_of
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.release import Record, Spec, parse_spec
from eduhub_pilot.rollout.admission import RunRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--verb", required=True, choices=["deploy", "upgrade"])
    parser.add_argument("--python", help="Python to move to, as 3.11; without it the live one stays")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    request = RunRequest(options.run, "", options.verb, options.python)
    return plan(host, request, parse_spec(options.spec) if options.spec else None)


def plan(host: Host, request: RunRequest, spec: Spec | None) -> Outcome:
    """Return whether `request` would roll out a new release, and in what it differs from the live one.

    The outcome is `changed` where it would. RefusedError for a request that would be refused.
    """
    state = host.store.state()
    live = host.known(state.live.release) if state.live else None
    try:
        record = release_of(host, request, spec, state)
    except RefusedError as error:
        if error.code != "image_missing" or spec is None:
            raise
        # It is sent to the host before a release begins.
        why = f"the image {spec.image.replace('{python}', request.python or spec.python or '')} is not on the host yet"
    else:
        if live and record.id == live.id:
            return Outcome("nothing_to_change", f"Nothing to change in the bridge: {live.named()} is live.")
        differing = list(differences(live, record)) if live else []
        why = f"it differs from the live release in {', '.join(differing)}" if differing else "none is live"
    message = f"A new release of the bridge would be rolled out, without a failed request: {why}."
    return Outcome("release_planned", message, True)


def differences(live: Record, planned: Record) -> Iterator[str]:
    """Yield in what two releases differ: names alone, since a value may be a secret."""
    if live.image_id != planned.image_id:
        yield "image"
    before, after = live.spec.fields, planned.spec.fields
    for name in sorted({*before, *after} - {"image"}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if keys := [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]:
                yield f"{name} ({', '.join(keys)})"
        elif _differs(old, new):
            yield name


def _differs(old: Any, new: Any) -> bool:
    return bool(old != new and (old or new))
