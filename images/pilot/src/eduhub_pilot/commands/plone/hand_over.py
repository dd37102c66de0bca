"""`hand-over`: let the standby beside our Plone take over from it, while requests wait at Plone's endpoint.

Role plone makes the standby's container: another image or other settings, the same volume. It loads everything and
waits for the database.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from eduhub_pilot.adapters.host import Heart, Host
from eduhub_pilot.analysis.canary import Sample, Side, side
from eduhub_pilot.commands.plone import work
from eduhub_pilot.commands.plone.takeover import TakeOver
from eduhub_pilot.model.errors import FailedError, PersonError
from eduhub_pilot.model.facts import PLONE, PREVIOUS_PLONE, STANDBY_PLONE, Container
from eduhub_pilot.model.outcome import Outcome
from eduhub_pilot.rollout.plone import python_of

CONTRACT = ("enforce", "observe", "off")
MOST_TOLD = 3
# The verb that goes on after this command, makes Plone's container as it should be, and waits until it answers.
DEPLOYMENT = "deploy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    work.add_take_over(parser)
    parser.add_argument("--prove", default="", metavar="DIRECTORY",
                        help="prove the newest backup there in the standby's image first")  # fmt: skip
    parser.add_argument("--contract", choices=CONTRACT, default="off",
                        help="whether other pages from it stop that, are only told, or not looked for")  # fmt: skip
    parser.add_argument("--watch-seconds", type=float, default=0, help="how long to watch, and go back if need be")


def run(host: Host, options: argparse.Namespace) -> Outcome:
    """Run the command."""
    standby = host.engine.container(host.settings.container(STANDBY_PLONE))
    if standby is None and host.store.plone_rollback() is None:
        return Outcome("plone_unchanged", "Plone runs as it should: there was nothing to take over.")
    with work.locked(host, options.run, options.owner, options.verb) as heart:
        work.refuse_unconfirmed(host)
        if standby is None or _interrupted(host, standby):
            return _ended(host, options, standby, heart)
        returns = host.store.plone_rollback() == standby.id
        done = _hand_over(host, options, standby, heart)
        host.store.save_plone_rollback(None)
        if returns:
            raise _only_returned("did not run", done.data["seconds"])
        return done


def _interrupted(host: Host, standby: Container) -> bool:
    """Return whether a standby is the previous container, with which a rollback or a return was interrupted.

    Not where Plone does not run: then the standby has its database, or is the only one to serve.
    """
    serves = host.engine.container(host.settings.container(PLONE))
    return host.store.plone_rollback() == standby.id and serves is not None and serves.runs


def _ended(host: Host, options: argparse.Namespace, standby: Container | None, heart: Heart) -> Outcome:
    """End a rollback that was interrupted, or a return from a Plone that was watched.

    Where Plone answers with its site, the standby is the previous container again; else it takes over, as was begun.
    FailedError says so then: what this run was asked for is not done.
    """
    over = TakeOver(host, options.run, options.site, options.start_seconds, options.wait_seconds, heart, keeps=True)
    if not over.serves_site():
        return _returned(host, options, over)
    if standby:
        over.put_back()
        host.note(options.run, "plone", "put_back", image=standby.image)
    host.store.save_plone_rollback(None)
    return Outcome("plone_unchanged", "Plone runs as it should: a rollback that was interrupted is ended.")


def _returned(host: Host, options: argparse.Namespace, over: TakeOver) -> Outcome:
    """Let the container take over to which a rollback was begun, from a Plone that does not answer with its site.

    FailedError once it serves; PersonError where there is none, unless a deployment goes on to make one.
    """
    name, previous = (host.settings.container(part) for part in (STANDBY_PLONE, PREVIOUS_PLONE))
    found, begun = host.engine.container(previous), host.store.plone_rollback()
    if found and found.id == begun and host.engine.container(name) is None:
        host.engine.rename(previous, name)
    standby = host.engine.container(name)
    if standby is None:  # it is the one that does not answer
        host.store.save_plone_rollback(None)
        message = "A rollback that was interrupted is ended, but Plone does not answer with its site."
        if options.verb != DEPLOYMENT:
            log = ["docker", "logs", "--tail", "50", host.settings.container(PLONE)]
            raise PersonError("plone_stuck", message, log)
        return Outcome("plone_unchanged", message, next=[["./invoke", "status"]])
    try:
        seconds = over.take_over()
    finally:
        if host.engine.container(name) is None:  # it serves, or is the previous one again
            host.store.save_plone_rollback(None)
    host.note(options.run, "plone", "handed_over", image=standby.image, seconds=seconds, back=True)
    over.settle()
    raise _only_returned("did not answer with its site", seconds)


def _only_returned(how: str, seconds: float) -> FailedError:
    """Return that Plone, which was found as `how` says, runs in its previous container, and nothing else was done."""
    message = (
        f"Plone {how}, and a return to its previous container was interrupted: that is ended, and it runs there now; "
        f"requests that needed it waited for up to {seconds:.1f} s. What you asked for was not done."
    )
    return FailedError("plone_hand_over_reverted", message, ["./invoke", "status"])


def _hand_over(host: Host, options: argparse.Namespace, standby: Container, heart: Heart) -> Outcome:
    host.note(options.run, "plone", "begun", owner=options.owner, image=standby.image)
    over = TakeOver(host, options.run, options.site, options.start_seconds, options.wait_seconds, heart)
    first, old, pages, note = over.counts(), Side(), "", ""

    def before() -> None:
        nonlocal old, pages, note
        if options.prove:
            compares = options.contract != "off"
            words = ["prove", *(["--pages"] if compares else [])]
            answer = work.worked(host, options.prove, words, heart, container=standby.name)
            note = f" {answer['backup']['note']}" if answer["backup"].get("note") else ""
            host.note(options.run, "plone", "proven", backup=answer["backup"]["id"], image=standby.image)
            if compares:
                was = work.worked(host, options.prove, ["pages", "--at", answer["backup"]["id"]], heart)
                pages = compared(was["pages"], answer["pages"], "requests on the backup", options.contract == "enforce")
        now = over.counts()
        old = side(Sample(first), Sample(now)) if first and now else old

    seconds = over.take_over(before)
    host.note(options.run, "plone", "handed_over", image=standby.image, seconds=seconds)
    if options.watch_seconds:
        over.watch(options.watch_seconds, old)
    over.settle()
    message = f"Plone runs in a new container; requests that needed it waited for up to {seconds:.1f} s.{pages}{note}"
    data = {"seconds": seconds, "plone_python": python_of(standby)}
    return Outcome("plone_handed_over", message, True, data)


def compared(was: Mapping[str, str], now: Mapping[str, str], what: str, enforced: bool) -> str:
    """Return in words how two images answer for one backup, `what` being the noun for an answer.

    FailedError for a difference, where that is `enforced`.
    """
    differing = [
        f"{each}: {now.get(each, 'not asked')} instead of {was[each]}" for each in was if now.get(each) != was[each]
    ]
    if not differing:
        return f" {len(was)} {what} are answered as by the one before."
    more = [f"and {len(differing) - MOST_TOLD} more"] if len(differing) > MOST_TOLD else []
    told = "; ".join([*differing[:MOST_TOLD], *more])
    message = f"The new Plone answers {len(differing)} of {len(was)} {what} otherwise: {told}."
    if enforced:
        raise FailedError("plone_standby_failed", message)
    return f" {message}"
