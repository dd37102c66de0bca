"""Latencies as a bridge's histograms tell them: a quantile is only known to lie between two bucket bounds. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

# One-sided 99% of the normal distribution. Requests on one host are not independent, so this is a margin, no promise.
Z = 2.33


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts by upper bound in seconds, ascending, the last one infinite; as Prometheus has them."""

    buckets: tuple[tuple[float, float], ...] = ()

    @property
    def count(self) -> int:
        return int(self.buckets[-1][1]) if self.buckets else 0

    def since(self, before: Histogram) -> Histogram | None:
        """Return what was added since `before`; None where the counting began anew, or by other buckets, meanwhile."""
        was = dict(before.buckets)
        added = tuple((bound, count - was.get(bound, 0.0)) for bound, count in self.buckets)
        counts = [count for _, count in added]
        sound = counts == sorted(counts) and (not counts or counts[0] >= 0)
        return Histogram(added) if sound and (not was or was.keys() == dict(self.buckets).keys()) else None

    def quantile(self, quantile: float, z: float = Z) -> tuple[float, float]:
        """Return the least and the most that a quantile can be, in seconds; 0 and infinity where nothing is known.

        The rank of a quantile in n samples has standard deviation sqrt(n q (1-q)); bucket bounds do the rest.
        """
        middle = self.count * quantile
        margin = z * math.sqrt(self.count * quantile * (1 - quantile))
        low, high = 0.0, math.inf
        edge = 0.0
        for bound, cumulative in self.buckets:
            if cumulative < middle - margin:
                low = bound
            if high == math.inf and cumulative >= middle + margin:
                high = bound
            edge = bound
        return (low if low < edge else 0.0, high) if self.count else (0.0, math.inf)


def parse_histogram(text: str, family: str, without: tuple[str, ...] = ()) -> Histogram | None:
    """Return the sum of a family's histograms in a Prometheus text, without series on routes that begin with `without`.

    None where the text has no such family: it may be a page of another application.
    """
    sums: dict[float, float] = {}
    for line in text.splitlines():
        if not line.startswith(f"{family}_bucket{{"):
            continue
        labels, _, value = line.removeprefix(f"{family}_bucket{{").rpartition("} ")
        said = _labels(labels)
        if said.get("route", "-").startswith(without or "\0"):
            continue
        try:
            bound = math.inf if said["le"] == "+Inf" else float(said["le"])
            sums[bound] = sums.get(bound, 0.0) + float(value)
        except (KeyError, ValueError):
            return None
    known = sums or f"# TYPE {family} histogram" in text
    return Histogram(tuple(sorted(sums.items()))) if known else None


def totals(text: str, family: str) -> tuple[float, float] | None:
    """Return the sum, in seconds, and the count of a family's observations in a Prometheus text; None without any."""
    found = []
    for part in ("sum", "count"):
        lines = [line for line in text.splitlines() if line.startswith((f"{family}_{part}{{", f"{family}_{part} "))]
        try:
            found.append(sum(float(line.rpartition(" ")[2]) for line in lines) if lines else None)
        except ValueError:
            return None
    seconds, count = found
    return None if seconds is None or count is None else (seconds, count)


def _labels(text: str) -> Mapping[str, str]:
    # `a="1",b="2"`: our labels hold no comma and no quote, and a foreign family's are only passed over.
    pairs = (pair.partition("=") for pair in text.split('",'))
    return {name: value.strip('"') for name, _, value in pairs}
