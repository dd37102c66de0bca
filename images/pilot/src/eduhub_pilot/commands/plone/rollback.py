"""`plone-rollback`: let the previous container of our Plone take over again, while requests wait at its endpoint."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Heart, Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.commands.plone.takeover import TakeOver
from eduhub_pilot.commands.plone.version import leave, reopen
from eduhub_pilot.model.errors import FailedError, PilotError, RefusedError
from eduhub_pilot.model.facts import PLONE, PREVIOUS_PLONE, STANDBY_PLONE, Container
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.plone import VERSION, confirming, plone, python_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_take_over(parser)
    work.add_directory(parser)


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    with work.locked(host, options.run, options.owner, options.verb) as heart:
        upgrade = host.store.plone_upgrade()
        if upgrade and confirming(host, upgrade):
            work.refuse_unconfirmed(host)
        return back_to_version(host, options, heart, upgrade) if upgrade else _rolled_back(host, options, heart)


def _over(host: Host, options: argparse.Namespace, heart: Heart) -> TakeOver:
    return TakeOver(host, options.run, options.site, options.start_seconds, options.wait_seconds, heart, keeps=True)


def _rolled_back(host: Host, options: argparse.Namespace, heart: Heart) -> Outcome:
    over = _over(host, options, heart)
    found, seconds = _ended(host, options, over) or _begun(host, options, over)
    python = python_of(found)
    message = (
        f"Plone runs in its previous container{f', on Python {python}' if python else ''}; requests that needed it "
        f"waited for up to {seconds:.1f} s. The one from before is kept: the same command returns to it."
    )
    return Outcome("plone_rolled_back", message, True, {"seconds": seconds, "plone_python": python})


def _begun(host: Host, options: argparse.Namespace, over: TakeOver) -> tuple[Container, float]:
    work.plone(host)
    work.refuse_standby(host)
    return _taken_over(host, options, over)


def _ended(host: Host, options: argparse.Namespace, over: TakeOver) -> tuple[Container, float] | None:
    """End a rollback that was interrupted once the previous container was the standby; None where none was."""
    begun = host.store.plone_rollback()
    serves, standby = (host.engine.container(host.settings.container(part)) for part in (PLONE, STANDBY_PLONE))
    if begun and standby and standby.id == begun:
        return standby, _standby_takes_over(host, options, over, standby)
    if begun and serves and serves.runs and serves.id == begun:  # it had taken over
        with suppress(PilotError):
            host.endpoint.hold(False, TIMEOUT_SECONDS)
        return serves, _over_now(host, options, over, serves, 0.0)
    return None


def _taken_over(host: Host, options: argparse.Namespace, over: TakeOver) -> tuple[Container, float]:
    """Let the previous container take over; return it, and for how many seconds requests may have waited."""
    previous, standby = (host.settings.container(part) for part in (PREVIOUS_PLONE, STANDBY_PLONE))
    back, found = (plone(host) or {})["rollback"], host.engine.container(previous)
    if not back["ready"] or found is None:
        message = f"Plone cannot be rolled back: {back['why']}. Nothing was changed."
        raise RefusedError("plone_rollback_blocked", message, ["./invoke", "status"])
    work.noted(host, options.run, "begun", owner=options.owner, image=found.image, back=True)
    host.engine.remove(standby, work.STOP_SECONDS)  # one that never ran
    over.returns_to(found)  # its name will not say any more that it is one to return to
    host.engine.rename(previous, standby)
    return found, _standby_takes_over(host, options, over, found)


def _standby_takes_over(host: Host, options: argparse.Namespace, over: TakeOver, found: Container) -> float:
    try:
        seconds = over.take_over()
    except FailedError:
        if host.engine.container(host.settings.container(STANDBY_PLONE)) is None:  # it is the previous one again
            host.store.save_plone_rollback(None)
        raise
    return _over_now(host, options, over, found, seconds)


def _over_now(host: Host, options: argparse.Namespace, over: TakeOver, found: Container, seconds: float) -> float:
    work.noted(host, options.run, "handed_over", image=found.image, seconds=seconds, back=True)
    host.store.save_plone_rollback(None)
    over.settle()
    return seconds


def back_to_version(host: Host, options: argparse.Namespace, heart: Heart, upgrade: Mapping[str, Any]) -> Outcome:
    """Return to the version that an unconfirmed upgrade came from, wherever it is or was interrupted.

    Its database is as it was. That of the new one is put aside where a read has written to it. The caller holds the
    lock.
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
    host.store.save_plone_rollback(None)
    # The new version's container is the previous one now. Its image knows what was written to its database.
    left = host.engine.container(host.settings.container(PREVIOUS_PLONE))
    of_new = left.name if left and _is(left, upgrade["to"]) else ""
    kept, said = leave(host, options.directory, upgrade["to"], upgrade["run"], of_new)
    if kept:
        work.noted(host, options.run, "kept", where=kept, version=upgrade["to"])
    if of_new:
        host.engine.remove(of_new, work.STOP_SECONDS)
    reopen(host)
    waited = f"; requests that needed it waited for up to {seconds:.1f} s" if seconds else ""
    said = said or f" Nothing was lost: no content was written to Plone {upgrade['to']}."
    message = f"Plone {upgrade['from']} serves and takes writes{waited}.{said}"
    data = {"seconds": seconds, "plone_version": upgrade["from"], "kept": kept}
    return Outcome("plone_rolled_back", message, True, data)


def _is(container: Container | None, version: str) -> bool:
    return bool(container and container.labels.get(VERSION) == version)
