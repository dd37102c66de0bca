"""The mixed scenario: what each of many users does, and when. Pure.

A user reads pages, searches, logs in and hands something in, with pauses to think in between: twenty actions in a
circle, begun at a place of the user's own so that all of them happen all the time. The timetable is made beforehand.
A user who still waits for an answer is late for the next action, and that lateness counts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Action = Literal["browse", "search", "log in", "submit"]

_READS: tuple[Action, ...] = ("browse",) * 8
CIRCLE: tuple[Action, ...] = (*_READS, "search", *_READS, "search", "log in", "submit")
WORDS = ("statistics", "algebra", "teaching", "data", "river", "campus", "course", "plots")


@dataclass(frozen=True)
class Step:
    """One action, `due` seconds after the start; `what` is the number of a page or the word to look for."""

    due: float
    action: Action
    what: str


def timetable(user: int, think_seconds: float, seconds: float, pages: Sequence[str]) -> list[Step]:
    """Return what `user` does within `seconds`, pausing `think_seconds` in the mean: the same for the same user."""
    source = random.Random(user)  # noqa: S311 - a timetable is no secret
    at = source.expovariate(1 / think_seconds)
    place = source.randrange(len(CIRCLE))
    steps: list[Step] = []
    logged_in = False
    while at < seconds:
        action = CIRCLE[place % len(CIRCLE)]
        if action == "submit" and not logged_in:
            action = "log in"
        logged_in = logged_in or action == "log in"
        what = source.choice(pages) if action == "browse" else source.choice(WORDS) if action == "search" else ""
        steps.append(Step(at, action, what))
        at += source.expovariate(1 / think_seconds)
        place += 1
    return steps
