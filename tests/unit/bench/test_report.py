"""The report says what was measured, under which conditions, and whether it may be believed."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from tests.bench import __main__ as door
from tests.bench import goals, plot, tables


def test_every_part_and_every_row_of_the_source_is_there(document):
    text = tables.render(document)
    for words in ("Plone API bridge", "935 -> 684", "500 -> 400", "10.0 [9.0, 11.0] times", "Plone alone", "200 users"):
        assert words in text


@pytest.mark.parametrize(("field", "value", "words"), [("quick", True, "indicative"), ("busy", "others", "BUSY")])
def test_what_lowers_trust_stands_first(document, field, value, words):
    assert words not in tables.render(document)
    assert words in tables.render({**document, field: value}).split("The source")[0]


def test_a_part_that_failed_is_void_and_the_others_stay(document):
    document["parts"]["latency"] = {"void": "3 of 200 requests failed."}
    text = tables.render({**document, "goals": goals.judged(document["parts"])})
    assert "latency: VOID. 3 of 200 requests failed." in text
    assert "added latency" not in text
    assert "HAProxy needs 40 us" in text


@pytest.mark.parametrize("part", ["in-process", "http", "latency", "plone"])
def test_one_part_alone_is_a_report_too(document, part):
    document["parts"] = {part: document["parts"][part]}
    assert tables.render({**document, "goals": goals.judged(document["parts"])})
    assert bool(plot.render(document)) == (part in ("in-process", "http"))


def test_goals_are_met_or_missed(document):
    assert all(goal["met"] for goal in goals.judged(document["parts"]))
    parts = document["parts"]
    parts["in-process"]["rows"][0]["cpu"] = {**parts["in-process"]["rows"][0]["cpu"], "finding": "slower"}
    parts["latency"]["rows"][2]["added_ms"]["p99"]["value"] = 2.1
    parts["plone"]["hot"][2]["plone_rate"] = 51.0
    parts["plone"]["browsers"][0]["rate"] = 81.0
    parts["plone"]["mixed"][1]["failures"] = {"5xx": 1}
    missed = [goal["goal"] for goal in goals.judged(parts) if not goal["met"]]
    assert [words.split(":")[0] for words in missed] == [
        "newer Python", "added latency, p99", "hot pages", "browsers", "200 users",
    ]  # fmt: skip


def test_a_scenario_without_one_good_answer_is_missed(document):
    document["parts"]["plone"]["mixed"][1] |= {"ms": None, "failures": {"connect": 100}}
    assert [goal["measured"] for goal in goals.judged(document["parts"]) if not goal["met"]] == [
        "100 failed, p99 none"
    ]
    assert "100 connect" in tables.render(document)


def test_nothing_is_claimed_of_too_few_rounds(document):
    for row in document["parts"]["in-process"]["rows"]:
        row["cpu"] = {**row["cpu"], "finding": "too few rounds"}
    del document["parts"]["http"], document["parts"]["latency"], document["parts"]["plone"]
    judged = goals.judged(document["parts"])
    assert [goal["met"] for goal in judged] == [None, None]
    assert tables.render({**document, "goals": judged}).count("unresolved") == 2


def test_a_gain_within_the_noise_meets_no_goal(document):
    row = document["parts"]["in-process"]["rows"][0]
    row["cpu"] = {**row["cpu"], "finding": "unresolved"}
    health = next(goal for goal in goals.judged(document["parts"]) if "health" in goal["goal"])
    assert health["met"] is None


def test_the_picture_is_svg_with_a_mark_for_every_comparison(document):
    picture = ET.fromstring(plot.render(document))  # noqa: S314 - our own
    circles = picture.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 2 * len(list(plot.ratios(document["parts"]))) == 2 * (5 + 4 + 1)


def test_a_report_is_written_into_a_directory_of_its_own(document, tmp_path):
    directory = door.write(document, {"pyperf-base-1.json": {"benchmarks": []}}, tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        f"20261125T030000Z/{name}" for name in ("bench.json", "bench.svg", "bench.txt", "pyperf/pyperf-base-1.json")
    ]
    assert json.loads((directory / "bench.json").read_text()) == document
