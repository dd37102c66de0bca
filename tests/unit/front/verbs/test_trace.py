"""`trace` shows one request on all hosts as one table, and refuses an id that none of them knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.output.trace_table import lines_of, trace_table
from front.run.outcome import Host, Outcome
from front.run.play import Played, Run
from front.verbs import checkout, ending, trace

EDGE = {
    "time": "2026-11-29T04:02:51.105Z", "component": "edge", "ms": 15, "status": 200, "method": "GET",
    "path": "/plone/courses", "cache": "eduhub-bridge; fwd=bypass",
}  # fmt: skip
BLUE = {**EDGE, "time": "2026-11-29T04:02:51.104Z", "component": "blue", "path": None, "route": "/plone/{path}"}
FAILED = {
    "time": "2026-11-29T04:02:51.110Z", "component": "blue", "ms": None, "event": "plone_failed", "kind": "timeout",
}  # fmt: skip


def host(*lines: dict) -> Host:
    return Host(phases=("trace",), exits={"trace": 0}, trace={"lines": list(lines), "left_out": 0, "unread": []})


def closed(capsys, hosts: dict[str, Host], returned: int = 0, *, data: bool = False) -> tuple[int, str]:
    run = Run(Request("trace", values={"eduhub_request": "0346ffd1"}), Path("i"), checkout.PATH, json=data)
    code = ending.closed(run, list(hosts), Played(returned, Outcome(hosts, ended=True), "", False), None)
    return code, capsys.readouterr().out


def test_each_line_has_its_host_and_those_of_one_host_stay_together():
    later = {**EDGE, "time": "2026-11-29T04:02:52.000Z"}
    lines = lines_of({"b": host(later), "a": host(EDGE, BLUE, later), "c": host(), "d": Host()})
    assert [(each["host"], each["component"], each["time"][17:19]) for each in lines] == [
        ("a", "edge", "51"), ("a", "blue", "51"), ("a", "edge", "52"), ("b", "edge", "52"),
    ]  # fmt: skip


def test_the_table_tells_what_was_asked_and_what_failed():
    assert trace_table({"vm": host(EDGE, BLUE, FAILED)}) == [
        "TIME                      HOST  COMPONENT  STATUS  MS  CACHE                      REQUEST",
        "2026-11-29T04:02:51.105Z  vm    edge       200     15  eduhub-bridge; fwd=bypass  GET /plone/courses",
        "2026-11-29T04:02:51.104Z  vm    blue       200     15  eduhub-bridge; fwd=bypass  GET /plone/{path}",
        "2026-11-29T04:02:51.110Z  vm    blue       -       -   -                          plone_failed timeout",
    ]


def test_the_run_ends_with_the_table_alone(capsys):
    code, printed = closed(capsys, {"a": host(EDGE), "b": host()})
    assert (code, printed.count("\n"), printed.splitlines()[-1].split()[1:3]) == (0, 3, ["a", "edge"])


def test_an_id_that_no_host_knows_is_refused(capsys):
    with pytest.raises(RefusalError, match=r"No log on a, b holds the request 0346ffd1\. ") as refused:
        closed(capsys, {"a": host(), "b": host()})
    assert len(refused.value.messages) == 1


def test_a_host_that_could_not_be_asked_is_told_beside_what_others_know(capsys):
    code, printed = closed(capsys, {"a": host(EDGE), "b": Host(unreachable=True, failed="trace")}, 4)
    assert (code, "GET /plone/courses" in printed, "unreachable" in printed) == (2, True, True)


def test_the_document_has_the_lines_of_each_host(capsys):
    code, printed = closed(capsys, {"a": host(EDGE)}, data=True)
    assert (code, '"component": "edge"' in printed) == (0, True)


@pytest.mark.parametrize(
    "given", ["short", "x" * 129, "0346ffd1\n", "0346 ffd1", "0346ffd1;", "0346ffd\u00e9", None, ""]
)
def test_a_word_that_is_no_id_is_refused(given):
    with pytest.raises(RefusalError, match="is no id of a request"):
        trace.check_id(given)


@pytest.mark.parametrize("given", ["0346ffd1-b0f3-4f40-92c7-b73105fc3c86", "-=+/._Aa", "x" * 128])
def test_what_an_edge_or_a_proxy_gives_is_an_id(given):
    trace.check_id(given)
