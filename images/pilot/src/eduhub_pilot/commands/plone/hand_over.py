"""`hand-over`: let the standby beside our Plone take over from it, while requests wait at Plone's endpoint.

Role plone makes the standby's container: another image or other settings, the same volume. It loads everything and
waits for the database.
"""

from __future__ import annotations

import argparse

from eduhub_pilot.adapters.host import Heart, Host
from eduhub_pilot.analysis.canary import Sample, Side, side
from eduhub_pilot.commands.plone import work
from eduhub_pilot.commands.plone.takeover import TakeOver
from eduhub_pilot.model.facts import STANDBY_PLONE, Container
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.plone import python_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_take_over(parser)
    parser.add_argument("--prove", default="", metavar="DIRECTORY",
                        help="prove the newest backup there in the standby's image first")  # fmt: skip
    parser.add_argument("--watch-seconds", type=float, default=0, help="how long to watch, and go back if need be")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    standby = host.engine.container(host.settings.container(STANDBY_PLONE))
    if standby is None:
        return Outcome("plone_unchanged", "Plone runs as it should: there was nothing to take over.")
    with work.locked(host, options.run, options.owner, options.verb) as heart:
        return _hand_over(host, options, standby, heart)


def _hand_over(host: Host, options: argparse.Namespace, standby: Container, heart: Heart) -> Outcome:
    host.note(options.run, "plone", "begun", owner=options.owner, image=standby.image)
    over = TakeOver(host, options.run, options.site, options.start_seconds, options.wait_seconds, heart)
    first, old = over.counts(), Side()

    def before() -> None:
        nonlocal old
        if options.prove:
            answer = work.worked(host, options.prove, ["prove"], heart, container=standby.name)
            host.note(options.run, "plone", "proven", backup=answer["backup"]["id"], image=standby.image)
        now = over.counts()
        old = side(Sample(first), Sample(now)) if first and now else old

    seconds = over.take_over(before)
    host.note(options.run, "plone", "handed_over", image=standby.image, seconds=seconds)
    if options.watch_seconds:
        over.watch(options.watch_seconds, old)
    over.settle()
    message = f"Plone runs in a new container; requests that needed it waited for up to {seconds:.1f} s."
    data = {"seconds": seconds, "plone_python": python_of(standby)}
    return Outcome("plone_handed_over", message, True, data)
