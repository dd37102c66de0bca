"""The report as a picture: every ratio with its interval, beside its control. Plain SVG, made offline. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT, TOP, STEP = 920, 300, 150, 70, 26
_TICKS = (0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)
_STYLE = (
    "text{font:13px sans-serif;fill:#222}.small{font-size:11px;fill:#666}"
    ".measured{stroke:#1565c0;fill:#1565c0}.control{stroke:#999;fill:#999}.grid{stroke:#ddd}.one{stroke:#444}"
)


def ratios(parts: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a label and a gain for each comparison of the two Pythons."""
    for row in parts.get("in-process", {}).get("rows", []):
        yield f"{row['operation']}, in process", row["cpu"]
    for row in parts.get("http", {}).get("rows", []):
        for words, key in (("HTTP, open", "open"), ("HTTP, saturated", "saturated")):
            if key in row:
                yield f"{row['operation']}, {words}", row[key]["cpu"]


def render(document: Mapping[str, Any]) -> str:
    """Return the picture, or "" where no two Pythons were compared."""
    rows = list(ratios(document["parts"]))
    if not rows:
        return ""
    ends = [gain[name][end] for _, gain in rows for name in ("ratio", "control") for end in ("low", "high")]
    low, high = min(0.8, *ends), max(1.5, *ends)
    height = TOP + STEP * len(rows) + 50

    def place(value: float) -> float:
        share = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    pythons = document["pythons"]
    title = f"CPU of Python {pythons['base']} over {pythons['other']}: above 1 the newer needs less"
    note = "indicative: a quick run" if document["quick"] else "95% bootstrap intervals; grey: the same Python twice"
    body = [_text(16, 26, title), _text(16, 46, f"{note}; {document['time']}", "small")]
    for tick in _TICKS:
        if low <= tick <= high:
            x = place(tick)
            body.append(_line(x, TOP - 10, x, height - 36, "one" if tick == 1.0 else "grid"))
            body.append(_text(x, height - 18, f"{tick:g}", "small", "middle"))
    for number, (label, gain) in enumerate(rows):
        y = TOP + STEP * number + STEP / 2
        body.append(_text(LEFT - 12, y + 4, label, "", "end"))
        body += _mark(place, gain["control"], y + 5, "control") + _mark(place, gain["ratio"], y - 3, "measured")
        body.append(_text(WIDTH - RIGHT + 12, y + 4, f"{gain['ratio']['value']:.2f} {gain['finding']}", "small"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _mark(place: Any, found: Mapping[str, float], y: float, kind: str) -> list[str]:
    circle = f'<circle class="{kind}" cx="{place(found["value"]):.1f}" cy="{y:.1f}" r="3"/>'
    return [_line(place(found["low"]), y, place(found["high"]), y, kind), circle]


def _line(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
