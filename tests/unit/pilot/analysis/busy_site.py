"""A busy site whose new slot begins with an empty store of pages: what both slots count at each canary step."""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from eduhub_pilot.analysis.canary import Side, judge
from eduhub_pilot.analysis.histogram import Histogram, Labels, summed
from eduhub_pilot.model.shift_plan import Limits
from eduhub_pilot.model.verdict import Word

# Those of our bridge.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, math.inf)
FRESH_SECONDS, STALE_SECONDS = 1.0, 10.0
WARM_SECONDS = 60.0
STEPS = (5, 25, 50)
STEP_SECONDS = 5.0


@dataclass(frozen=True)
class Site:
    """Requests a second, the seconds that Plone takes for a page, and what is asked for.

    Pages are asked for as Zipf has it. `uneven` is how much the pages differ (sigma of a lognormal), `users` the share
    of requests that no stored page answers, and `calls` the share of quick ones to the API.
    """

    rate: float = 100.0
    pages: int = 50
    plone: float = 0.25
    uneven: float = 0.0
    users: float = 0.0
    calls: float = 0.0


@dataclass
class Slot:
    """A slot `times` as slow as the other one at what it asks Plone."""

    dice: random.Random
    times: float = 1.0
    stored: dict[int, float] = field(default_factory=dict)
    requests: dict[Labels, list[float]] = field(default_factory=lambda: defaultdict(list))
    plone: dict[Labels, list[float]] = field(default_factory=lambda: defaultdict(list))

    def ask(self, seconds: float, feature: str) -> float:
        """Return how long Plone takes for an answer, by what it takes on average."""
        took = self.times * seconds * self.dice.lognormvariate(0, 0.4)
        self.plone[frozenset({("feature", feature), ("status", "200")})].append(took)
        return took

    def page(self, page: int, seconds: float, now: float) -> None:
        """Answer a reader: from the store, renewing behind the reader's back what is not fresh, or by asking Plone."""
        age = now - self.stored.get(page, -math.inf)
        hit = age <= FRESH_SECONDS + STALE_SECONDS
        took = self.ask(seconds, "pages") if age > FRESH_SECONDS else 0.0
        if took:
            self.stored[page] = now
        self._count("hit" if hit else "miss", self.dice.uniform(0.001, 0.004) + (0.0 if hit else took))

    def user(self, seconds: float) -> None:
        """Answer somebody who has logged in."""
        self._count("none", self.ask(seconds, "pass_through") + 0.002)

    def call(self) -> None:
        """Answer a quick call of the API."""
        self._count("none", self.ask(0.01, "api") + 0.002, route="/api/v1/content")

    def _count(self, cache: str, seconds: float, route: str = "/plone/{path}") -> None:
        self.requests[frozenset({("route", route), ("status", "200"), ("cache", cache)})].append(seconds)

    def side(self, *, labelled: bool = True) -> Side:
        """Return what was counted since the last one."""
        requests, plone = (summed({labels: histogram(took) for labels, took in each.items()})
                           for each in (self.requests, self.plone))  # fmt: skip
        self.requests.clear()
        self.plone.clear()
        if not labelled:
            requests, plone = Histogram(requests.buckets), Histogram(plone.buckets)
        return Side(requests.count, requests=requests, plone=plone)


def histogram(seconds: list[float]) -> Histogram:
    """Return the histogram of some latencies."""
    return Histogram(tuple((bound, float(sum(each <= bound for each in seconds))) for bound in BOUNDS), sum(seconds))


def windows(site: Site, seed: int, times: float = 1.0, *, labelled: bool = True) -> Iterator[tuple[int, Side, Side]]:
    """Play an upgrade, the new release `times` as slow at what it asks Plone; yield percent, new side and old side."""
    dice = random.Random(seed)  # noqa: S311 - an order, no secret
    costs = [site.plone * dice.lognormvariate(0, site.uneven) for _ in range(site.pages)]
    ranks = list(accumulate((number + 1) ** -0.8 for number in range(site.pages)))
    blue, green = Slot(dice), Slot(dice, times)
    now = 0.0
    for percent, lasts in ((0, WARM_SECONDS), *((each, STEP_SECONDS) for each in STEPS)):
        end = now + lasts
        while (now := now + dice.expovariate(site.rate)) < end:
            slot = green if dice.random() * 100 < percent else blue
            page = bisect(ranks, dice.random() * ranks[-1])
            match dice.random():
                case kind if kind < site.users:
                    slot.user(costs[page])
                case kind if kind < site.users + site.calls:
                    slot.call()
                case _:
                    slot.page(page, costs[page], now)
        sides = green.side(labelled=labelled), blue.side(labelled=labelled)
        if percent:
            yield percent, *sides


def reverted(site: Site, seed: int, times: float = 1.0, *, labelled: bool = True) -> str | None:
    """Return why an upgrade is reverted, or None."""
    limits = Limits()
    verdicts: Iterator[tuple[Word, str]] = (
        judge(new, old, limits) for _, new, old in windows(site, seed, times, labelled=labelled)
    )
    return next((why for word, why in verdicts if word == "fail"), None)
