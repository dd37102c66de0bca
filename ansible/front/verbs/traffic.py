"""Which hosts take traffic before one of them is taken out: hosts are asked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from front.fleet import draining
from front.fleet.rollout import FLEET, FRONT, in_group
from front.inventory import loader
from front.inventory.documented import documented
from front.inventory.loader import Target
from front.run.play import Signals
from front.verbs import checkout
from front.verbs.hosts import run_of


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
    everybody = loader.load(options.path, "", documented(checkout.PATH / "ansible").prefixes)
    found = [
        draining.Tier(kind, *([host.name for host in in_group(group, among)] for among in (hosts, everybody)))
        for group, kind in ((FLEET, "host"), (FRONT, "front host"))
    ]
    return [tier for tier in found if tier.asked]


def traffic(
    options: argparse.Namespace, hosts: Sequence[Target], signals: Signals
) -> tuple[list[str], list[str]]:
    """Return the hosts of the inventory that take traffic now, and those that are known to take none.

    No host is asked where neither a bridge host nor a front host was asked for.
    """
    fleet = [name for tier in tiers_of(options, hosts) for name in tier.fleet]
    if not fleet:
        return [], []
    found = draining.looked_at(run_of(options, fleet), fleet, signals)
    return draining.taking_traffic(found), draining.taking_none(found)
