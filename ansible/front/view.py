"""How traffic stands while a shift moves it. Pure: from what the pilot writes into now.json to lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SLOTS = ("blue", "green")


@dataclass(frozen=True)
class View:
    """`percent` of the traffic are at slot `to` for `seconds`; `rows` are each slot's cells, in words."""

    to: str
    percent: int
    seconds: float
    rows: Sequence[Sequence[str]]

    @property
    def title(self) -> str:
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


def view_of(result: Mapping[str, Any]) -> View | None:
    """Return how traffic stands, where the output of a task holds it; None for anything else."""
    try:
        told = json.loads(str(result.get("stdout") or ""))
        to = SLOTS[SLOTS.index(told["to"])]
        # The new one first: it is what must not be cut off where a line is too long.
        slots = sorted(SLOTS, key=lambda slot: slot != to)
        rows = [cells(slot, told["slots"][slot]) for slot in slots if busy(told["slots"][slot])]
        return View(to, int(told["percent"]), float(told["seconds"]), rows)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def busy(told: Mapping[str, Any]) -> bool:
    """Whether there is anything to say of a slot: one that nobody asks may not even be there."""
    return any(told[name] for name in ("share", "per_second", "p95_seconds", "errors"))


def cells(slot: str, told: Mapping[str, Any]) -> list[str]:
    """Return a slot's name, share, requests a second, p95 (empty where nothing was timed) and errors."""
    errors = int(told["errors"])
    return [
        slot, f"{int(told['share'])}%", f"{float(told['per_second']):.1f}/s", p95(told["p95_seconds"]),
        f"{errors} error{'s' * (errors != 1)}",
    ]  # fmt: skip


def p95(bounds: Sequence[float | None] | None) -> str:
    """Return the most that a p95 can be, by its bucket; the least where the bucket has no upper bound."""
    if not bounds:
        return ""
    least, most = bounds
    return f"p95 > {float(least or 0) * 1000:g} ms" if most is None else f"p95 ≤ {float(most) * 1000:g} ms"


def cut(line: str, width: int) -> str:
    """Return a line that fits into `width` characters, and shows where it was cut."""
    return line if len(line) <= width else f"{line[: max(width - 1, 0)]}…"
