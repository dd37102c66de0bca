"""`python -m front VERB`: plays ansible/playbooks/VERB.yml on an inventory; exits with 0, 1, 2 or 3.

0 done; 1 tried, failed and reverted; 2 refused, nothing touched; 3 needs a person (front/exit_codes.py).
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
from typing import Any, NoReturn

from front import addons, choices, draining, images, inventory, kit, missing, patching, planning, signing, trace
from front.documented import Documented, documented, read
from front.exit_codes import DONE, NEEDS_PERSON, REFUSED, fleet_exit, partly, run_exit, waits
from front.fleet import CONFIRM, FLEET, FRONT, Fleet, bridges, fleet_of, in_group, played_on, policy_of
from front.inventory import Target
from front.ladder import Ladder, ended_lines, ends, today
from front.outcome import Outcome
from front.output import closing
from front.output.fleet import ending
from front.output.layout import columns, next_lines
from front.output.plan_table import plan_table
from front.output.trace_table import trace_table
from front.plan import Plan, fingerprints
from front.play import Played, Run, Signals, note, play, recover, show
from front.refusal import RefusalError
from front.report import files
from front.request import Request
from front.turns import Turns

CHECKOUT = Path(__file__).resolve().parents[2]
PATCH = "host.patch"
# Verbs whose interruption does not mean that nothing was done.
NOT_TAKEN_BACK = {
    "confirm", "destroy", "drain", "undrain", PATCH, "plone.confirm", "plone.restore", "plone.upgrade",
    "plone.rollback",
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are refusals like all others."""

    def error(self, message: str) -> NoReturn:
        raise RefusalError(f"{message[:1].upper()}{message[1:]}.", next_commands=["./invoke --list"])


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the command line's options. Raises RefusalError."""
    parser = Parser(prog="front", description=__doc__, allow_abbrev=False)
    parser.add_argument("verb")
    parser.add_argument("--inventory", default="local", help="inventories/NAME, or the path of an inventory")
    parser.add_argument("--limit", default="", help="only these hosts or groups")
    parser.add_argument("--values", default="{}", help="variables above all others, as a JSON object")
    parser.add_argument("--verbose", action="store_true", help="show what Ansible does")
    parser.add_argument("--check", action="store_true", help="change nothing, say what would change")
    parser.add_argument("--out", default="", help="file for the plan")
    parser.add_argument("--plan", default="", help="file of the plan to hold an upgrade to")
    parser.add_argument("--json", action="store_true", help="print one JSON document, at the end")
    parser.add_argument("--become-password-file", default="", help="file with the password of sudo on the hosts")
    parser.add_argument("--vault-password-file", default="", help="file with the password of ansible-vault")
    parser.add_argument("--asked", action="append", default=[], choices=["become", "vault"], help="was typed")
    end = list(words).index("--") if "--" in words else len(words)  # what follows is for the program of the verb
    options = parser.parse_args(words[:end])
    options.words, options.serving, options.idle = list(words[end + 1 :]), [], []
    return options


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
        check_not_last(options, hosts, signals)
    if options.verb == PATCH:
        options.serving, options.idle = traffic(options, hosts, signals)
    if options.verb in {"plan", "upgrade", "plone.upgrade"} and not built(options, hosts, None, signals):
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
    choices.check(request_of(options), known.options[CONFIRM])
    hosts = played_on(options.verb, found)
    missing.check_played(request_of(options), playbooks, hosts)
    (check_plone if options.verb == "plone.upgrade" else check_python)(options, hosts)
    check_root(options, hosts)
    if options.verb == "plone.restore" and options.values.get("eduhub_to") == "live":
        check_one_site(request_of(options), hosts)
    if options.verb == "trace":
        trace.check_id(options.values.get("eduhub_request"))
    if options.verb == PATCH:
        patching.check_local(hosts, request_of(options))
    upgrade = replace(request_of(options), verb="upgrade") if options.verb == "plan" else request_of(options)
    fleet, hold = fleet_of(upgrade, hosts), bool(options.values.get("eduhub_hold"))
    options.policy = policy_of(fleet, known, hold=hold) if fleet else None
    if options.out:
        planning.check_place(options.out)
    return hosts


def check_not_last(options: argparse.Namespace, hosts: Sequence[Target], signals: Signals) -> None:
    """Raise RefusalError where no bridge host, or no front host, of the inventory would be left to take traffic."""
    if tiers := tiers_of(options, hosts):
        draining.check_others(run_of(options, [host.name for host in hosts]), tiers, signals)


def tiers_of(options: argparse.Namespace, hosts: Sequence[Target]) -> list[draining.Tier]:
    """Return the tiers that `hosts` are of, each with all its hosts, whatever --limit leaves of them."""
    everybody = inventory.load(options.path, "", documented(CHECKOUT / "ansible").prefixes)
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
    options.path = inventory.find(options.inventory, CHECKOUT)
    options.values = values(options.values)
    known = documented(CHECKOUT / "ansible")
    options.defaults = {name: option["default"] for name, option in known.options.items() if "default" in option}
    hosts = inventory.load(options.path, options.limit, known.prefixes)
    inventory.check(options.path, hosts, known)
    options.addons, options.sign_key = [], ""
    # What brings a host back needs none, and is not refused.
    if options.verb == "kit" or ((CHECKOUT / "kit").is_dir() and options.verb in {"deploy", "preflight"}):
        kit.check_acme(hosts)
    if options.verb in {*images.BUILDING, *BESIDE_HOSTS}:
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
    return images.run(CHECKOUT, images.PROGRAMS[options.verb], options.words, options.addons, signals)


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
    return images.run(CHECKOUT, "builder.provenance", words, options.addons, signals)


def make_kit(options: argparse.Namespace, signals: Signals) -> int:
    """Build what the hosts of the inventory need, and write the kit; return the exit code. Raises RefusalError."""
    hosts, _ = read_hosts(options)
    parser = Parser(prog="kit", allow_abbrev=False)
    parser.add_argument("--python", default="")
    own, rest = parser.parse_known_args(options.words)
    needed = kit.tags(hosts, kit.pythons(hosts, own.python, ladder().pythons, options.defaults), options.defaults)
    if not images.build(CHECKOUT, needed, options.addons, signals, options.sign_key):
        return REFUSED
    words = [*kit.words(hosts, needed, options.defaults), "--inventory", str(options.path), *rest]
    return images.run(CHECKOUT, "builder.kit", words, options.addons, signals)


def take_plan(options: argparse.Namespace) -> Plan:
    """Return the plan that `options` name, and let them ask for what it plans. Raises RefusalError."""
    asked = replace(request_of(options), values=values(options.values))
    reviewed, upgrade = planning.taken(options.plan, asked, CHECKOUT)
    options.limit, options.values = upgrade.limit, json.dumps(dict(upgrade.values))
    return reviewed


def give_passwords(options: argparse.Namespace) -> None:
    """Tell Ansible, here and in the run, where its passwords are. Raises RefusalError for an unreadable file."""
    for name in ("become", "vault"):
        file = getattr(options, f"{name}_password_file")
        if file and not os.access(file, os.R_OK):
            raise RefusalError(f"--{name}-password-file {file!r} cannot be read: name a file that you may read.")
        if file:
            os.environ[f"ANSIBLE_{name.upper()}_PASSWORD_FILE"] = file


def values(text: str) -> dict[str, Any]:
    """Return the variables given on the command line. Raises RefusalError."""
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise RefusalError(f"--values is {text!r}, but must be a JSON object.")
    return given


def check_python(options: argparse.Namespace, hosts: Sequence[Target]) -> None:
    """Raise RefusalError for a Python that no image of our bridge is built for; an institution's own may have any."""
    known = ladder().pythons
    for host in hosts:
        number = not options.values.get("eduhub_python") and isinstance(host.variables.get("bridge_python"), float)
        quotes = ", in quotes if it has a zero at its end: bridge_python: '3.10'" if number else ""
        wanted = str(options.values.get("eduhub_python") or host.variables.get("bridge_python") or known[-1])
        if "bridge_image" not in host.variables and wanted not in known:
            raise RefusalError(
                f"There is no bridge for Python {wanted!r}; it is built for {', '.join(known)}: "
                f"type --python {known[-1]}, or correct bridge_python in the inventory{quotes}."
            )


def check_one_site(request: Request, hosts: Sequence[Target]) -> None:
    """Raise RefusalError where a restore would replace the content of several hosts, which have a site each."""
    names = [host.name for host in in_group("plone", hosts)]
    if len(names) > 1:
        raise RefusalError(
            f"This would replace the content of {', '.join(names)}, each of which has a site of its own. Nothing was "
            "changed. Name one of them with --limit.",
            next_commands=[request.limited(name).command for name in names],
        )


def check_plone(options: argparse.Namespace, hosts: Sequence[Target]) -> None:
    """Raise RefusalError where no image of Plone follows from the Python or version that was asked for.

    A version without a Python is asked for with the newest one that it is built for.
    """
    python, version = (str(options.values.get(f"eduhub_{name}") or "") for name in ("python", "version"))
    known = plone_versions()
    if not python and not version:
        default = known[str(options.defaults["plone_version"])][-1]
        raise RefusalError(
            f"plone.upgrade asks for the Python or the version: type --python {default} or --version {[*known][-1]}."
        )
    if options.values.get("eduhub_rehearse") and not version:
        raise RefusalError(f"--rehearse is for another version of Plone: type --version {[*known][-1]} too.")
    for host in hosts:
        values = {**options.defaults, **host.variables}
        if values.get("plone_url"):
            continue  # refused where it is known whose Plone that is
        for word, wanted in (("python", python), ("version", version)):
            if wanted and f"{{{word}}}" not in str(values[images.PLONE]):
                raise RefusalError(
                    f"plone_image of {host.name} is {values[images.PLONE]}, which has no {word} to choose: write "
                    f"{{{word}}} where its name has one, as in {options.defaults[images.PLONE]}. The host stays on "
                    "what it has."
                )
        if images.PLONE not in host.variables or values.get(addons.ADDONS):
            check_built(known, python, version or str(values["plone_version"]))
    if version and not python:
        options.values["eduhub_python"] = known.get(version, [""])[-1]


def check_built(known: Mapping[str, Sequence[str]], python: str, version: str) -> None:
    """Raise RefusalError unless Plone is built in that version, and for that Python where there is one."""
    if version not in known:
        raise RefusalError(
            f"There is no Plone {version!r}; it is built in {', '.join(known)}: type --version {[*known][-1]}."
        )
    if python and python not in known[version]:
        raise RefusalError(
            f"There is no Plone {version} for Python {python!r}; it is built for {', '.join(known[version])}: "
            f"type --python {known[version][-1]}."
        )


def plone_versions() -> dict[str, list[str]]:
    """Return the versions of Plone that this checkout builds, with the Pythons of each, all oldest first."""
    rows = read(CHECKOUT / "images/images.yml")["images"]["plone"]["versions"]
    return {
        version: sorted({*rows[version].get("pythons", ()), *rows[version].get("on_request", ())}, key=numbers)
        for version in sorted(rows, key=numbers)
    }


def numbers(version: str) -> list[int]:
    """Return a version such as "3.11" as what it is sorted by."""
    return [int(part) for part in version.split(".")]


def ladder() -> Ladder:
    """Return the Pythons that this checkout builds the bridge for."""
    return Ladder.of(read(CHECKOUT / "images/images.yml"))


def check_root(options: argparse.Namespace, hosts: Sequence[Target]) -> None:
    """Raise RefusalError where this machine is to be changed by somebody who may not."""
    if os.geteuid() != 0 and any(here(host.variables) for host in hosts):
        raise RefusalError(
            f"You are not root, and {options.verb} on this machine requires it.",
            next_commands=[f"sudo {request_of(options).command}"],
        )


def here(variables: Mapping[str, Any]) -> bool:
    """Whether a host is this machine, with nothing in its inventory to become root there."""
    return variables.get("ansible_connection") == "local" and not variables.get("ansible_become")


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
    plan = planning.made(run, names, done.outcome, options.policy)
    if reviewed:
        planning.hold_to(reviewed, plan, request, options.plan)
        return DONE
    if options.out:
        planning.write(plan, options.out)
    code = run_exit(done.returned, done.outcome)
    if data:
        for line in closing.failure_lines(done.outcome, request, columns()):
            note(line)
        show(json.dumps({**plan, "exit": code}, indent=2))
        return code
    lines = ["", *plan_table(plan, columns()), ""]
    if code:
        refused = "An upgrade would be refused. Fix the cause, then plan again."
        show(*lines, refused, *next_lines([planning.plan_again(request, options.out)]))
    elif any(host["changes"] for host in plan["hosts"].values()):
        show(*lines, *next_lines([planning.upgrade_command(request, options.out)]))
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
    fleet = fleet_of(request, hosts)
    waves = Fleet(run, [host.name for host in fleet], options.policy) if fleet else None
    rolled = waves or in_turn(run, hosts)
    done = rolled.roll(signals) if rolled else play(run, request.verb, signals)
    if request.verb == PATCH and not run.check:
        done = patching.with_waiting(done)
    cut_off = done.outcome is None or not done.outcome.ended
    if request.verb == "engine" and not cut_off and not done.returned:  # what it is for comes next, and closes
        return DONE if options.check or built(options, hosts, done.outcome, signals) else REFUSED
    if cut_off and done.outcome and done.outcome.begun:
        undone = recover(run, signals)
        outcome = undone.outcome and undone.outcome.after(done.outcome)
        done = replace(undone, outcome=outcome, interrupted=True)
    # Half a removal leaves no host as it was, a confirmation may have come through, the others go on by themselves.
    elif cut_off and done.interrupted and request.verb not in NOT_TAKEN_BACK:
        return hostless(request, REFUSED, [], data=run.json, interrupted=True)
    return closed(run, names, done, waves, [host.name for host in in_group(request.group, hosts)])


def check_some(request: Request, names: Sequence[str], outcome: Outcome, code: int) -> None:
    """Raise RefusalError where a run was over without coming to any of the hosts `names`."""
    if code == REFUSED and not outcome.hosts:
        raise RefusalError(closing.no_host(request, names))


def in_turn(run: Run, hosts: Sequence[Target]) -> Turns | None:
    """Return what rolls hosts back one after the other; None for another verb, and for a single host."""
    names = [host.name for host in bridges(hosts)]
    return Turns(run, names) if run.request.verb == "rollback" and len(names) > 1 and not run.check else None


def built(options: argparse.Namespace, hosts: Sequence[Target], live: Outcome | None, signals: Signals) -> bool:
    """Build what the hosts need and this machine lacks; return whether it is there now. Says what to type where not."""
    asked = str(options.values.get("eduhub_python") or "")
    request = request_of(options)
    if request.verb in {"plan", "upgrade"}:
        tags = images.for_upgrade(hosts, asked, options.defaults)
    elif request.verb == "plone.upgrade":
        version = str(options.values.get("eduhub_version") or "")
        tags = images.for_plone(hosts, asked, version, options.defaults)
    else:
        tags = images.for_deploy(hosts, asked, live, options.defaults)
    if not tags or images.build(CHECKOUT, list(tags), options.addons, signals, options.sign_key):
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
        show(json.dumps(closing.document(request.verb, done.outcome, code, over, names), indent=2))
    elif (traced := trace_table(done.outcome.hosts)) and code == DONE:
        show("", *traced)
    else:
        show(*(["", *traced] if traced else []))  # of those hosts that could be asked
        hosts, last = done.outcome.hosts, None
        if waves or partly(hosts.values()) or (request.verb == "rollback" and any(map(waits, hosts.values()))):
            why = waves.why if waves else ""
            last = ending(request, hosts, code, why, width, interrupted=done.interrupted)
        show(*closing.closing(request, names, done.outcome, code, width, interrupted=done.interrupted, fleet=last))
        if request.verb != "destroy":
            show(*ended_lines(done.outcome, ladder(), request, today(), width))
    return code


def request_of(options: argparse.Namespace) -> Request:
    """Return what the operator asked for."""
    login: list[tuple[str, ...]] = [(f"--ask-{name}-pass",) for name in options.asked]
    if options.vault_password_file and "vault" not in options.asked:
        login.append(("--vault-password-file", options.vault_password_file))
    return Request(options.verb, options.inventory, options.limit, options.values, tuple(login), check=options.check)


# Verbs that are about this machine, for the hosts of an inventory.
BESIDE_HOSTS = {**dict.fromkeys(images.PROGRAMS, about_images), signing.SIGN: sign_images, "kit": make_kit}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
