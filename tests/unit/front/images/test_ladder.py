"""A Python without security fixes is told, with the command that leaves it; nothing is stopped by that."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from front.arguments.request import Request
from front.images.ladder import Ladder, ended_lines, ends
from front.inventory.documented import read
from front.run.outcome import Host, Outcome
from settings.described import described, every

CHECKOUT = Path(__file__).resolve().parents[4]
END = date(2026, 8, 31)
LADDER = Ladder(("3.9", "3.11", "3.13"), {"3.9": END})
AFTER = date(2026, 9, 1)
STATUS = {"a": Host(status={"python": "3.9.2"}), "b": Host(status={"python": "3.11.2"})}


def test_a_live_python_without_fixes_is_told_with_the_upgrade_that_leaves_it():
    outcome = Outcome(STATUS, ended=True)
    assert ended_lines(outcome, LADDER, Request("status", "campus"), AFTER, 100) == [
        "",
        "Python 3.9.2 of a is at its end of life: no security fixes since 2026-08-31.",
        "Next: ./invoke upgrade --python 3.13 --inventory campus --limit a",
    ]
    assert ends(outcome, LADDER, AFTER) == {"a": "2026-08-31", "b": None}


def test_preflight_tells_it_of_the_python_that_it_found():
    outcome = Outcome({"a": Host(python="3.9")}, ended=True)
    lines = ended_lines(outcome, LADDER, Request("preflight"), AFTER, 100)
    assert lines[-1] == "Next: ./invoke upgrade --python 3.13"


def test_nothing_is_told_on_the_last_day_of_a_foreign_bridge_or_where_nothing_is_live():
    outcome = Outcome({**STATUS, "c": Host(status={"python": None}), "d": Host()}, ended=True)
    assert ended_lines(outcome, LADDER, Request("status"), END, 100) == []
    assert ended_lines(Outcome({"d": Host()}, ended=True), LADDER, Request("status"), AFTER, 100) == []


def test_the_default_is_the_newest_of_our_ladder_and_the_oldest_has_an_end():
    ladder = Ladder.of(read(CHECKOUT / "images/images.yml"))
    assert every(described())["bridge_python"].told["default"] == ladder.pythons[-1]
    assert isinstance(ladder.ends[ladder.pythons[0]], date)
    assert ladder.pythons[-1] not in ladder.ends
