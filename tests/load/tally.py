"""The tally: counts, gaps, quantiles, which slot answered when. Pure: no clock, no sockets."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

CLASSES = ("connect", "reset", "truncated", "timeout", "5xx", "wrong_status", "wrong_body", "not_sent")
# Streams whose speed says something about the stack: the others are slow on purpose.
_QUICK = ("light", "page")
_EXAMPLES = 20
_STEP = math.log(1.02)
_PYTHON = re.compile(r"-py(\d+(?:\.\d+)+)-")


@dataclass(frozen=True)
class Event:
    """One request that ended; the fields are documented in the package."""

    sent: float
    kind: str
    connection: str
    status: int | None
    slot: str | None
    release: str | None
    ms: float
    error: str | None

    @property
    def python(self) -> str | None:
        """The Python named by the release, such as "3.11"."""
        match = _PYTHON.search(self.release or "")
        return match[1] if match else None

    def line(self) -> dict[str, Any]:
        """Return the event as it is written."""
        return {**asdict(self), "python": self.python, "ms": round(self.ms, 2), "sent": round(self.sent, 4)}


class Quantiles:
    """Latencies in buckets of 2%: bounded, however long the load."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count, self.max = 0, 0.0

    def add(self, ms: float) -> None:
        """Take one latency in."""
        self._buckets[math.ceil(math.log(max(ms, 0.01)) / _STEP)] += 1
        self.count += 1
        self.max = max(self.max, ms)

    def at(self, share: float) -> float:
        """Return the latency in ms that `share` of all do not exceed, within 2% above."""
        wanted, seen = math.ceil(share * self.count), 0
        for bucket, count in sorted(self._buckets.items()):
            seen += count
            if seen >= wanted:
                return min(math.exp(bucket * _STEP), self.max)
        return self.max

    def summary(self) -> dict[str, float]:
        """Return count, p50, p90, p99 and max in ms."""
        quantiles = {f"p{share}": round(self.at(share / 100), 2) for share in (50, 90, 99)}
        return {"count": self.count, **quantiles, "max": round(self.max, 2)}


@dataclass
class _Count:
    ok: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        return {"ok": self.ok, "failed": self.failures.total(), "failures": dict(self.failures)}


@dataclass
class Tally:
    """Takes events in as they end; `start` is when the load began, on the same clock as they."""

    start: float
    failures: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, _Count] = field(default_factory=dict)
    connections: dict[str, _Count] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)
    unfinished: int = 0
    _latency: dict[tuple[str, str], Quantiles] = field(default_factory=dict)
    _answerers: dict[tuple[str, str | None, str | None], int] = field(default_factory=dict)
    _light_sent: array[float] = field(default_factory=lambda: array("d"))
    _light_by: array[int] = field(default_factory=lambda: array("H"))
    _by_slot: dict[str, dict[str, Any]] = field(default_factory=dict)
    _slowest: Event | None = None
    _last_good: float = 0.0
    _gap: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        self._last_good = self.start

    def add(self, event: Event, ended: float, detail: str = "") -> None:
        """Count one event that ended at `ended`."""
        counts = (
            self.kinds.setdefault(event.kind, _Count()), self.connections.setdefault(event.connection, _Count())
        )  # fmt: skip
        self._note_answerer(event)
        if event.error:
            self.failures[event.error] += 1
            for count in counts:
                count.failures[event.error] += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append({**event.line(), "detail": detail})
            return
        for count in counts:
            count.ok += 1
        self._latency.setdefault((event.slot or "none", event.kind), Quantiles()).add(event.ms)
        if event.kind == "light":
            self._measure_gap(ended)
        if event.kind in _QUICK and (self._slowest is None or event.ms > self._slowest.ms):
            self._slowest = event

    def _measure_gap(self, until: float) -> None:
        if until - self._last_good > self._gap[0]:
            self._gap = (until - self._last_good, self._last_good)
        self._last_good = max(until, self._last_good)

    def _note_answerer(self, event: Event) -> None:
        if event.slot is None:
            return
        seen = self._by_slot.setdefault(event.slot, {"first": event.sent, "last": event.sent, "answers": 0})
        if event.sent >= seen["last"]:
            seen.update(release=event.release, python=event.python)
        seen["first"], seen["last"] = min(seen["first"], event.sent), max(seen["last"], event.sent)
        seen["answers"] += 1
        if event.kind == "light":
            who = self._answerers.setdefault((event.slot, event.release, event.python), len(self._answerers))
            self._light_sent.append(event.sent)
            self._light_by.append(who)

    def timeline(self) -> list[dict[str, Any]]:
        """Return who answered the light stream, by the time its requests were sent; a new entry at every change."""
        who = list(self._answerers)
        entries: list[dict[str, Any]] = []
        last: int | None = None
        for sent, by in sorted(zip(self._light_sent, self._light_by, strict=True)):
            if by != last:
                slot, release, python = who[by]
                entries.append({"slot": slot, "release": release, "python": python, "first": sent, "answers": 0})
            entries[-1].update(last=sent, answers=entries[-1]["answers"] + 1)
            last = by
        return entries

    def summary(self, end: float) -> dict[str, Any]:
        """Return the part of the result that is counted, for a load that ended at `end`."""
        self._measure_gap(end)
        latency: dict[str, dict[str, Any]] = {}
        for (slot, kind), quantiles in sorted(self._latency.items()):
            latency.setdefault(slot, {})[kind] = quantiles.summary()
        good = sum(count.ok for count in self.kinds.values())
        return {
            "requests": good + self.failures.total(),
            "failed": self.failures.total(),
            "unfinished": self.unfinished,
            "failures": {name: self.failures[name] for name in CLASSES},
            "kinds": {kind: count.summary() for kind, count in sorted(self.kinds.items())},
            "connections": {name: count.summary() for name, count in sorted(self.connections.items())},
            "examples": self.examples,
            "longest_gap_seconds": round(self._gap[0], 3),
            "longest_gap_at": round(self._gap[1], 3),
            "slowest": self._slowest.line() if self._slowest else None,
            "latency_ms": latency,
            "timeline": self.timeline(),
            "answered_by": self._by_slot,
            "downloads_completed": self.kinds["download"].ok if "download" in self.kinds else 0,
        }
