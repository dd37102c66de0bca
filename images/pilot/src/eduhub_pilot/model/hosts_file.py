"""The names in the host's /etc/hosts, which a container on a network of its own does not see."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


def names(text: str) -> Mapping[str, str]:
    """Return each name in the text of /etc/hosts with its first address, but for those of the host alone.

    Left out are loopback and multicast addresses: in a container the first are the container's own.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        first, *others = line.split("#", maxsplit=1)[0].split() or [""]
        try:
            address = ipaddress.ip_address(first)
        except ValueError:
            continue
        if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
            continue
        for name in others:
            found.setdefault(name, str(address))
    return found
