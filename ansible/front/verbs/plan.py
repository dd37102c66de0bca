"""The verb `plan`, and an upgrade that is held to one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

from front.arguments.options import request_of, values
from front.fleet.rollout import bridges
from front.inventory.loader import Target
from front.output import closing
from front.output.layout import columns, next_lines
from front.plans import review
from front.plans.plan import Plan, is_allowed
from front.plans.table import plan_table
from front.run.exit_codes import DONE, REFUSED, run_exit
from front.run.play import Signals, note, play, show
from front.verbs import checkout
from front.verbs.ending import hostless
from front.verbs.hosts import run_of


def take_plan(options: argparse.Namespace) -> Plan:
    """Return the plan that `options` name, and let them ask for what it plans. Raises RefusalError."""
    asked = replace(request_of(options), values=values(options.values))
    reviewed, upgrade = review.taken(options.plan, asked, checkout.PATH, checkout.ladder().pythons[-1])
    options.limit, options.values = upgrade.limit, json.dumps(dict(upgrade.values))
    return reviewed


def looked(options: argparse.Namespace, hosts: Sequence[Target], reviewed: Plan | None, signals: Signals) -> int:
    """Look at the hosts and show the plan, or compare it with the `reviewed` one; return the exit code.

    Raises RefusalError where that no longer fits.
    """
    names = [host.name for host in bridges(hosts)]
    run = run_of(options, [host.name for host in hosts])
    request, data = run.request, run.json
    if not data:
        told = f"Comparing the hosts with the plan {options.plan} of {reviewed['made']}" if reviewed else None
        show(told or closing.header(request, names or [host.name for host in hosts], run.id))
    done = play(run, "plan", signals)
    if done.outcome is None or not done.outcome.ended or not names:
        why = closing.last_words(done.stderr) if names else ["No host of the group bridge was asked for."]
        return hostless(request, REFUSED, [] if done.interrupted else why, data=data, interrupted=done.interrupted)
    plan = review.made(run, names, done.outcome, options.policy)
    if reviewed:
        review.hold_to(reviewed, plan, request, options.plan)
        return DONE
    if options.out:
        review.write(plan, options.out)
    code = DONE if is_allowed(plan) else run_exit(done.returned, done.outcome)
    if data:
        for line in closing.failure_lines(done.outcome, request, columns()):
            note(line)
        show(json.dumps({**plan, "exit": code}, indent=2))
        return code
    lines = ["", *plan_table(plan, columns()), ""]
    if code:
        refused = "An upgrade would be refused. Fix the cause, then plan again."
        show(*lines, refused, *next_lines([review.plan_again(request, options.out)]))
    elif any(host["changes"] for host in plan["hosts"].values()):
        show(*lines, *next_lines([review.upgrade_command(request, options.out)]))
    else:
        show(*lines, "Nothing to change: each host serves what an upgrade would give it.")
    return code
