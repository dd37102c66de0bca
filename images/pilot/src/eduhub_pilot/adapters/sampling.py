"""Takes samples: HAProxy's counters, and the histograms of a bridge that offers them at its private endpoint."""

from __future__ import annotations

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.analysis.canary import Sample
from eduhub_pilot.analysis.histogram import parse_histogram
from eduhub_pilot.model.facts import Counts, Slot

# Both names are our bridge's; a foreign application that has them is taken to mean the same.
REQUESTS, PLONE = "eduhub_bridge_request_seconds", "eduhub_bridge_plone_seconds"
# The pilot's requests and health checks are no traffic; an event stream lasts as long as its client wants.
NOT_TRAFFIC = ("/health", "/metrics", "/api/v1/events")
METRICS_BYTES = 1 << 20
METRICS_SECONDS = 2.0


def sample(host: Host, slot: Slot) -> Sample:
    """Return the slot's counters and histograms now; ProxyDownError when HAProxy has no counters."""
    counts = host.proxy.counts(slot, TIMEOUT_SECONDS)
    return with_latencies(host, slot, counts, min(METRICS_SECONDS, host.settings.probe_seconds))


def with_latencies(host: Host, slot: Slot, counts: Counts, seconds: float) -> Sample:
    """Return `counts` with the slot's histograms, if it returns them within `seconds`."""
    answer = host.ask(host.settings.private_endpoints[slot], "/metrics", seconds, most=METRICS_BYTES)
    if not answer.good:
        return Sample(counts)
    requests = parse_histogram(answer.body, REQUESTS, without=NOT_TRAFFIC)
    return Sample(counts, requests, parse_histogram(answer.body, PLONE))

