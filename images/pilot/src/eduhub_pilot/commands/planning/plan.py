"""`plan`: what a deployment or an upgrade would do to the bridge on this host. Changes nothing."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.analysis import timeline
from eduhub_pilot.commands.begin import fingerprint_of, release_of
from eduhub_pilot.gates.criteria import criteria
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Image
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.model.release import Record, Spec, parse_spec
from eduhub_pilot.model.state import HostState
from eduhub_pilot.rollout.admission import RunRequest
from eduhub_pilot.rollout.summary import RECENT, release_fields

# As many of the last upgrades tell how long the next one takes.
MEASURED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("--run", required=True, help="id of the run")
    parser.add_argument("--verb", required=True, choices=["deploy", "upgrade"])
    parser.add_argument("--python", help="Python to move to, as 3.11; without it the live one stays")
    parser.add_argument(
        "--images", type=json.loads, default={}, metavar="JSON",
        help="the images that the host will have by then: NAME: {id, identity, bytes to send, python}",
    )  # fmt: skip


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    request = RunRequest(options.run, "", options.verb, options.python)
    return plan(host, request, parse_spec(options.spec) if options.spec else None, options.images)


def plan(
    host: Host, request: RunRequest, spec: Spec | None, images: Mapping[str, Mapping[str, Any]] | None = None
) -> Outcome:
    """Return whether `request` would roll out a new release, and in what it differs from the live one.

    The outcome is `changed` where it would. With `images`, the data holds `plan`, which docs/reference/plan.md
    describes. RefusedError for a request that would be refused.
    """
    images = images or {}
    state = host.store.state()
    live = host.known(state.live.release) if state.live else None
    try:
        record = release_of(host, request, spec, state, coming_of(images))
    except RefusedError as error:
        if error.code != "image_missing" or spec is None:
            raise
        # It is sent to the host before a release begins.
        why = f"the image {spec.image.replace('{python}', request.python or spec.python or '')} is not on the host yet"
        data: dict[str, Any] = {}
    else:
        data = {"plan": _fields(host, state, live, record, images)} if images else {}
        if live and record.id == live.id:
            return Outcome("nothing_to_change", f"Nothing to change in the bridge: {live.named()} is live.", data=data)
        differing = list(differences(live, record)) if live else []
        why = f"it differs from the live release in {', '.join(differing)}" if differing else "none is live"
    message = f"A new release of the bridge would be rolled out, without a failed request: {why}."
    return Outcome("release_planned", message, True, data)


def _fields(
    host: Host, state: HostState, live: Record | None, record: Record, images: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    changes = not live or live.id != record.id
    known = record.id in host.store.releases()
    seconds = timeline.measured(timeline.entries(host.store.journal(RECENT)[0])[0])[-MEASURED:]
    there = host.engine.image(record.image_id) or Image(record.image_id)
    told = json.dumps([host.settings.given, record.spec.fields], sort_keys=True)
    return {
        "changes": changes,
        "from": release_fields(live.id, live) if live else None,
        "to": release_fields(record.id if known else None, record),
        "changed": timeline.changes(live, record, ()) if changes else [],
        "images": {name: image.identity or image.id for name, image in coming_of(images).items()},
        "sends": [name for name, each in images.items() if each.get("bytes")],
        "send_bytes": sum(each.get("bytes", 0) for each in images.values()),
        "gates": dict(criteria(host.settings.gates, record.spec).modes),
        "seconds": round(median(seconds), 1) if seconds else None,
        "measured": len(seconds),
        "interrupted": state.rollout.run if state.rollout else None,
        "settings": hashlib.sha256(told.encode()).hexdigest()[:16],
        "fingerprint": fingerprint_of(host, state, record, coming_of(images).get(record.image_name) or there),
    }


def coming_of(images: Mapping[str, Mapping[str, Any]]) -> dict[str, Image]:
    """Return the images that the host will have, by name."""
    return {
        name: Image(each["id"], each.get("python") or None, each.get("identity") or "")
        for name, each in images.items()
    }


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
