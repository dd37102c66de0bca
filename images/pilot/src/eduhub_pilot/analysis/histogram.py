"""Latencies as a bridge's histograms tell them: a quantile is only known to lie between two bucket bounds. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# The labels of a series, but for its bucket.
Labels = frozenset[tuple[str, str]]
# One-sided 99% of the normal distribution. Requests on one host are not independent, so this is a margin, no promise.
Z = 2.33


@dataclass(frozen=True)
class Histogram:
    """Cumulative counts by upper bound in seconds, ascending, the last one infinite; as Prometheus has them.

    `seconds` is the sum of what was counted, where it is known; `parts` are the series that it is the sum of, by their
    labels.
    """

    buckets: tuple[tuple[float, float], ...] = ()
    seconds: float | None = field(default=None, compare=False)
    parts: Mapping[Labels, Histogram] = field(default_factory=dict, compare=False)

    @property
    def count(self) -> int:
        return int(self.buckets[-1][1]) if self.buckets else 0

    def since(self, before: Histogram) -> Histogram | None:
        """Return what was added since `before`; None where the counting began anew, or by other buckets, meanwhile."""
        was = dict(before.buckets)
        added = tuple((bound, count - was.get(bound, 0.0)) for bound, count in self.buckets)
        counts = [count for _, count in added]
        sound = counts == sorted(counts) and (not counts or counts[0] >= 0)
        if not sound or (was and was.keys() != dict(self.buckets).keys()):
            return None
        parts = {labels: part.since(before.parts.get(labels, Histogram())) for labels, part in self.parts.items()}
        known = {labels: part for labels, part in parts.items() if part is not None}
        seconds = None if self.seconds is None else self.seconds - (before.seconds or 0.0)
        return Histogram(added, seconds, known) if len(known) == len(parts) else None

    def only(self, wanted: Callable[[Mapping[str, str]], bool]) -> Histogram:
        """Return the sum of the series whose labels are `wanted`."""
        return summed({labels: part for labels, part in self.parts.items() if wanted(dict(labels))})

    def mean(self) -> tuple[float, float] | None:
        """Return the mean and the square of its standard error, in seconds; None where they are not known.

        Within a bucket the values are taken to be spread evenly, for the error alone.
        """
        if self.seconds is None or not self.count or self._open:
            return None
        mean, below, edge, squares = self.seconds / self.buckets[-1][1], 0.0, 0.0, 0.0
        for bound, cumulative in self.buckets[:-1]:
            squares += (cumulative - below) * (((edge + bound) / 2 - mean) ** 2 + (bound - edge) ** 2 / 12)
            below, edge = cumulative, bound
        return mean, squares / self.buckets[-1][1] ** 2

    @property
    def _open(self) -> bool:
        """Whether the last bucket, which has no bound, holds anything."""
        return len(self.buckets) < 2 or self.buckets[-1][1] > self.buckets[-2][1]

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
    found: dict[Labels, dict[float, float]] = {}
    seconds: dict[Labels, float] = {}
    for line in text.splitlines():
        name, _, rest = line.partition("{")
        if name not in {f"{family}_bucket", f"{family}_sum"}:
            continue
        labels, _, value = rest.rpartition("} ")
        said = _labels(labels)
        if said.get("route", "-").startswith(without or "\0"):
            continue
        le = said.pop("le", None)
        key = frozenset(said.items())
        try:
            if name.endswith("_sum"):
                seconds[key] = float(value)
            else:
                bound = math.inf if le == "+Inf" else float(le or "")
                found.setdefault(key, {})[bound] = float(value)
        except ValueError:
            return None
    known = found or f"# TYPE {family} histogram" in text
    parts = {key: Histogram(tuple(sorted(each.items())), seconds.get(key)) for key, each in found.items()}
    return summed(parts) if known else None


def summed(parts: Mapping[Labels, Histogram]) -> Histogram:
    """Return the sum of some series."""
    return _weighted(parts, dict.fromkeys(parts, 1.0))


def alike(one: Histogram, other: Histogram) -> tuple[Histogram, Histogram]:
    """Return both with the same mix of series, so that they differ by how long each kind of request took alone.

    A slot whose store of pages is empty asks Plone more often, for its first minutes: its requests as a whole take
    longer, and each kind of them as long as before. Series are weighed by how well they can be compared (Mantel and
    Haenszel 1959), and what both sides do not have in common is left out; the counts are those of equally many
    requests of one kind. Histograms that are not known by series are returned as they are.
    """
    if not one.parts or not other.parts:
        return one, other
    weights = {}
    for labels in one.parts.keys() & other.parts.keys():
        mine, theirs = one.parts[labels].count, other.parts[labels].count
        if mine and theirs:
            weights[labels] = mine * theirs / (mine + theirs)
    return _mixed(one.parts, weights), _mixed(other.parts, weights)


def _mixed(parts: Mapping[Labels, Histogram], weights: Mapping[Labels, float]) -> Histogram:
    total = sum(weights.values())
    spread = sum(weight**2 / parts[labels].count for labels, weight in weights.items())
    # As many requests, all alike, would tell as much (Kish 1965).
    factor = total / spread if spread else 0.0
    return _weighted(parts, {labels: factor * weight / parts[labels].count for labels, weight in weights.items()})


def _weighted(parts: Mapping[Labels, Histogram], weights: Mapping[Labels, float]) -> Histogram:
    sums: dict[float, float] = {}
    for labels, weight in weights.items():
        for bound, count in parts[labels].buckets:
            sums[bound] = sums.get(bound, 0.0) + weight * count
    spent = [(weight, parts[labels].seconds) for labels, weight in weights.items()]
    seconds = None if not spent else math.fsum(weight * each for weight, each in spent if each is not None)
    if any(each is None for _, each in spent):
        seconds = None
    buckets = tuple((bound, round(count, 6)) for bound, count in sorted(sums.items()))
    return Histogram(buckets, seconds, {labels: parts[labels] for labels in weights})


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


def _labels(text: str) -> dict[str, str]:
    # `a="1",b="2"`: our labels hold no comma and no quote, and a foreign family's are only passed over.
    pairs = (pair.partition("=") for pair in text.split('",'))
    return {name: value.strip('"') for name, _, value in pairs if name}
