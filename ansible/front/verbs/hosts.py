"""The hosts that a verb is about: read from the inventory, and checked as far as can be before they are asked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from front.arguments import allowed
from front.arguments.options import give_passwords, request_of, values
from front.arguments.refusal import RefusalError
from front.fleet import patching
from front.fleet.rollout import CONFIRM, fleet_of, played_on, policy_of
from front.images import addons, building, kit, signing
from front.inventory import loader
from front.inventory.documented import Documented, documented
from front.inventory.loader import Target
from front.plans import review
from front.run.play import Run, note
from front.verbs import checkout, checks, trace

PATCH = "host.patch"
# Verbs that are about this machine, for the hosts of an inventory.
ABOUT_THIS_MACHINE = (*building.PROGRAMS, signing.SIGN, "kit")
# Verbs that tell what ought to be otherwise in the inventory; a deployment begins with the first one.
NOTED = {"engine", "preflight", "plan", "upgrade"}


def read_hosts(options: argparse.Namespace) -> tuple[list[Target], Documented]:
    """Return the hosts of the inventory and the settings that there are; what the hosts set is checked.

    Raises RefusalError.
    """
    os.environ["ANSIBLE_CONFIG"] = str(checkout.PATH / "ansible/ansible.cfg")
    give_passwords(options)
    options.path = loader.find(options.inventory, checkout.PATH)
    options.values = values(options.values)
    known = documented(checkout.PATH / "ansible")
    options.defaults = {name: option["default"] for name, option in known.options.items() if "default" in option}
    hosts = loader.load(options.path, options.limit, known.prefixes)
    for line in loader.check(options.path, hosts, known):
        if options.verb in NOTED:
            note(f"Note: {line}")
    options.addons, options.sign_key = [], ""
    # What brings a host back needs none, and is not refused.
    if options.verb == "kit" or ((checkout.PATH / "kit").is_dir() and options.verb in {"deploy", "preflight"}):
        kit.check_acme(hosts)
    if options.verb in {*building.BUILDING, *ABOUT_THIS_MACHINE}:
        options.addons = addons.of(hosts, options.defaults, checkout.plone_versions(), options.inventory, options.path)
        options.sign_key = signing.key_of(hosts, options.defaults, options.path)
    return hosts, known


def checked(options: argparse.Namespace) -> list[Target]:
    """Return the hosts that the run is about, checked as far as can be beforehand. Raises RefusalError."""
    playbooks = checkout.PATH / "ansible/playbooks"
    verbs = sorted(path.stem for path in playbooks.glob("*.yml"))
    if options.verb not in verbs:
        near = get_close_matches(options.verb, verbs, n=1)
        raise RefusalError(f"There is no playbook {options.verb!r}; {f'did you mean {near[0]}?' if near else verbs}")
    found, known = read_hosts(options)
    allowed.check(request_of(options), known.options[CONFIRM])
    hosts = played_on(options.verb, found)
    checks.check_played(request_of(options), playbooks, hosts)
    if options.verb in {*NOTED, "deploy", "drain", PATCH}:
        checks.check_apart(request_of(options), hosts)
    if options.verb == "plone.upgrade":
        checks.check_plone(options, hosts, checkout.plone_versions())
    else:
        checks.check_python(options, hosts, checkout.ladder().pythons)
    checks.check_root(options, hosts)
    if options.verb == "plone.restore" and options.values.get("eduhub_to") == "live":
        checks.check_one_site(request_of(options), hosts)
    if options.verb == "trace":
        trace.check_id(options.values.get("eduhub_request"))
    if options.verb == PATCH:
        patching.check_local(hosts, request_of(options))
    upgrade = replace(request_of(options), verb="upgrade") if options.verb == "plan" else request_of(options)
    fleet, hold = fleet_of(upgrade, hosts), bool(options.values.get("eduhub_hold"))
    options.policy = policy_of(fleet, known, hold=hold, verb=upgrade.verb) if fleet else None
    if options.out:
        review.check_place(options.out)
    return hosts


def run_of(options: argparse.Namespace, names: Sequence[str]) -> Run:
    """Return a run of what the operator asked for, on the hosts `names`."""
    return Run(
        request_of(options), options.path, checkout.PATH, options.verbose, options.check, options.json,
        column=max(len(name) for name in names), several=len(names) > 1,
    )  # fmt: skip
