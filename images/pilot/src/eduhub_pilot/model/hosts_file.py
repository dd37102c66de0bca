"""The names in the host's /etc/hosts, which a container on a network of its own does not see."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


def names(text: str) -> Mapping[str, str]:
    """Return each name in the text of /etc/hosts with its first address, but for those of the host alone.

    Left out are addresses of no other host, such as loopback and multicast ones.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        first, *others = line.split("#", maxsplit=1)[0].split() or [""]
        try:
            address = ipaddress.ip_address(first)
        except ValueError:
            continue
        # Debian's file has ip6-localnet too, at a reserved address.
        if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_reserved:
            continue
        for name in others:
            found.setdefault(name, str(address))
    return found
