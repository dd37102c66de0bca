"""Waiting until a slot has no public request left, within a deadline that always holds."""

from __future__ import annotations

from collections.abc import Callable

from eduhub_pilot.errors import ProxyDownError
from eduhub_pilot.facts import Slot
from eduhub_pilot.host import Host

POLL_SECONDS = 0.1


def drained(host: Host, slot: Slot, seconds: float, between: Callable[[], None]) -> int:
    """Return the public requests still at `slot`: 0 as soon as there is none, else how many when `seconds` are over.

    `between` is called after each look. A HAProxy that is down has no request: 0.
    """
    deadline = host.clock.monotonic() + seconds
    while True:
        try:
            left = host.proxy.counts(slot, patience=1).sessions
        except ProxyDownError:
            left = 0
        between()
        if left == 0 or host.clock.monotonic() >= deadline:
            return left
        host.clock.sleep(POLL_SECONDS)
