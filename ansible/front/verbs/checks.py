"""What is checked of a command line and its hosts before anything is played. Nothing here looks at a host."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from front.arguments.options import request_of
from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.fleet.rollout import in_group
from front.images import addons, building
from front.inventory.documented import is_template
from front.inventory.loader import Target
from front.inventory.misspelt import GROUPS
from front.output.closing import no_host

MADE = ("front_standby", "front_active")  # groups that playbooks make while they run

# What makes a machine with an address another one, or another stack on it.
DEFAULTS = {
    "ansible_connection": "ssh", "ansible_port": 22, "ansible_ssh_common_args": "", "ansible_ssh_extra_args": "",
    "eduhub_stack": "eduhub",
}  # fmt: skip


def check_python(options: argparse.Namespace, hosts: Sequence[Target], known: Sequence[str]) -> None:
    """Raise RefusalError for a Python that is none of those `known`, for which our bridge is built, oldest first.

    An institution's own bridge may have any.
    """
    for host in hosts:
        typed = options.values.get("eduhub_python")
        number = not typed and isinstance(host.variables.get("bridge_python"), float)
        quotes = ", in quotes if it has a zero at its end: bridge_python: '3.10'" if number else ""
        wanted = str(typed or host.variables.get("bridge_python") or known[-1])
        if "bridge_image" not in host.variables and wanted not in known:
            remedy = "" if typed else f", or correct bridge_python in the inventory{quotes}"
            raise RefusalError(
                f"There is no bridge for Python {wanted!r}; it is built for {', '.join(known)}: "
                f"type --python {known[-1]}{remedy}."
            )


def check_apart(request: Request, hosts: Sequence[Target]) -> None:
    """Raise RefusalError where two hosts of a group are one stack on one machine: a canary would be all that serves."""
    for group in ("bridge", "plone", "front"):
        found: dict[tuple[str, ...], str] = {}
        for host in in_group(group, hosts):
            given = {**DEFAULTS, "ansible_host": host.name, **host.variables}
            place = tuple(str(given[name]) for name in ("ansible_host", *DEFAULTS))
            if given["ansible_connection"] == "local" or is_template(place):
                continue
            if (other := found.setdefault(place, host.name)) != host.name:
                raise RefusalError(
                    f"{other} and {host.name} of inventory {request.inventory} are one machine ({place[0]}, port "
                    f"{given['ansible_port']}) with one stack ({given['eduhub_stack']}), and count as two hosts of the "
                    f"group {group}. Leave one of them out, or give one another eduhub_stack and other ports. Nothing "
                    "was touched."
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


def check_plone(
    options: argparse.Namespace, hosts: Sequence[Target], known: Mapping[str, Sequence[str]]
) -> None:
    """Raise RefusalError where no image of Plone follows from the Python or version that was asked for.

    `known`: the versions that are built, with their Pythons, all oldest first. A version without a Python is asked for
    with the newest one that it is built for.
    """
    python, version = (str(options.values.get(f"eduhub_{name}") or "") for name in ("python", "version"))
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
            if wanted and f"{{{word}}}" not in str(values[building.PLONE]):
                raise RefusalError(
                    f"plone_image of {host.name} is {values[building.PLONE]}, which has no {word} to choose: write "
                    f"{{{word}}} where its name has one, as in {options.defaults[building.PLONE]}. The host stays on "
                    "what it has."
                )
        if building.PLONE not in host.variables or values.get(addons.ADDONS):
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


def plone_versions(catalogue: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the versions of Plone in the document of building.yml, with the Pythons of each, all oldest first."""
    rows = catalogue["images"]["plone"]["versions"]
    return {
        version: sorted({*rows[version].get("pythons", ()), *rows[version].get("on_request", ())}, key=numbers)
        for version in sorted(rows, key=numbers)
    }


def numbers(version: str) -> list[int]:
    """Return a version such as "3.11" as what it is sorted by."""
    return [int(part) for part in version.split(".")]


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


def check_played(request: Request, playbooks: Path, hosts: Sequence[Target]) -> None:
    """Raise RefusalError where the playbook of the verb plays on groups that none of `hosts` is in."""
    wanted = set(patterns(playbooks / f"{request.verb}.yml"))
    if not wanted or not wanted <= {*GROUPS, *MADE}:
        return
    if not any(wanted & set(host.variables.get("group_names") or ()) for host in hosts):
        raise RefusalError(no_host(request, [host.name for host in hosts]))


def patterns(playbook: Path) -> Iterator[str]:
    """Yield the groups that a playbook, and those that it imports, play on."""
    plays = yaml.safe_load(playbook.read_text(encoding="utf-8")) or []
    for play in plays if isinstance(plays, list) else ():
        imported = play.get("import_playbook") or play.get("ansible.builtin.import_playbook")
        if imported:
            yield from patterns(playbook.with_name(imported))
        else:
            yield from str(play.get("hosts", "")).split(":")
