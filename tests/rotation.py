"""Long suites run a part each day: the next part every day, all of it in turn.

A test marked `rotates(COUNT)` runs COUNT of its cases, and a module whose `pytestmark` is `rotates(COUNT, by="module")`
COUNT of its tests. Of all modules marked `rotates(COUNT, by="stories")`, COUNT run. A test with two marks runs
on the days that both choose. EDUHUB_TESTS=all, or `./invoke test --complete`, runs everything.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

import pytest

MARKER = "rotates(count, by): a day runs `count` of a test's cases, of a module's tests or of the stories' modules"
# Stories of a deployed stack, minutes each.
STORY = pytest.mark.rotates(1, by="stories")
T = TypeVar("T")


def everything() -> bool:
    """Whether this run leaves nothing out."""
    return os.environ.get("EDUHUB_TESTS") == "all"


def of_the_day(all_of_them: Sequence[T], count: int, day: date | None = None) -> list[T]:
    """Return `count` neighbours of a sequence, from where those of the day before ended; all of a shorter one."""
    if count >= len(all_of_them):
        return list(all_of_them)
    first = (day or datetime.now(UTC).date()).toordinal() * count % len(all_of_them)
    return [*all_of_them, *all_of_them][first : first + count]


def group_and_unit(item: pytest.Item, by: str) -> tuple[str, str]:
    """Return what the cases are chosen from, and which of them this test is or belongs to."""
    module = item.nodeid.partition("::")[0]
    return {
        "case": (item.nodeid.partition("[")[0], item.nodeid),
        "module": (module, item.nodeid),
        "stories": ("stories", module),
    }[by]


def left_out(items: Sequence[pytest.Item], day: date | None = None) -> list[pytest.Item]:
    """Return the tests that a day's run leaves out."""
    groups: dict[str, dict[str, list[pytest.Item]]] = defaultdict(lambda: defaultdict(list))
    counts: dict[str, int] = {}
    for item in items:
        for marker in item.iter_markers("rotates"):
            group, unit = group_and_unit(item, marker.kwargs.get("by", "case"))
            groups[group][unit].append(item)
            counts[group] = marker.args[0]
    out = set()
    for group, units in groups.items():
        today = of_the_day(list(units), counts[group], day)
        out |= {item for unit, members in units.items() if unit not in today for item in members}
    return [item for item in items if item in out]
