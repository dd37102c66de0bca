"""`python -m front VERB`: plays ansible/playbooks/VERB.yml on an inventory; exits with 0, 1, 2 or 3.

0 done; 1 tried, failed and reverted; 2 refused, nothing touched; 3 a person is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from front import inventory, keep, report
from front.documented import documented, read
from front.inventory import Target
from front.outcome import REFUSED, exit_code
from front.play import Played, Run, Signals, note, play, recover, say
from front.refusal import RefusalError
from front.typed import located, status, typed

CHECKOUT = Path(__file__).resolve().parents[2]


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are refusals like all others."""

    def error(self, message: str) -> NoReturn:
        raise RefusalError(f"{message[:1].upper()}{message[1:]}; `./invoke --list` names the verbs.")


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the command line's options. Raises RefusalError."""
    parser = Parser(prog="front", description=__doc__, allow_abbrev=False)
    parser.add_argument("verb")
    parser.add_argument("--inventory", default="local", help="inventories/NAME, or the path of an inventory")
    parser.add_argument("--limit", default="", help="only these hosts or groups")
    parser.add_argument("--values", default="{}", help="variables above all others, as a JSON object")
    parser.add_argument("--verbose", action="store_true", help="show what Ansible does")
    parser.add_argument("--check", action="store_true", help="change nothing, say what would change")
    parser.add_argument("--json", action="store_true", help="print one JSON document, at the end")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Refuse, or play the verb; return the exit code."""
    try:
        with Signals() as signals:
            options = parsed(words)
            hosts = checked(options)
            return played(options, hosts, signals)
    except RefusalError as refusal:
        print(*(f"invoke: {sentence}" for sentence in refusal.sentences), sep="\n", file=sys.stderr)
        return REFUSED


def checked(options: argparse.Namespace) -> list[Target]:
    """Return the hosts that the run is about, checked as far as can be beforehand. Raises RefusalError."""
    playbooks = CHECKOUT / "ansible/playbooks"
    verbs = sorted(path.stem for path in playbooks.glob("*.yml"))
    if options.verb not in verbs:
        near = get_close_matches(options.verb, verbs, n=1)
        raise RefusalError(f"There is no playbook {options.verb!r}; {f'did you mean {near[0]}?' if near else verbs}")
    os.environ["ANSIBLE_CONFIG"] = str(CHECKOUT / "ansible/ansible.cfg")
    options.path = inventory.find(options.inventory, CHECKOUT)
    options.values = values(options.values)
    hosts = inventory.load(options.path, options.limit)
    inventory.check(options.path, hosts, documented(CHECKOUT / "ansible"))
    check_python(options, hosts)
    check_root(options, hosts)
    return hosts


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
    known = read(CHECKOUT / "images/images.yml")["images"]["bridge"]["pythons"]
    for host in hosts:
        wanted = str(options.values.get("eduhub_python") or host.variables.get("bridge_python") or known[-1])
        if "bridge_image" not in host.variables and wanted not in known:
            raise RefusalError(
                f"There is no bridge for Python {wanted!r}; it is built for {' and '.join(known)}: "
                f"type --python {known[-1]}, or correct bridge_python in the inventory."
            )


def check_root(options: argparse.Namespace, hosts: Sequence[Target]) -> None:
    """Raise RefusalError where this machine is to be changed by somebody who may not."""
    if os.geteuid() != 0 and any(here(host.variables) for host in hosts):
        raise RefusalError(f"You are not root, which {options.verb} on this machine needs; type: sudo {again(options)}")


def here(variables: Mapping[str, Any]) -> bool:
    """Whether a host is this machine, with nothing in its inventory to become root there."""
    return variables.get("ansible_connection") == "local" and not variables.get("ansible_become")


def played(options: argparse.Namespace, hosts: Sequence[Target], signals: Signals) -> int:
    """Play the verb, undo it if it was cut off, say what came of it; return the exit code."""
    names = [host.name for host in hosts]
    run = Run(
        options.verb, options.path, CHECKOUT, options.limit, options.values, options.verbose, options.check,
        options.json, column=max(len(name) for name in names), again=again(options),
    )  # fmt: skip
    if not run.json:
        say(report.header(run.verb, options.inventory, names, run.id, check=run.check))
    done = play(run, run.verb, signals)
    cut_off = done.outcome is None or not done.outcome.ended
    if cut_off and done.outcome and done.outcome.begun:
        note(f"Undoing run {run.id}, please wait.")
        undone = recover(run, signals)
        outcome = undone.outcome and undone.outcome.after(done.outcome)
        done = replace(undone, outcome=outcome, interrupted=True)
    # Half a removal is nothing that serves as before, and a confirmation may have come through.
    elif cut_off and done.interrupted and run.verb not in {"confirm", "destroy"}:
        say(report.after(REFUSED, again(options), interrupted=True))
        return REFUSED
    return told(options, run, names, done)


def told(options: argparse.Namespace, run: Run, names: Sequence[str], done: Played) -> int:
    """Say what came of a run; return its exit code."""
    code = exit_code(done.returned, done.outcome)
    if done.outcome is None or not done.outcome.ended:
        say(*report.last_words(done.last_words), "", report.after(code, run.again))
    elif run.verb == "report":
        say(*keep.lines(options.inventory, names, done.outcome, CHECKOUT, status(run.again), data=run.json))
    elif run.json:
        for sentence in report.complaints(done.outcome):
            note(sentence)
        say(json.dumps(report.document(run.verb, done.outcome, code), indent=2))
    else:
        lines = report.closing(run.verb, names, done.outcome, code, run.again, interrupted=done.interrupted)
        say(*(located(line, run.again) for line in lines))
    return code


def again(options: argparse.Namespace) -> str:
    """Return the command line that asks for the same once more."""
    return typed(options.verb, options.inventory, options.limit, options.values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
