"""Where everything of a plot stands: scales, ticks, paths, bars. Pure; the template draws it, and escapes its words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SLOTS = ("blue", "green")
# Two drawings of each plot: one for a page that is wide enough, one for a narrow one. Their texts keep their size.
WIDTHS = {"wide": 900, "narrow": 360}
LEFT, RIGHT, TOP, BOTTOM, ROW = 52, 14, 14, 28, 24
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)
# A span shorter than this many pixels is drawn as wide as this, to be seen.
LEAST = 3.0
# A point of less is no rate: the rehearsal's, or one that a move of traffic cut short.
WHOLE_SECONDS = 0.5


@dataclass(frozen=True)
class Line:
    """One line: its class, and an SVG path."""

    kind: str
    path: str


@dataclass(frozen=True)
class Bar:
    """One span of time: its row's label, where it stands, its class, and what to say of it."""

    label: str
    x: float
    y: float
    width: float
    kind: str
    says: str


@dataclass(frozen=True)
class Plot:
    """A drawing; ticks are a place and a text. `size` names one of WIDTHS."""

    size: str
    width: int
    height: int
    left: int
    x_ticks: Sequence[tuple[float, str]] = ()
    y_ticks: Sequence[tuple[float, str]] = ()
    lines: Sequence[Line] = ()
    marks: Sequence[tuple[float, float]] = ()
    bars: Sequence[Bar] = ()
    moves: Sequence[tuple[float, str]] = field(default=())

    @property
    def bottom(self) -> int:
        return self.height - BOTTOM

    @property
    def right(self) -> int:
        return self.width - RIGHT


def seconds_at(time: str, began: str) -> float:
    """Return the seconds from `began` to `time`, both RFC 3339; 0 where one is none."""
    try:
        return (datetime.fromisoformat(time) - datetime.fromisoformat(began)).total_seconds()
    except (ValueError, TypeError):
        return 0.0


def nice(most: float, ticks: int = 4) -> list[float]:
    """Return ticks from 0 to `most` or a little more: round numbers, about so many."""
    if not 0 < most < math.inf:
        most = 1.0
    power = 10.0 ** math.floor(math.log10(most / ticks))
    step = next(each * power for each in STEPS if each * power >= most / ticks * (1 - 1e-9))
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def clock(seconds: float) -> str:
    """Return a time since the beginning as 0:05 or 1:02:03."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


class Scale:
    """Maps seconds and values to places in a drawing of one of WIDTHS."""

    def __init__(self, size: str, height: int, start: float, end: float, most: float, left: int = LEFT) -> None:
        self.size, self.height, self.left, self.width = size, height, left, WIDTHS[size]
        self.start, self.span, self.most = start, max(end - start, 1.0), most

    def x(self, seconds: float) -> float:
        share = min(max((seconds - self.start) / self.span, 0.0), 1.0)
        return round(self.left + share * (self.width - self.left - RIGHT), 1)

    def y(self, value: float) -> float:
        return round(self.height - BOTTOM - value / self.most * (self.height - BOTTOM - TOP), 1)

    def times(self) -> list[tuple[float, str]]:
        """Return ticks of the time axis: as many as have room."""
        room = max(2, (self.width - self.left) // 90)
        step = next((each for each in SECONDS if self.span / each <= room), math.ceil(self.span / room))
        first = math.ceil(self.start / step) * step
        ticks = range(first, math.floor(self.start + self.span) + 1, step)
        return [(self.x(each), clock(each)) for each in ticks]


def middle(point: Mapping[str, Any], began: str) -> float:
    """Return where a point stands: in the middle of its time, in seconds since the run began."""
    return seconds_at(point["time"], began) - float(point["seconds"]) / 2


def lines(kind: str, scale: Scale, places: Iterable[tuple[float, float | None, bool]]) -> list[Line]:
    """Return the line through seconds and values, broken before a gap and where there is no value, and lone dots."""
    parts: list[list[str]] = [[]]
    for seconds, value, gap in places:
        if value is None or gap:
            parts.append([])
        if value is not None:
            parts[-1].append(f"{scale.x(seconds)} {scale.y(value)}")
    drawn = Line(kind, "".join(f"M{'L'.join(part)}" for part in parts if len(part) > 1))
    return [drawn, Line(f"{kind} dot", "".join(f"M{part[0]}h0.1" for part in parts if len(part) == 1))]


def extent(points: Sequence[Mapping[str, Any]], began: str) -> tuple[float, float]:
    """Return when the first point begins and the last one ends, in seconds since the run began."""
    return seconds_at(points[0]["time"], began) - points[0]["seconds"], seconds_at(points[-1]["time"], began)


def weight(size: str, points: Sequence[Mapping[str, Any]], began: str) -> Plot:
    """Return green's traffic weight over time, as an area below a step line."""
    scale = Scale(size, 120, *extent(points, began), 100.0)
    edge = []
    for point in points:
        end = seconds_at(point["time"], began)
        y = scale.y(point["weight"])
        edge.append(f"H{scale.x(end - point['seconds'])}V{y}H{scale.x(end)}")
    floor, ceiling = scale.y(0), scale.y(100)
    first, last = scale.x(scale.start), scale.x(scale.start + scale.span)
    area = "".join(edge)
    lines = [
        Line("area blue", f"M{first} {ceiling}H{last}V{floor}H{first}Z"),
        Line("area green", f"M{first} {floor}{area}V{floor}Z"),
    ]
    ticks = [(scale.y(each), f"{each}%") for each in (0, 50, 100)]
    return Plot(size, scale.width, scale.height, LEFT, scale.times(), ticks, lines)


def rates(size: str, points: Sequence[Mapping[str, Any]], began: str) -> Plot:
    """Return the requests a second of both slots over time, with a mark where there were errors."""
    # The public check sends 200 requests at once after a move of traffic: they say nothing of the public's rate.
    whole = [point for point in points if point["seconds"] >= WHOLE_SECONDS]
    ticks = nice(max((point[slot]["per_second"] or 0.0 for point in whole for slot in SLOTS), default=0.0))
    scale = Scale(size, 220, *extent(points, began), ticks[-1])
    drawn = [
        each for slot in SLOTS
        for each in lines(slot, scale, ((middle(point, began), point[slot]["per_second"] if point in whole else None,
                                         "gap_seconds" in point) for point in points))
    ]  # fmt: skip
    marks = [
        (scale.x(middle(point, began)), scale.y(min(point[slot]["per_second"] or 0.0, ticks[-1])))
        for point in points for slot in SLOTS if point[slot]["errors"]
    ]  # fmt: skip
    shown = [(scale.y(tick), f"{tick / 1000:g}k/s" if tick >= 1000 else f"{tick:g}/s") for tick in ticks]
    return Plot(size, scale.width, scale.height, LEFT, scale.times(), shown, drawn, marks)


def latencies(size: str, points: Sequence[Mapping[str, Any]], began: str) -> Plot | None:
    """Return p50 and p95 of both slots over time; None where nothing was timed."""
    keys = ("p50_seconds", "p95_seconds")
    values = [point[slot][key] for point in points for slot in SLOTS for key in keys if point[slot][key] is not None]
    if not values:
        return None
    unit, name = (1.0, "s") if nice(max(values) * 1000)[-1] >= 1000 else (1000.0, "ms")
    ticks = nice(max(values) * unit)
    scale = Scale(size, 260, *extent(points, began), ticks[-1])
    drawn = [
        each for slot in SLOTS for key in keys
        for each in lines(f"{slot} {key[:3]}", scale,
                          ((middle(point, began), None if point[slot][key] is None else point[slot][key] * unit,
                            "gap_seconds" in point) for point in points))
    ]  # fmt: skip
    shown = [(scale.y(tick), f"{tick:g} {name}") for tick in ticks]
    return Plot(size, scale.width, scale.height, LEFT, scale.times(), shown, drawn)


def timeline(size: str, rollout: Mapping[str, Any]) -> Plot | None:
    """Return how long each gate and step took, a row each, and when traffic moved; None where nothing was timed."""
    began = rollout["began"]
    verdicts = {(each["time"], each["step"]): each for each in rollout["verdicts"]}
    spans = []
    for each in rollout["timeline"]:
        judged = verdicts.get((each["time"], each["step"]))
        at, took = seconds_at(each["time"], began), each["seconds"]
        if took is None or took <= 0 or each["event"] == "moved":
            continue
        label = (
            judged["gate"]
            if judged
            else {"ready": "start", "rolled_back": "rehearsal"}.get(each["event"], each["event"])
        )
        spans.append((label, judged["verdict"] if judged else "plain", at, took, each["message"]))
    if not spans:
        return None
    left = {"wide": 150, "narrow": 14}[size]
    row = ROW if size == "wide" else ROW + 16
    end = max(seconds_at(rollout["ended"], began), *(at for _, _, at, _, _ in spans))
    scale = Scale(size, TOP + 10 + row * len(spans) + BOTTOM, 0.0, end, 1.0, left)
    bars = []
    for number, (label, kind, at, took, words) in enumerate(spans):
        x = scale.x(at - took)
        y = TOP + 10 + row * (number + 1) - ROW + 5
        bars.append(Bar(f"{label}, {took:.3g} s", x, y, max(scale.x(at) - x, LEAST), kind, words))
    moves = [
        (scale.x(seconds_at(each["time"], began)), each["message"])
        for each in rollout["timeline"] if each["event"] == "moved"
    ]  # fmt: skip
    return Plot(size, scale.width, scale.height, left, scale.times(), bars=bars, moves=moves)
