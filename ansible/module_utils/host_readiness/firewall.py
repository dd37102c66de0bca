"""The host's packet filter, as far as it decides whether containers reach Plone. Reads only."""

from __future__ import annotations

import ipaddress
import json
import shutil
from collections.abc import Iterator
from typing import Any

from .installed import PATH
from .model import Firewall, Network
from .programs import read, run

# A rule that names one of these was written with containers in mind. Interfaces of the engine's networks are br-*.
NAMES = ("br-", "docker")


def firewall(network: Network | None, iptables: bool) -> Firewall:
    """Return what nftables does to the containers of the stack's `network`; nothing where it cannot be asked.

    `iptables`: whether the engine writes rules of its own.
    """
    nft = shutil.which("nft", path=PATH)
    ruleset = run(nft, "--json", "list", "ruleset") if nft else None
    if ruleset is None:
        return Firewall()
    # The engine may have written its rules by the older interface, which nft does not show.
    legacy = bool(read("/proc/net/ip_tables_names").strip())
    return judged(ruleset, network, iptables and not legacy)


def judged(ruleset: str, network: Network | None, iptables: bool) -> Firewall:
    """Return what `ruleset`, in nft's JSON, does to the stack's network."""
    try:
        entries = json.loads(ruleset)["nftables"]
    except (ValueError, KeyError, TypeError):
        return Firewall()
    rules: dict[tuple[str, str], list[Any]] = {}
    for rule in (each["rule"] for each in entries if "rule" in each):
        rules.setdefault((rule["family"], rule["table"]), []).append(rule.get("expr"))
    drops = tuple(
        f"chain {chain['name']} of table {chain['family']} {chain['table']}"
        for chain in (each["chain"] for each in entries if "chain" in each)
        if chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain["family"] in {"ip", "inet"}
        and not meant(rules.get((chain["family"], chain["table"]), []), network)
    )
    forgotten = iptables and network is not None and not any(meant(each, network) for each in rules.values())
    return Firewall(drops, forgotten, network.interface if network else "")


def meant(rules: Any, network: Network | None) -> bool:
    """Whether one of the rules names Docker, an interface of its networks, or an address of `network`."""
    subnets = [ipaddress.ip_network(subnet) for subnet in network.subnets] if network else []
    return any(
        any(name in found.lower() for name in NAMES)
        if isinstance(found, str)
        else any(each.version == found.version and each.overlaps(found) for each in subnets)
        for found in leaves(rules)
    )


def leaves(value: Any) -> Iterator[str | ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Yield the texts of a rule, and its addresses as networks."""
    if isinstance(value, dict) and set(value) == {"addr", "len"}:
        yield ipaddress.ip_network(f"{value['addr']}/{value['len']}", strict=False)
    elif isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, str):
        yield value
