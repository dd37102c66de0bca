"""The page of the last rollout: whole without anything else, hostile texts harmless, anything missing named."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.report import files, page, plots
from front.run.messages import Message
from front.run.outcome import Host, Outcome
from tests.browser import told

REPORT = Request("report")


def lines(checkout, *, data: bool = False, **hosts: Host) -> list[str]:
    outcome = Outcome(hosts, ended=True)
    return files.written(REPORT, list(hosts), outcome, checkout, data=data)


@pytest.fixture
def done() -> Host:
    return Host(report=told.report(told.upgrade(), told.lines(), told.STATUS))


def test_page_and_data_are_written_and_the_operator_is_told_where(tmp_path, done):
    name = "reports/rollout/20260101T093000Z-201b"
    assert lines(tmp_path, a=done) == [
        "",
        f"Written: {name}.html (any browser, no network) and the same as .json.",
        "Next: ./invoke status",
    ]
    assert sorted(path.name for path in (tmp_path / "reports/rollout").iterdir()) == [
        "20260101T093000Z-201b.html", "20260101T093000Z-201b.json",
    ]  # fmt: skip
    written = json.loads((tmp_path / f"{name}.json").read_text())
    assert (written["schema"], written["hosts"]["a"]["report"]) == (1, done.report)


def test_json_is_the_document_alone(tmp_path, done):
    (text,) = lines(tmp_path, data=True, a=done)
    assert json.loads(text)["hosts"]["a"]["messages"] == []
    assert list(tmp_path.iterdir()) == []


def test_without_a_rollout_no_file_is_written(tmp_path):
    with pytest.raises(RefusalError, match="no report was written"):
        lines(tmp_path, a=Host(report={"schema": 1, "rollout": None}))
    assert list(tmp_path.iterdir()) == []


def test_hosts_that_could_not_be_asked_are_not_told_to_have_had_no_rollout(tmp_path):
    lost = Host(messages=[Message("host_unreachable", "no route")])
    with pytest.raises(RefusalError) as refused:
        lines(tmp_path, a=lost, b=lost)
    assert refused.value.messages == ("No report was written: a, b gave none.", "a: no route", "b: no route")
    with pytest.raises(RefusalError) as refused:
        lines(tmp_path, a=lost, b=Host(report={"schema": 1, "rollout": None}))
    assert refused.value.messages[0] == "No report was written: a gave none, and no other host has had a rollout."
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_a_strange_name_gets_a_plain_file_name(done):
    done.report["rollout"]["run"] = "../../etc/cron.d/x"
    assert page.name(page.document(REPORT, "T", {"a": done})) == "rollout"


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, done):
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(RefusalError, match="The report cannot be written to reports/rollout/"):
        lines(tmp_path, a=done)


def test_a_report_of_another_form_is_one_sentence_and_kept_as_data(tmp_path, done):
    del done.report["rollout"]["verdicts"]
    with pytest.raises(RefusalError, match="cannot be drawn") as refusal:
        lines(tmp_path, a=done)
    assert refusal.value.next_commands == ["./invoke deploy"]
    assert [path.suffix for path in (tmp_path / "reports/rollout").iterdir()] == [".json"]


def test_a_report_of_another_schema_is_not_read(done):
    done.report["schema"] = 2
    host = page.document(REPORT, "T", {"a": done})["hosts"]["a"]
    assert host["report"] is None
    assert [each["code"] for each in host["messages"]] == ["report_schema_unknown"]


def test_hostile_texts_stay_texts():
    text = page.render(told.document())
    assert "<script" not in text
    assert "<img" not in text
    assert text.count("&lt;script&gt;document.title") > 3
    assert "{{ 7*7 }}" in text


def test_nothing_is_fetched():
    text = page.render(told.document())
    assert re.findall(r"(?:src|href)=\"(?!#|data:,)[^\"]*|url\(|@import|https?://", text) == []
    assert "default-src 'none'" in text


def test_every_drawing_is_well_formed_and_named():
    drawings = re.findall(r"<svg.*?</svg>", page.render(told.document()), re.DOTALL)
    assert len(drawings) == 2 * 2 * 4
    for drawing in drawings:
        found = ElementTree.fromstring(drawing)  # noqa: S314 - our own
        assert found.find("title").text
        assert found.find("desc").text


def test_a_next_command_is_code_and_about_the_same_hosts():
    assert "Next: <code>./invoke deploy --inventory example</code>" in page.render(told.document())


def test_a_note_is_a_text_or_a_message_with_next_commands():
    assert [page.note("x")["message"], page.note(told.NO_ROLLOUT)] == ["x", told.NO_ROLLOUT]


@pytest.mark.parametrize(
    ("most", "ticks"), [(0, [0, 0.25, 0.5, 0.75, 1]), (76, [0, 20, 40, 60, 80]), (0.9, [0, 0.25, 0.5, 0.75, 1.0])]
)
def test_ticks_are_round_and_reach_the_top(most, ticks):
    assert plots.nice(most) == pytest.approx(ticks)


def test_a_line_is_broken_at_a_gap_and_where_nothing_is_known():
    scale = plots.Scale("wide", 100, 0, 10, 1.0)
    places = [(0, 0, False), (1, 0, False), (2, None, False), (3, 0, False), (4, 0, True)]
    line, dots = plots.lines("blue", scale, places)
    assert [re.sub(r"[\d. ]+", "", each.path) for each in (line, dots)] == ["ML", "MhMh"]


def test_the_public_check_is_no_request_rate():
    slot = {"answers": 200, "errors": 0, "per_second": 10.0, "p50_seconds": None, "p95_seconds": None}
    point = {"time": told.time(5), "seconds": 1.0, "weight": 5, "blue": slot, "green": slot}
    many = {**slot, "per_second": 600.0}
    moment = {**point, "time": told.time(5.3), "seconds": 0.3, "blue": many, "green": many}
    assert plots.rates("wide", [point, moment], told.time(0)).y_ticks[-1][1] == "10/s"


def test_a_quiet_host_has_no_latencies_to_draw():
    quiet = {"answers": 0, "errors": 0, "per_second": 0.0, "p50_seconds": None, "p95_seconds": None}
    points = [{"time": told.time(n), "seconds": 1.0, "weight": 5, "blue": quiet, "green": quiet} for n in range(3)]
    assert plots.latencies("wide", points, told.time(0)) is None
    assert plots.rates("wide", points, told.time(0)).y_ticks[-1][1] == "1/s"


@pytest.mark.parametrize(("p95", "top"), [(0.07, "80 ms"), (0.76, "800 ms"), (0.95, "1 s"), (3.1, "4 s")])
def test_latencies_are_shown_in_a_unit_that_leaves_room(p95, top):
    slot = {"answers": 9, "errors": 0, "per_second": 9.0, "p50_seconds": p95 / 2, "p95_seconds": p95}
    point = {"time": told.time(5), "seconds": 1.0, "weight": 5, "blue": slot, "green": slot}
    assert plots.latencies("wide", [point], told.time(0)).y_ticks[-1][1] == top
