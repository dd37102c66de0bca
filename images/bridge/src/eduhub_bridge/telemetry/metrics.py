"""What Prometheus is told. One registry for each application, so that two of them in one process do not mix."""

from __future__ import annotations

import platform
from functools import lru_cache
from typing import Callable, Tuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector

from eduhub_bridge import __version__
from eduhub_bridge.patterns.breaker import CLOSED, HALF_OPEN, OPEN

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Clients may invent methods; each one would be a new time series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The bridge's instruments. Seconds are wall time."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build = Gauge("eduhub_bridge_build_info", "What runs here", ["version", "python"], registry=self.registry)
        build.labels(__version__, platform.python_version()).set(1)
        self.in_flight = Gauge("eduhub_bridge_in_flight", "Requests being answered now", registry=self.registry)
        self._plone_in_flight = Gauge(
            "eduhub_bridge_plone_in_flight", "Requests that Plone is busy with now", ["lane"], registry=self.registry
        )
        self._plone_queue = Gauge(
            "eduhub_bridge_plone_queue", "Requests that wait for a place at Plone", ["lane"], registry=self.registry
        )
        self._plone_queue_background = Gauge(
            "eduhub_bridge_plone_queue_background", "Requests of jobs and live changes among them", ["lane"],
            registry=self.registry,
        )  # fmt: skip
        self._plone_wait = Histogram(
            "eduhub_bridge_plone_wait_seconds", "Time in the queue of those that had to wait", ["lane"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._breaker = Gauge(
            "eduhub_bridge_plone_breaker", "1 for the state that the circuit breaker is in", ["state"],
            registry=self.registry,
        )  # fmt: skip
        self.plone_errors = Counter(
            "eduhub_bridge_plone_errors", "Requests that Plone did not answer well", ["kind"], registry=self.registry
        )
        self.breaker_turned = Counter(
            "eduhub_bridge_plone_breaker_changes", "Times that the circuit breaker went into a state", ["state"],
            registry=self.registry,
        )  # fmt: skip
        for each in (CLOSED, HALF_OPEN, OPEN):
            self.breaker_turned.labels(each)
        self._budget = Gauge(
            "eduhub_bridge_plone_retry_budget", "Requests that may be sent again now", registry=self.registry
        )
        self.plone_retries = Counter(
            "eduhub_bridge_plone_retries", "Requests sent again on a new connection", registry=self.registry
        )
        self.cache = Counter(
            "eduhub_bridge_cache", "Reads by what a stored page did for them", ["result"], registry=self.registry
        )
        self._cache_pages = Gauge("eduhub_bridge_cache_pages", "Pages stored", registry=self.registry)
        self._cache_bytes = Gauge("eduhub_bridge_cache_bytes", "Memory that they take", registry=self.registry)
        self._store = Histogram(
            "eduhub_bridge_store_seconds", "Time of a transaction in the store of jobs and events", ["kind"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._store_up = Gauge(
            "eduhub_bridge_store_up", "1 while the store of jobs and events works", registry=self.registry
        )
        self._jobs = Gauge("eduhub_bridge_jobs", "Jobs carried out here now", registry=self.registry)
        self._jobs_queued = Gauge(
            "eduhub_bridge_jobs_queued", "Jobs in the store that wait, of all slots", registry=self.registry
        )
        self._maintenance = Gauge(
            "eduhub_bridge_maintenance", "1 while maintenance is on: jobs write nothing", registry=self.registry
        )
        self._listeners = Gauge("eduhub_bridge_listeners", "Who listens for changes here", registry=self.registry)
        self.listeners_lost = Counter(
            "eduhub_bridge_listeners_lost", "Listeners that took messages too slowly and were cut",
            registry=self.registry,
        )  # fmt: skip
        self.ready = Gauge(
            "eduhub_bridge_ready", "1 while Plone answers, as of the scrape before", registry=self.registry
        )
        self._requests = Histogram(
            "eduhub_bridge_request_seconds", "First byte asked to last byte answered",
            ["route", "method", "status", "cache"], buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._plone = Histogram(
            "eduhub_bridge_plone_seconds", "Time until Plone's answer begins, by what of the bridge asked",
            ["feature", "method", "status"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        # Looking up a child takes longer than observing, and there are only so many of them.
        self._request_child = lru_cache(maxsize=2048)(self._requests.labels)
        self._plone_child = lru_cache(maxsize=512)(self._plone.labels)

    def answered(self, route: str, method: str, status: int, cache: str, seconds: float) -> None:
        """Count a request; `route` is a template, never a path, and `cache` what a stored page did for it."""
        self._request_child(route, method if method in _METHODS else "other", status, cache).observe(seconds)

    def plone_answered(self, feature: str, method: str, status: int, seconds: float) -> None:
        """Count an answer of Plone, whatever its status; `feature` is one of few, named in the code."""
        self._plone_child(feature, method if method in _METHODS else "other", status).observe(seconds)

    def waited(self, lane: str) -> Callable[[float], None]:
        """Return what is to be told, in seconds, of each wait in `lane`."""
        return self._plone_wait.labels(lane).observe

    def watch_lane(
        self, lane: str, busy: Callable[[], float], waiting: Callable[[], float], background: Callable[[], float]
    ) -> None:
        """Ask these three whenever somebody scrapes: nothing is paid for it in between."""
        self._plone_in_flight.labels(lane).set_function(busy)
        self._plone_queue.labels(lane).set_function(waiting)
        self._plone_queue_background.labels(lane).set_function(background)

    def watch_breaker(self, state: Callable[[], str]) -> None:
        """Ask for the breaker's state whenever somebody scrapes."""

        def is_in(one: str) -> Callable[[], float]:
            return lambda: float(state() == one)

        for each in (CLOSED, HALF_OPEN, OPEN):
            self._breaker.labels(each).set_function(is_in(each))

    def watch_budget(self, left: Callable[[], float]) -> None:
        """Ask how many retries are left whenever somebody scrapes."""
        self._budget.set_function(left)

    def watch_shared(
        self, works: Callable[[], bool], jobs: Callable[[], int], queued: Callable[[], int],
        maintenance: Callable[[], bool], listeners: Callable[[], int],
    ) -> None:  # fmt: skip
        """Ask for the state of the store, and how many jobs and listeners there are, whenever somebody scrapes."""
        self._store_up.set_function(works)
        self._jobs.set_function(jobs)
        self._jobs_queued.set_function(queued)
        self._maintenance.set_function(maintenance)
        self._listeners.set_function(listeners)

    def stored(self, kind: str, seconds: float) -> None:
        """Count a transaction, a "read" or a "write", that succeeded."""
        self._store.labels(kind).observe(seconds)

    def watch_cache(self, pages: Callable[[], float], size: Callable[[], float]) -> None:
        """Ask for these two whenever somebody scrapes."""
        self._cache_pages.set_function(pages)
        self._cache_bytes.set_function(size)

    def text(self, accept: str) -> Tuple[bytes, str]:
        """Return the exposition and its content type, in the format that `accept` prefers."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
