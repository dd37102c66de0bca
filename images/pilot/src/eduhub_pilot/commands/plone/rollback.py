"""`plone-rollback`: let the previous container of our Plone take over again, while requests wait at its endpoint."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eduhub_pilot.adapters.host import Heart, Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.commands.plone.takeover import TakeOver
from eduhub_pilot.commands.plone.version import leave, reopen
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import PLONE, PREVIOUS_PLONE, STANDBY_PLONE, Container
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.plone import VERSION, plone, python_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_take_over(parser)
    work.add_directory(parser)


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    with work.locked(host, options.run, options.owner, options.verb) as heart:
        upgrade = host.store.plone_upgrade()
        return back_to_version(host, options, heart, upgrade) if upgrade else _rolled_back(host, options, heart)


def _over(host: Host, options: argparse.Namespace, heart: Heart) -> TakeOver:
    return TakeOver(host, options.run, options.site, options.start_seconds, options.wait_seconds, heart, keeps=True)


def _rolled_back(host: Host, options: argparse.Namespace, heart: Heart) -> Outcome:
    work.plone(host)
    work.refuse_standby(host)
    over = _over(host, options, heart)
    found, seconds = _taken_over(host, options, over)
    python = python_of(found)
    message = (
        f"Plone runs in its previous container{f', on Python {python}' if python else ''}; requests that needed it "
        f"waited for up to {seconds:.1f} s. The one from before is kept: the same command returns to it."
    )
    return Outcome("plone_rolled_back", message, True, {"seconds": seconds, "plone_python": python})


def _taken_over(host: Host, options: argparse.Namespace, over: TakeOver) -> tuple[Container, float]:
    """Let the previous container take over; return it, and for how many seconds requests may have waited."""
    previous, standby = (host.settings.container(part) for part in (PREVIOUS_PLONE, STANDBY_PLONE))
    back, found = (plone(host) or {})["rollback"], host.engine.container(previous)
    if not back["ready"] or found is None:
        message = f"Plone cannot be rolled back: {back['why']}. Nothing was changed."
        raise RefusedError("plone_rollback_blocked", message, ["./invoke", "status"])
    host.note(options.run, "plone", "begun", owner=options.owner, image=found.image, back=True)
    host.engine.remove(standby, work.STOP_SECONDS)  # one that never ran
    host.engine.rename(previous, standby)
    return found, _standby_takes_over(host, options, over, found)


def _standby_takes_over(host: Host, options: argparse.Namespace, over: TakeOver, found: Container) -> float:
    seconds = over.take_over()
    host.note(options.run, "plone", "handed_over", image=found.image, seconds=seconds, back=True)
    over.settle()
    return seconds


def back_to_version(host: Host, options: argparse.Namespace, heart: Heart, upgrade: Mapping[str, Any]) -> Outcome:
    """Return to the version that an unconfirmed upgrade came from, wherever it is or was interrupted.

    Its database is as it was: nothing was written to either since. The caller holds the lock.
    """
    over = _over(host, options, heart)
    serves, standby = (host.engine.container(host.settings.container(part)) for part in (PLONE, STANDBY_PLONE))
    seconds = 0.0
    if _is(serves, upgrade["from"]) and serves and serves.runs:  # the new one had not taken over, or was rolled back
        host.engine.remove(host.settings.container(STANDBY_PLONE), work.STOP_SECONDS)
    elif standby and _is(standby, upgrade["from"]):  # a rollback was interrupted
        seconds = _standby_takes_over(host, options, over, standby)
    elif serves and _is(serves, upgrade["to"]):
        _, seconds = _taken_over(host, options, over)
    else:  # the takeover was interrupted
        replace(over, keeps=False).back()
    # The new version's container is the previous one now.
    left = host.engine.container(host.settings.container(PREVIOUS_PLONE))
    if left and _is(left, upgrade["to"]):
        host.engine.remove(left.name, work.STOP_SECONDS)
    leave(host, options.directory, upgrade["to"])
    reopen(host)
    waited = f"; requests that needed it waited for up to {seconds:.1f} s" if seconds else ""
    message = f"Plone {upgrade['from']} serves and takes writes{waited}. Nothing was lost: nothing could be written."
    return Outcome("plone_rolled_back", message, True, {"seconds": seconds, "plone_version": upgrade["from"]})


def _is(container: Container | None, version: str) -> bool:
    return bool(container and container.labels.get(VERSION) == version)
