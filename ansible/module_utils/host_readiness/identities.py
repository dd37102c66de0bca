"""Who on the host has the numbers that the stack's containers run as. Reads only."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterator
from contextlib import suppress

IDS = (500, 10001, 10002)


def names() -> Iterator[tuple[int, str]]:
    """Yield each of the stack's numbers that a user or group has, with its name; directories such as LDAP count."""
    for number in IDS:
        user = group = ""
        with suppress(KeyError, OSError):
            user = pwd.getpwuid(number).pw_name
        with suppress(KeyError, OSError):
            group = grp.getgrgid(number).gr_name
        if user:
            yield number, f"the user {user}"
        if group:
            yield number, f"the group {group}"
