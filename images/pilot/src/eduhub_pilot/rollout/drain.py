"""Waiting until a slot has no public request left, within a deadline that always holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.model.errors import ProxyDownError
from eduhub_pilot.model.facts import Slot

# Clients of event streams never leave by themselves: our bridge closes the streams, and clients reconnect elsewhere.
CLOSE_STREAMS = "/api/v1/live/goodbye"
CLOSE_STREAMS_SECONDS = 2.0
POLL_SECONDS = 0.1
# HAProxy lists every connection for this, not one number.
STREAM_POLL_SECONDS = 1.0


def drained(
    host: Host, slot: Slot, seconds: float, between: Callable[[], None], stream_seconds: float = 0
) -> int:
    """Return the public requests left at `slot`: 0 as soon as there is none, else their number at the drain timeout.

    The timeout is `seconds`, or `stream_seconds` if that is longer and streams or WebSockets are left. `between` is
    called after each poll. A HAProxy that is down has no request: 0.
    """
    began = host.clock.monotonic()
    if _sessions(host, slot):
        close_streams(host, slot)
    left = _until(host, began + seconds, POLL_SECONDS, lambda: _sessions(host, slot), between)
    if left and stream_seconds > seconds:
        _until(host, began + stream_seconds, STREAM_POLL_SECONDS, lambda: _streams(host, slot), between)
        left = _sessions(host, slot)
    return left


def close_streams(host: Host, slot: Slot) -> None:
    """Let the bridge in `slot` send its listeners away; one that is not ours has none, and any answer will do."""
    host.fetch(host.settings.private_endpoints[slot], CLOSE_STREAMS, CLOSE_STREAMS_SECONDS, "POST", {})


def _until(
    host: Host, deadline: float, pause: float, count: Callable[[], int], between: Callable[[], None]
) -> int:
    while True:
        left = count()
        between()
        missing = deadline - host.clock.monotonic()
        if left == 0 or missing <= 0:
            return left
        host.clock.sleep(min(pause, missing))


def _sessions(host: Host, slot: Slot) -> int:
    with suppress(ProxyDownError):
        return host.proxy.counts(slot, timeout=1).sessions
    return 0


def _streams(host: Host, slot: Slot) -> int:
    with suppress(ProxyDownError):
        return sum(each.kind != "request" for each in host.proxy.left(slot, timeout=1))
    return 0
