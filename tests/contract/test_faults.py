"""The published fault matrix is the one that is played, and says of each cell whether it was measured."""

from __future__ import annotations

import re

import pytest

from tests.rollout.faults.judge import Blow, unexplained
from tests.rollout.faults.matrix import CELLS, FAULTS, NONE, OUTCOMES, ROLLBACK, STEPS, UPGRADE, chosen
from tests.rollout.faults.published import PAGE, measured, page, taken_over


def test_the_page_is_what_the_matrix_and_the_measurements_make():
    assert PAGE.read_text() == page(measured()), "python -m tests.rollout.faults.published writes it anew"


def test_what_was_measured_is_among_what_is_right():
    right = {cell.id: cell.outcomes for cell in CELLS}
    assert [(cell, found) for cell, found in measured().items() if found["outcome"] not in right[cell]] == []


def test_a_cell_that_was_not_measured_is_shown_as_expected():
    without = page({})
    assert (re.findall(r"\| \*\*\w+\*\* \d+ s", without), without.count("| (on) |") > 5) == ([], True)


def test_each_fault_step_and_outcome_has_words():
    used = {(cell.fault, cell.step) for cell in CELLS}
    assert {fault for fault, _ in used} == set(FAULTS)
    assert {step for _, step in used} == set(STEPS)
    assert set.union(*(set(cell.outcomes) for cell in CELLS)) == set(OUTCOMES)


def test_what_has_no_cell_has_a_reason():
    missing = set()
    for verb, text in (("upgrade", UPGRADE), ("rollback", ROLLBACK)):
        steps, *rows = (line.split() for line in text.strip().splitlines())
        missing |= {(verb, step, row[0]) for row in rows for step, field in zip(steps, row[1:]) if field == "-"}  # noqa: B905
    assert missing == set(NONE)


def test_every_cell_has_its_day():
    days = [f"2026-{month:02}-{day:02}" for month in (1, 2, 3) for day in range(1, 29)]
    assert {cell.id for day in days for cell in chosen(day, 4)} == {cell.id for cell in chosen("all", 4)}


def test_a_record_adds_to_what_is_known_and_a_cell_that_failed_does_not():
    good = '{"cell": "upgrade-end-new", "outcome": "on"}'
    bad = '{"cell": "upgrade-end-old", "outcome": "on", "wrong": "?"}'
    assert taken_over({"no-cell": {}}, f"{good}\n{bad}\n") == {"upgrade-end-new": {"outcome": "on"}}


def failed(sent: float, ms: float = 10, slot: str | None = None, kind: str = "light") -> dict:
    return {"sent": sent, "ms": ms, "slot": slot, "kind": kind, "error": "reset"}


BLOW = {"began": 100.0, "struck": 100.2}


@pytest.mark.parametrize(
    ("event", "blow", "explained"),
    [
        (failed(100.0), Blow(**BLOW, cuts="edge"), True),
        (failed(101.0), Blow(**BLOW, cuts="edge"), True),
        (failed(103.0), Blow(**BLOW, cuts="edge"), False),
        (failed(99.0), Blow(**BLOW, cuts="edge"), False),
        (failed(99.0, ms=2000), Blow(**BLOW, cuts="green"), True),
        (failed(100.0, slot="blue"), Blow(**BLOW, cuts="green"), False),
        (failed(101.0), Blow(**BLOW, cuts="green"), False),
        (failed(100.0), Blow(**BLOW), False),
        (failed(105.0, kind="page"), Blow(**BLOW, dark=True, mended=110.0), True),
        (failed(111.0, kind="page"), Blow(**BLOW, dark=True, mended=110.0), False),
        (failed(105.0), Blow(**BLOW, dark=True, mended=110.0), False),
    ],
    ids=[
        "in flight on HAProxy", "before HAProxy is back", "after it", "before the blow", "in flight on the slot",
        "answered by the other slot", "long after the slot's end", "nothing was killed", "a page without Plone",
        "a page with Plone again", "not a page",
    ],
)  # fmt: skip
def test_a_failed_request_is_explained_by_what_was_killed_under_it(event, blow, explained):
    good = {"sent": 102.0, "ms": 5, "slot": "blue", "kind": "light", "error": None}
    assert unexplained([event, good], blow) == ([] if explained else [event])
