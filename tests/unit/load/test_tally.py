"""The tally is right to the last request, whatever the order they end in."""

from __future__ import annotations

import pytest

from tests.load.audit import compare
from tests.load.tally import Event, Quantiles, Tally


def event(sent, slot="blue", *, kind="light", error=None, ms=1.0, release="x-py3.11-y"):
    return Event(sent, kind, "new", 200, slot, release, ms, error)


def test_quantiles_are_within_two_percent():
    values = [1.001**number for number in range(5000)]
    quantiles = Quantiles()
    for value in values:
        quantiles.add(value)
    for share in (0.5, 0.9, 0.99):
        exact = sorted(values)[int(share * 5000) - 1]
        assert exact <= quantiles.at(share) <= exact * 1.02 + 0.01
    assert (quantiles.at(1.0), quantiles.count) == (max(values), 5000)


@pytest.mark.parametrize(
    ("completions", "end", "gap", "at"),
    [
        ([1.0, 2.0, 3.0], 3.5, 1.0, 0.0),
        ([0.1, 0.2, 2.0], 2.1, 1.8, 0.2),
        ([0.1], 5.0, 4.9, 0.1),  # nothing came until the end
        ([], 2.0, 2.0, 0.0),
        ([0.1, 0.2, 0.3, 9.0], 0.4, 8.7, 0.3),  # the last one was still in flight at the end
    ],
)
def test_the_gap_includes_start_and_end(completions, end, gap, at):
    tally = Tally(0.0)
    for ended in completions:
        tally.add(event(ended), ended)
        tally.add(event(ended, kind="page"), ended + 0.05)
        tally.add(event(ended, error="reset"), ended + 0.06)
    summary = tally.summary(end)
    assert (summary["longest_gap_seconds"], summary["longest_gap_at"]) == (pytest.approx(gap), pytest.approx(at))


def test_the_timeline_follows_what_was_sent_and_not_what_ended():
    tally = Tally(0.0)
    # The second blue request took long and ended after green had answered.
    for sent, slot, ended in [(1, "blue", 1.1), (3, "green", 3.1), (2, "blue", 3.2), (5, "blue", 5.1), (4, "green", 6)]:
        tally.add(event(sent, slot, release="b-py3.9-b" if slot == "blue" else "g-py3.11-g"), ended)
    tally.add(event(4.5, slot=None, error="reset"), 4.6)
    names = ("slot", "python", "first", "last", "answers")
    assert [tuple(each[name] for name in names) for each in tally.timeline()] == [
        ("blue", "3.9", 1, 2, 2), ("green", "3.11", 3, 4, 2), ("blue", "3.9", 5, 5, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("release", "python"), [("20261124T000000Z-py3.9-0a", "3.9"), ("20261124T000000Z-pynone-0a", None), (None, None)]
)
def test_the_release_names_its_python(release, python):
    assert event(0, release=release).python == python


def test_an_audit_tells_missing_duplicate_and_unexpected():
    posts = [["a", "created"], ["b", "created"], ["c", "failed"], ["d", "failed"], ["e", "not_sent"], ["f", "created"]]
    found = [("a", "a load r"), ("c", "c load r"), ("e", "e load r"), ("f", "f load r"),
             ("f-1", "f load r"), ("z", "z load r")]  # fmt: skip
    assert compare(posts, found) == {"missing": ["b"], "duplicate": ["f"], "unexpected": ["e", "z"]}
