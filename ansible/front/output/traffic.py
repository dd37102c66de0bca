"""How traffic stands while a shift moves it. Pure: from what the pilot writes into now.json to lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SLOTS = ("blue", "green")


@dataclass(frozen=True)
class TrafficView:
    """`percent` of the traffic are at slot `to` for `seconds`; `rows` are each slot's cells, as text."""

    to: str
    percent: int
    seconds: float
    rows: Sequence[Sequence[str]]

    @property
    def title(self) -> str:
        """What the shift is at."""
        return f"{self.percent}% of the traffic to {self.to} for {self.seconds:.0f} s"

    @property
    def line(self) -> str:
        """Both slots in one line."""
        return " · ".join(" ".join(filter(None, row)) for row in self.rows)

    @property
    def table(self) -> list[str]:
        """A line a slot, with the cells below each other."""
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        return ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in self.rows]


def traffic_in(result: Mapping[str, Any]) -> TrafficView | None:
    """Return how traffic stands, where the output of a task holds it; None for anything else."""
    try:
        now = json.loads(str(result.get("stdout") or ""))
        to = SLOTS[SLOTS.index(now["to"])]
        # The candidate first: it must not be cut off where a line is too long.
        slots = sorted(SLOTS, key=lambda slot: slot != to)
        rows = [cells(slot, now["slots"][slot]) for slot in slots if has_traffic(now["slots"][slot])]
        return TrafficView(to, int(now["percent"]), float(now["seconds"]), rows)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def has_traffic(slot: Mapping[str, Any]) -> bool:
    """Whether there is anything to show of a slot; without requests and weight it may not even exist."""
    return any(slot[name] for name in ("weight", "per_second", "p95_seconds", "errors"))


def cells(name: str, slot: Mapping[str, Any]) -> list[str]:
    """Return a slot's name, traffic weight, requests a second, p95 (empty where nothing was timed) and errors."""
    errors = int(slot["errors"])
    return [
        name, f"{int(slot['weight'])}%", f"{float(slot['per_second']):.1f}/s", p95(slot["p95_seconds"]),
        f"{errors} error{'s' * (errors != 1)}",
    ]  # fmt: skip


def p95(bounds: Sequence[float | None] | None) -> str:
    """Return the most that a p95 can be, by its bucket; the least where the bucket has no upper bound."""
    if not bounds:
        return ""
    least, most = bounds
    return f"p95 > {float(least or 0) * 1000:g} ms" if most is None else f"p95 ≤ {float(most) * 1000:g} ms"
