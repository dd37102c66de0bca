"""What the gate said of one upgrade after the other, and whether that is as it must be. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

GATE = "performance"
SLOWER = 0.2


@dataclass(frozen=True)
class Judged:
    """One upgrade: `slower` is the part of blue's time by which green's answers were delayed, 0 for the same release.

    `p50` and `cpu` are how many times blue's green took, `blue_ms` blue's time at p50; None where none was measured.
    """

    slower: float
    verdict: str
    seconds: float
    p50: float | None = None
    cpu: float | None = None
    blue_ms: float | None = None
    reason: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


def judged(slower: float, lines: Iterable[Mapping[str, Any]]) -> Judged:
    """Return what the gate said at last in the journal's `lines` of one run; `none` where it was not asked."""
    found = [line for line in lines if line.get("gate") == GATE and "verdict" in line]
    if not found:
        return Judged(slower, "none", 0.0)
    measured = found[-1]["measured"]
    ratios = {name: one["value"] for name, one in measured.get("ratio", {}).items()}
    return Judged(
        slower, found[-1]["verdict"], found[-1]["seconds"], ratios.get("p50"), ratios.get("cpu"),
        measured.get("milliseconds", {}).get("blue", {}).get("p50"), found[-1]["reason"],
    )  # fmt: skip


def delay_ms(same: Sequence[Judged]) -> float:
    """Return the milliseconds that are SLOWER of blue's time at p50; ValueError where none was measured."""
    times = [each.blue_ms for each in same if each.blue_ms]
    if not times:
        raise ValueError("Nothing was measured that a delay could be a part of.")
    return SLOWER * median(times)


def wrong(found: Iterable[Judged]) -> list[Judged]:
    """Return the verdicts that must not be: the same release failed, or a slower one did not.

    The same release may be `inconclusive`, which moves nothing and blames nobody.
    """
    right: dict[bool, set[str]] = {False: {"pass", "inconclusive"}, True: {"fail"}}
    return [each for each in found if each.verdict not in right[each.slower > 0]]


def summary(found: Sequence[Judged]) -> list[str]:
    """Return a line for each kind of green: how often which verdict, in how many seconds, with which ratios."""
    lines = []
    for slower in sorted({each.slower for each in found}):
        some = [each for each in found if each.slower == slower]
        words = ", ".join(f"{count} {word}" for word, count in Counter(each.verdict for each in some).most_common())
        seconds = [each.seconds for each in some]
        what = f"{100 * slower:.0f}% slower" if slower else "the same release"
        spans = _span("p50", [each.p50 for each in some]) + _span("CPU", [each.cpu for each in some])
        took = f"{median(seconds):.0f} s each, {max(seconds):.0f} s at most"
        lines.append(f"{what}: {words} of {len(some)}; {took}{spans}.")
    return lines


def _span(name: str, values: Iterable[float | None]) -> str:
    told = [value for value in values if value is not None]
    return f"; {name} {min(told):.2f} to {max(told):.2f} times blue's" if told else ""
