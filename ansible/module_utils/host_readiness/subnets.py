"""Which subnets Docker is about to take on a host. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from .model import NAME_SERVER, Host, Pool, Requirements

# The engine's own choice: 172.17.0.0/16 to 172.31.0.0/16, then parts of 192.168.0.0/16.
POOLS = (*(Pool(f"172.{second}.0.0/16", 16) for second in range(17, 32)), Pool("192.168.0.0/16", 20))
DOCKER0 = "docker0"


def pools(configuration: Mapping[str, Any]) -> tuple[Pool, ...]:
    """Return the pools from which the engine chooses by `configuration`, the document of daemon.json."""
    try:
        named = [Pool(str(each["base"]), int(each["size"])) for each in configuration["default-address-pools"]]
        bases = [(pool, ipaddress.IPv4Network(pool.base)) for pool in named if ":" not in pool.base]
    except (KeyError, TypeError, ValueError):  # without any; an engine does not start with wrong ones
        return POOLS
    return tuple(pool for pool, base in bases if base.prefixlen <= pool.size <= 32) or POOLS


def bip(configuration: Mapping[str, Any]) -> str:
    """Return the subnet that `configuration` gives docker0; "" where it names none."""
    try:
        return str(ipaddress.IPv4Interface(configuration["bip"]).network)
    except (KeyError, ValueError):
        return ""


def about_to_be_taken(host: Host, required: Requirements) -> Iterator[tuple[str, str]]:
    """Yield the networks that a first deployment makes, by name, each with its subnet of IPv4.

    The engine makes docker0 as it starts. It takes the first of its pools that no network of the host overlaps and that
    has no name server of the host (libnetwork: CheckNameserverOverlaps, CheckRouteOverlaps).
    """
    free = _free(host)
    if host.engine is None and not any(route.interface == DOCKER0 for route in host.routes):
        yield DOCKER0, host.bip or next(free, "")
    if required.network and host.network is None:
        yield required.network, required.subnet or next(free, "")


def _free(host: Host) -> Iterator[str]:
    taken = [ipaddress.ip_network(route.destination) for route in host.routes if route.connected]
    taken += [ipaddress.ip_network(address) for address, what in host.partners if what == NAME_SERVER]
    for pool in host.pools or POOLS:
        for subnet in ipaddress.ip_network(pool.base).subnets(new_prefix=pool.size):
            if not any(each.overlaps(subnet) for each in taken):
                yield str(subnet)
