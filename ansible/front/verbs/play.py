"""Plays a verb on its hosts: in waves, one after the other, or all at once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace

from front.arguments.options import request_of
from front.fleet import patching
from front.fleet.deploying import with_waiting
from front.fleet.rollout import FLEET, FRONT, Fleet, bridges, fleet_of, in_group
from front.fleet.turns import Turns
from front.fleet.waves import Policy
from front.inventory.loader import Target
from front.output import closing
from front.run.exit_codes import DONE, REFUSED, half_made
from front.run.play import Run, Signals, play, recover, show
from front.verbs.ending import closed, hostless
from front.verbs.hosts import PATCH, run_of
from front.verbs.images import built

# Verbs whose interruption does not mean that nothing was done.
NOT_TAKEN_BACK = {
    "confirm", "destroy", "drain", "undrain", PATCH, "plone.backup", "plone.confirm", "plone.pack", "plone.restore",
    "plone.upgrade", "plone.rollback",
}  # fmt: skip


def played(
    options: argparse.Namespace, hosts: Sequence[Target], signals: Signals, planned: Mapping[str, str]
) -> int:
    """Play the verb, undo it if it was interrupted, show its result; return the exit code.

    `planned`: the fingerprint of each host in the plan that it is held to.
    """
    names = [host.name for host in hosts]
    request = request_of(options)
    run = replace(run_of(options, names), planned=planned, serving=options.serving, idle=options.idle)
    if not run.json:
        show(closing.header(request, names, run.id, check=run.check))
    waves = in_waves(run, fleet_of(request, hosts), hosts, options.policy)
    rolled = waves or in_turn(run, hosts)
    done = rolled.roll(signals) if rolled else play(run, request.verb, signals)
    if request.verb == PATCH and not run.check:
        done = patching.with_waiting(done)
    if request.verb == "deploy" and not run.check:
        tiers = ([host.name for host in in_group(group, hosts)] for group in (FLEET, FRONT))
        done = with_waiting(done, *tiers)
    cut_off = done.outcome is None or not done.outcome.ended
    if request.verb == "engine" and not cut_off and not done.returned:  # what it is for comes next, and closes
        return DONE if options.check or built(options, hosts, done.outcome, signals) else REFUSED
    if cut_off and done.outcome and done.outcome.begun:
        undone = recover(run, signals)
        outcome = undone.outcome and undone.outcome.after(done.outcome)
        done = replace(undone, outcome=outcome, interrupted=True)
    # Half a removal leaves no host as it was, a confirmation may have come through, the others go on by themselves.
    elif cut_off and done.interrupted and not (request.verb in NOT_TAKEN_BACK or half_made(done.outcome, run.check)):
        return hostless(request, REFUSED, [], data=run.json, interrupted=True)
    return closed(run, names, done, waves, [host.name for host in in_group(request.group, hosts)])


def in_waves(run: Run, fleet: Sequence[Target], hosts: Sequence[Target], policy: Policy) -> Fleet | None:
    """Return what rolls the hosts `fleet` in waves, with the other `hosts` that take part; None without any."""
    names, rolled = ([host.name for host in found] for found in (fleet, bridges(fleet)))
    plones = [name for name in names if name not in rolled]
    fronts = [host.name for host in in_group(FRONT, hosts) if host.name not in names]
    return Fleet(run, rolled, policy, plones=plones, fronts=fronts) if fleet else None


def in_turn(run: Run, hosts: Sequence[Target]) -> Turns | None:
    """Return what rolls hosts back one after the other; None for another verb, and for a single host."""
    names = [host.name for host in bridges(hosts)]
    return Turns(run, names) if run.request.verb == "rollback" and len(names) > 1 and not run.check else None
