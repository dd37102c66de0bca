"""Whether a host serves the public, waited for."""

from __future__ import annotations

from eduhub_pilot.adapters.host import Host
from eduhub_pilot.adapters.http import wait_ready
from eduhub_pilot.model.facts import answered
from eduhub_pilot.model.state import Serving


def silent(host: Host, live: Serving, seconds: float) -> str | None:
    """Wait `seconds` for three good answers in a row at the public address; return what came instead, else None."""
    path = host.store.record(live.release).spec.health_path
    found = wait_ready(
        host.clock, lambda: host.ask(host.settings.edge, path, host.settings.probe_seconds), lambda: None, seconds
    )
    if found.ready:
        return None
    what = answered(found.last) if found.last else "was not asked"
    return (
        f"{path} at its public address {what} after {found.elapsed:.0f} s, and has to answer well three times in a row"
    )
