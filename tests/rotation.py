"""Long suites run a part each day: the next part every day, all of it in turn.

A test marked `rotates(COUNT)` runs COUNT of its cases, and a module whose `pytestmark` is `rotates(COUNT, by="module")`
COUNT of its tests. EDUHUB_TESTS=all, or `./invoke test --all`, runs everything.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

import pytest

MARKER = "rotates(count, by): a day runs `count` of a test's cases, or with by='module' of a module's tests"
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


def left_out(items: Sequence[pytest.Item], day: date | None = None) -> list[pytest.Item]:
    """Return the tests that a day's run leaves out."""
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    counts: dict[str, int] = {}
    for item in items:
        if marker := item.get_closest_marker("rotates"):
            group = item.nodeid.partition("::" if marker.kwargs.get("by") == "module" else "[")[0]
            groups[group].append(item)
            counts[group] = marker.args[0]
    today = {id(item) for group, members in groups.items() for item in of_the_day(members, counts[group], day)}
    return [item for members in groups.values() for item in members if id(item) not in today]
