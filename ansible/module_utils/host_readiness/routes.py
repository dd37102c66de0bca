"""The host's IPv4 routes, from the kernel's table."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from .findings import ETHERNET_MTU
from .model import Route
from .programs import read


def routes(table: str) -> Iterator[Route]:
    """Yield the routes in the text of /proc/net/route; the default route's destination is 0.0.0.0/0."""
    for row in (line.split() for line in table.splitlines()[1:]):
        at, mask = (int.from_bytes(bytes.fromhex(row[column]), "little") for column in (1, 7))
        length = bin(mask).count("1")  # noqa: FURB161 - int.bit_count is newer than Python 3.9
        connected = int(row[2], 16) == 0 and row[0] != "*"
        yield Route(f"{ipaddress.IPv4Address(at)}/{length}", row[0], connected)


def way_out_mtu(known: list[Route]) -> int:
    """Return the MTU of the default route's interface, Ethernet's where there is no such route."""
    way_out = next((route.interface for route in known if route.destination == "0.0.0.0/0"), "")
    text = read(f"/sys/class/net/{way_out}/mtu").strip() if way_out else ""
    return int(text) if text.isdecimal() else ETHERNET_MTU
