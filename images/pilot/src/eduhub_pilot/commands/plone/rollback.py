"""`plone-rollback`: let the previous container of our Plone take over again, while requests wait at its endpoint."""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.commands.plone import work
from eduhub_pilot.commands.plone.takeover import TakeOver
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import PREVIOUS_PLONE, STANDBY_PLONE
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.plone import plone, python_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_take_over(parser)


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    work.plone(host)
    previous, standby = (host.settings.container(part) for part in (PREVIOUS_PLONE, STANDBY_PLONE))
    with work.locked(host, options.run, options.owner, options.verb) as heart:
        work.refuse_standby(host)
        back = (plone(host) or {})["rollback"]
        if not back["ready"]:
            message = f"Plone cannot be rolled back: {back['why']}. Nothing was changed."
            raise RefusedError("plone_rollback_blocked", message, ["./invoke", "status"])
        found = host.engine.container(previous)
        host.note(options.run, "plone", "begun", owner=options.owner, image=found.image if found else None, back=True)
        host.engine.remove(standby, work.STOP_SECONDS)  # one that never ran
        host.engine.rename(previous, standby)
        over = TakeOver(
            host, options.run, options.site, options.start_seconds, options.wait_seconds, heart, keeps=True
        )
        seconds = over.take_over()
        host.note(options.run, "plone", "handed_over", image=found.image if found else None, seconds=seconds, back=True)
        over.settle()
    python = python_of(found) if found else None
    message = (
        f"Plone runs in its previous container{f', on Python {python}' if python else ''}; requests that needed it "
        f"waited for up to {seconds:.1f} s. The one from before is kept: the same command returns to it."
    )
    return Outcome("plone_rolled_back", message, True, {"seconds": seconds, "plone_python": python})
