"""A kit is made of what the hosts of an inventory need: their images, and the packages of their engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from front.arguments.refusal import RefusalError
from front.images import building
from front.inventory.loader import Target


def pythons(hosts: Sequence[Target], asked: str, ladder: Sequence[str], defaults: Mapping[str, Any]) -> list[str]:
    """Return the Pythons of the bridge that a kit brings: those `asked` for, separated by commas.

    By default, that of each host in the inventory, and all later ones of the `ladder`. Raises RefusalError.
    """
    if asked:
        wanted = [python.strip() for python in asked.split(",")]
        if unknown := [python for python in wanted if python not in ladder]:
            raise RefusalError(
                f"There is no bridge for Python {unknown[0]!r}; it is built for {', '.join(ladder)}: "
                f"type --python {','.join(ladder[-2:])}."
            )
        return wanted
    named = [str({**defaults, **host.variables}.get("bridge_python", "")) for host in hosts]
    first = min((ladder.index(python) for python in named if python in ladder), default=len(ladder) - 1)
    return [*ladder[first:]]


def check_acme(hosts: Sequence[Target]) -> None:
    """Raise RefusalError where a host has its certificate from an ACME server: no kit brings the client for it."""
    if asking := [host.name for host in hosts if host.variables.get("edge_acme_server")]:
        raise RefusalError(
            f"{asking[0]} sets edge_acme_server, and a kit does not bring certbot, which asks that server: name the "
            "files of a certificate with edge_tls_certificates instead."
        )


def tags(hosts: Sequence[Target], wanted: Sequence[str], defaults: Mapping[str, Any]) -> list[str]:
    """Return the tags of all images that the hosts need on each of the `wanted` Pythons, each once."""
    needed = [tag for python in wanted for tag in building.for_deploy(hosts, python, None, defaults)]
    return [*dict.fromkeys(needed)]


def words(hosts: Sequence[Target], needed: Sequence[str], defaults: Mapping[str, Any]) -> list[str]:
    """Return the options of the kit's program: images, and packages that make an engine on each host."""
    found = ["--tags", *needed]
    for option, name in (("--packages", "docker_host_packages"), ("--optional", "docker_host_split_packages")):
        found += [option, *dict.fromkeys(each for host in hosts for each in {**defaults, **host.variables}[name])]
    return found
