"""`python -m front VERB`: plays ansible/playbooks/VERB.yml on an inventory; exits with 0, 1, 2 or 3.

0 done; 1 tried, failed and reverted; 2 refused, nothing touched; 3 needs a person (front/run/exit_codes.py).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from front.arguments import allowed
from front.arguments.options import Parser, give_passwords, parsed, request_of, values
from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.fleet import draining, patching
from front.fleet.deploying import with_waiting
from front.fleet.rollout import CONFIRM, FLEET, FRONT, Fleet, bridges, fleet_of, in_group, played_on, policy_of
from front.fleet.turns import Turns
from front.fleet.waves import Policy
from front.images import addons, building, kit, signing
from front.images.ladder import Ladder, ended_lines, ends, today
from front.inventory import loader
from front.inventory.documented import Documented, documented, read
from front.inventory.loader import Target
from front.output import closing
from front.output.fleet import ending, mixed_document
from front.output.layout import columns, next_lines
from front.output.trace_table import trace_table
from front.plans import review
from front.plans.plan import Plan, fingerprints, is_allowed
from front.plans.table import plan_table
from front.report import files
from front.run.exit_codes import DONE, NEEDS_PERSON, REFUSED, fleet_exit, half_made, partly, run_exit, waits
from front.run.outcome import Outcome
from front.run.play import Played, Run, Signals, note, play, recover, show
from front.verbs import checks, trace

CHECKOUT = Path(__file__).resolve().parents[2]
PATCH = "host.patch"
# Verbs that tell what ought to be otherwise in the inventory; a deployment begins with the first one.
NOTED = {"engine", "preflight", "plan", "upgrade"}
# Verbs whose interruption does not mean that nothing was done.
NOT_TAKEN_BACK = {
    "confirm", "destroy", "drain", "undrain", PATCH, "plone.backup", "plone.confirm", "plone.pack", "plone.restore",
    "plone.upgrade", "plone.rollback",
}  # fmt: skip


def main(words: Sequence[str]) -> int:
    """Refuse, or play the verb; return the exit code."""
    begun: list[argparse.Namespace] = []
    try:
        with Signals() as signals:
            return asked(words, signals, begun)
    except RefusalError as refusal:
        return told(words, REFUSED, refusal.messages, refusal.next_commands)
    except Exception as error:  # what nothing foresaw ends in a sentence too, and never as "reverted"
        if "--verbose" in words:
            traceback.print_exc()
        if not begun:
            return told(words, REFUSED, [closing.unforeseen(error)], [])
        return told(words, NEEDS_PERSON, [closing.ended_badly(error)], [request_of(begun[0]).status])


def asked(words: Sequence[str], signals: Signals, begun: list[argparse.Namespace]) -> int:
    """Play the verb; return the exit code. Raises RefusalError.

    `begun` gets the options as soon as hosts may be touched.
    """
    options = parsed(words)
    if options.verb in BESIDE_HOSTS:
        return BESIDE_HOSTS[options.verb](options, signals)
    reviewed = take_plan(options) if options.plan else None
    hosts = checked(options)
    begun.append(options)
    if options.verb == "drain" and not options.values.get("eduhub_yes"):
        options.serving, options.idle = check_not_last(options, hosts, signals)
    if options.verb == PATCH:
        options.serving, options.idle = traffic(options, hosts, signals)
    needs_images = options.verb in {"plan", "upgrade", "plone.upgrade"} and not options.check
    if needs_images and not built(options, hosts, None, signals):
        return REFUSED
    if options.verb == "plan" or reviewed:
        code = looked(options, hosts, reviewed, signals)
        if options.verb == "plan" or code != DONE:
            return code
    return played(options, hosts, signals, fingerprints(reviewed) if reviewed else {})


def told(words: Sequence[str], code: int, messages: Sequence[str], commands: Sequence[str]) -> int:
    """Say why nothing can be played, and what to type next; with --json also as a document. Return the exit code."""
    show(*(f"invoke: {message}" for message in messages), *next_lines(commands), stream=sys.stderr)
    if "--json" in words:
        show(json.dumps(closing.hostless_document(code, messages, commands), indent=2))
    return code


def checked(options: argparse.Namespace) -> list[Target]:
    """Return the hosts that the run is about, checked as far as can be beforehand. Raises RefusalError."""
    playbooks = CHECKOUT / "ansible/playbooks"
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
        checks.check_plone(options, hosts, plone_versions())
    else:
        checks.check_python(options, hosts, ladder().pythons)
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


def check_not_last(
    options: argparse.Namespace, hosts: Sequence[Target], signals: Signals
) -> tuple[list[str], list[str]]:
    """Return the hosts that take traffic now beside those asked for, and the hosts that are known to take none.

    Raises RefusalError where no bridge host, or no front host, of the inventory would be left to take traffic.
    """
    tiers, names = tiers_of(options, hosts), [host.name for host in hosts]
    found = draining.check_others(run_of(options, names), tiers, signals) if tiers else {}
    return [name for name in draining.taking_traffic(found) if name not in names], draining.taking_none(found)


def tiers_of(options: argparse.Namespace, hosts: Sequence[Target]) -> list[draining.Tier]:
    """Return the tiers that `hosts` are of, each with all its hosts, whatever --limit leaves of them."""
    everybody = loader.load(options.path, "", documented(CHECKOUT / "ansible").prefixes)
    found = [
        draining.Tier(kind, *([host.name for host in in_group(group, among)] for among in (hosts, everybody)))
        for group, kind in ((FLEET, "host"), (FRONT, "front host"))
    ]
    return [tier for tier in found if tier.asked]


def traffic(
    options: argparse.Namespace, hosts: Sequence[Target], signals: Signals
) -> tuple[list[str], list[str]]:
    """Return the hosts of the inventory that take traffic now, and those that are known to take none.

    Nobody is asked where neither a bridge host nor a front host was asked for.
    """
    fleet = [name for tier in tiers_of(options, hosts) for name in tier.fleet]
    if not fleet:
        return [], []
    found = draining.looked_at(run_of(options, fleet), fleet, signals)
    return draining.taking_traffic(found), draining.taking_none(found)


def read_hosts(options: argparse.Namespace) -> tuple[list[Target], Documented]:
    """Return the hosts of the inventory and the settings that there are; what the hosts set is checked.

    Raises RefusalError.
    """
    os.environ["ANSIBLE_CONFIG"] = str(CHECKOUT / "ansible/ansible.cfg")
    give_passwords(options)
    options.path = loader.find(options.inventory, CHECKOUT)
    options.values = values(options.values)
    known = documented(CHECKOUT / "ansible")
    options.defaults = {name: option["default"] for name, option in known.options.items() if "default" in option}
    hosts = loader.load(options.path, options.limit, known.prefixes)
    for line in loader.check(options.path, hosts, known):
        if options.verb in NOTED:
            note(f"Note: {line}")
    options.addons, options.sign_key = [], ""
    # What brings a host back needs none, and is not refused.
    if options.verb == "kit" or ((CHECKOUT / "kit").is_dir() and options.verb in {"deploy", "preflight"}):
        kit.check_acme(hosts)
    if options.verb in {*building.BUILDING, *BESIDE_HOSTS}:
        options.addons = addons.of(hosts, options.defaults, plone_versions(), options.inventory, options.path)
        options.sign_key = signing.key_of(hosts, options.defaults, options.path)
    return hosts, known


def about_images(options: argparse.Namespace, signals: Signals) -> int:
    """Run the program of a verb about images, with the add-ons of the inventory; return its exit code.

    Raises RefusalError where the inventory has none.
    """
    read_hosts(options)
    if not options.addons:
        raise RefusalError(
            f"The inventory {options.inventory} sets no plone_addons: name there what its Plone needs beside ours.",
        )
    return building.run(CHECKOUT, building.PROGRAMS[options.verb], options.words, options.addons, signals)


def sign_images(options: argparse.Namespace, signals: Signals) -> int:
    """Sign the images that were named, or those that hosts of the inventory need; return the exit code.

    Raises RefusalError.
    """
    hosts, _ = read_hosts(options)
    parser = Parser(prog=signing.SIGN, allow_abbrev=False)
    parser.add_argument("--names", default="")
    parser.add_argument("--sign-key", default="")
    own = parser.parse_args(options.words)
    needed = kit.tags(hosts, ladder().pythons, options.defaults)
    words = signing.asked(own.names, own.sign_key, options.sign_key, needed)
    return building.run(CHECKOUT, "builder.provenance", words, options.addons, signals)


def make_kit(options: argparse.Namespace, signals: Signals) -> int:
    """Build what the hosts of the inventory need, and write the kit; return the exit code. Raises RefusalError."""
    hosts, _ = read_hosts(options)
    parser = Parser(prog="kit", allow_abbrev=False)
    parser.add_argument("--python", default="")
    own, rest = parser.parse_known_args(options.words)
    needed = kit.tags(hosts, kit.pythons(hosts, own.python, ladder().pythons, options.defaults), options.defaults)
    if not building.build(CHECKOUT, needed, options.addons, signals, options.sign_key):
        return REFUSED
    words = [*kit.words(hosts, needed, options.defaults), "--inventory", str(options.path), *rest]
    return building.run(CHECKOUT, "builder.kit", words, options.addons, signals)


def take_plan(options: argparse.Namespace) -> Plan:
    """Return the plan that `options` name, and let them ask for what it plans. Raises RefusalError."""
    asked = replace(request_of(options), values=values(options.values))
    reviewed, upgrade = review.taken(options.plan, asked, CHECKOUT, ladder().pythons[-1])
    options.limit, options.values = upgrade.limit, json.dumps(dict(upgrade.values))
    return reviewed


def plone_versions() -> dict[str, list[str]]:
    """Return the versions of Plone that this checkout builds, with the Pythons of each, all oldest first."""
    return checks.plone_versions(read(CHECKOUT / "images/images.yml"))


def ladder() -> Ladder:
    """Return the Pythons that this checkout builds the bridge for."""
    return Ladder.of(read(CHECKOUT / "images/images.yml"))


def run_of(options: argparse.Namespace, names: Sequence[str]) -> Run:
    """Return a run of what the operator asked for, on the hosts `names`."""
    return Run(
        request_of(options), options.path, CHECKOUT, options.verbose, options.check, options.json,
        column=max(len(name) for name in names), several=len(names) > 1,
    )  # fmt: skip


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


def check_some(request: Request, names: Sequence[str], outcome: Outcome, code: int) -> None:
    """Raise RefusalError where a run was over without coming to any of the hosts `names`."""
    if code == REFUSED and not outcome.hosts:
        raise RefusalError(closing.no_host(request, names))


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


def built(options: argparse.Namespace, hosts: Sequence[Target], live: Outcome | None, signals: Signals) -> bool:
    """Build what the hosts need and this machine lacks; return whether it is there now. Says what to type where not."""
    asked = str(options.values.get("eduhub_python") or "")
    request = request_of(options)
    if request.verb in {"plan", "upgrade"}:
        tags = building.for_upgrade(hosts, asked, options.defaults)
    elif request.verb == "plone.upgrade":
        version = str(options.values.get("eduhub_version") or "")
        tags = building.for_plone(hosts, asked, version, options.defaults)
    else:
        tags = building.for_deploy(hosts, asked, live, options.defaults)
    if not tags or building.build(CHECKOUT, list(tags), options.addons, signals, options.sign_key):
        return True
    why = ["An image that is needed could not be built on this machine; what was printed before says why."]
    hostless(request, REFUSED, why if options.json else [], data=options.json, interrupted=signals.count > 0)
    return False


def hostless(request: Request, code: int, why: Sequence[str], *, data: bool, interrupted: bool = False) -> int:
    """Show the end of a run that no host has a result of: the lines `why`, and what is left; return its exit code."""
    lines = [*why, *([""] if why else []), *closing.result_lines(code, request, columns(), interrupted=interrupted)]
    show(*lines, stream=sys.stderr if data else sys.stdout)
    if data:
        text, commands = closing.result(code, request, interrupted=interrupted)
        show(json.dumps(closing.hostless_document(code, [*why, text], commands), indent=2))
    return code


def closed(run: Run, names: Sequence[str], done: Played, waves: Fleet | None, needed: Sequence[str] = ()) -> int:
    """Show the result of a run; return its exit code.

    `needed`: the hosts without which it is no success, though Ansible took it for one.
    """
    request, width = run.request, columns()
    code = (fleet_exit if waves else run_exit)(done.returned, done.outcome)
    left_out = [name for name in needed if done.outcome and name not in done.outcome.hosts] if code == DONE else []
    if left_out:
        code = NEEDS_PERSON
        note(closing.left_out_line(left_out))
    if done.outcome is None or not done.outcome.ended:
        words = closing.last_words(done.stderr)
        return hostless(request, code, words, data=run.json, interrupted=done.interrupted)
    check_some(request, names, done.outcome, code)
    if request.verb == "trace" and code == DONE:
        trace.check_found(request.values["eduhub_request"], names, done.outcome)
    if request.verb == "report":
        show(*files.written(request, names, done.outcome, CHECKOUT, data=run.json))
    elif run.json:
        for line in closing.failure_lines(done.outcome, request, width):
            note(line)
        over = ends(done.outcome, ladder(), today())
        document = closing.document(request.verb, done.outcome, code, over, names)
        document |= mixed_document(done.outcome.hosts, request) if request.verb == "status" else {}
        show(json.dumps(document, indent=2))
    elif (traced := trace_table(done.outcome.hosts)) and code == DONE:
        show("", *traced)
    else:
        show(*(["", *traced] if traced else []))  # of those hosts that could be asked
        hosts, last = done.outcome.hosts, None
        in_turns = request.verb in {"deploy", "rollback"}
        if waves or partly(hosts.values()) or (in_turns and any(map(waits, hosts.values()))):
            why = waves.why if waves else ""
            last = ending(request, hosts, code, why, width, interrupted=done.interrupted)
        show(*closing.closing(request, names, done.outcome, code, width, interrupted=done.interrupted, fleet=last))
        if request.verb != "destroy":
            show(*ended_lines(done.outcome, ladder(), request, today(), width))
    return code


# Verbs that are about this machine, for the hosts of an inventory.
BESIDE_HOSTS = {**dict.fromkeys(building.PROGRAMS, about_images), signing.SIGN: sign_images, "kit": make_kit}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
