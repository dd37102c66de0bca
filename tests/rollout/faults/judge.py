"""Which failed requests a fault explains: those in flight on the process that was killed, and what depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# The clocks of the load generator and of this test are the same; what lies between is how exactly a moment is known.
MARGIN_SECONDS = 0.3
LIGHT = "light"


@dataclass(frozen=True)
class Blow:
    """A fault as the public may feel it. Times are seconds since 1970.

    `cuts`: what died between `began` and `struck`: a slot's name, "edge" (everything that comes before `struck` and the
    first answer after it), or None. `dark`: whether Plone does not answer from `began` to `mended`, so that pages fail.
    """

    began: float
    struck: float
    cuts: str | None = None
    dark: bool = False
    mended: float = 0.0


def unexplained(events: Iterable[Mapping[str, Any]], blow: Blow) -> list[Mapping[str, Any]]:
    """Return the failed requests of the load that `blow` does not explain."""
    events = list(events)
    back = _back(events, blow)
    return [event for event in events if event["error"] and not _explained(event, blow, back)]


def ended(event: Mapping[str, Any]) -> float:
    """Return when a request ended, or somewhat later: its milliseconds count from when it was due."""
    return float(event["sent"]) + float(event["ms"]) / 1000


def _back(events: Iterable[Mapping[str, Any]], blow: Blow) -> float:
    """Return when the public was served again."""
    good = (event["sent"] for event in events if not event["error"] and event["sent"] > blow.struck + MARGIN_SECONDS)
    return min(good, default=float("inf"))


def _explained(event: Mapping[str, Any], blow: Blow, back: float) -> bool:
    sent, over = event["sent"], ended(event)
    if blow.cuts == "edge":
        hit = sent <= back and over >= blow.began - MARGIN_SECONDS
    elif blow.cuts:
        in_flight = sent <= blow.struck + MARGIN_SECONDS and over >= blow.began - MARGIN_SECONDS
        hit = in_flight and event["slot"] in (None, blow.cuts)
    else:
        hit = False
    page = event["kind"] != LIGHT and blow.dark and over >= blow.began and sent <= blow.mended
    return hit or page
