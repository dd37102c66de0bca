"""`trace` finds one request in the logs of a stack, whatever else they hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from eduhub_pilot.commands import trace as command
from eduhub_pilot.commands.trace import MOST_LINES, trace
from eduhub_pilot.model.facts import Container, Found
from eduhub_pilot.model.trace import said_of

ID = "0346ffd1-b0f3-4f40-92c7-b73105fc3c86"
# The lines that docs/reference/logs.md shows, which are those of a stack.
PAGE = (Path(__file__).parents[4] / "docs/reference/logs.md").read_text()
EDGE, BRIDGE, PLONE = (" ".join(block.split()) for block in re.findall(r"```\n([{2].+?)```", PAGE, re.DOTALL))


def edge(**members: object) -> str:
    return json.dumps({**json.loads(EDGE), **members})


@pytest.fixture
def stack(live):
    """A host with edge, blue slot and Plone, and their logs."""
    roles = {"edge": "edge", "blue": "bridge", "plone": "plone", "plone-endpoint": "plone_endpoint"}
    for name, role in roles.items():
        labels = {"org.eduhub.stack": "eduhub", "org.eduhub.role": role, "org.eduhub.slot": name}
        live.engine.containers[f"eduhub-{name}"] = Container(f"eduhub-{name}", "running", "x", labels)
    live.engine.logs |= {"eduhub-edge": [EDGE], "eduhub-blue": [BRIDGE], "eduhub-plone": [PLONE]}
    return live


def told(world, request: str = ID) -> list[dict]:
    outcome = trace(world.host, request)
    assert (outcome.code, outcome.changed) == ("request_traced", False)
    return outcome.data["trace"]["lines"]


def test_a_request_is_followed_from_edge_to_plone_whatever_was_rounded(stack):
    lines = told(stack)
    assert [(each["component"], each["time"], each["ms"], each["status"]) for each in lines] == [
        ("edge", "2026-11-29T04:02:51.105Z", 15, 200),
        ("blue", "2026-11-29T04:02:51.104Z", 14, 200),
        ("plone", "2026-11-29T04:02:51.106Z", 11, 200),
    ]
    assert (lines[0]["path"], lines[1]["route"], lines[2]["path"]) == (
        "/plone/courses", "/plone/{path}",
        "/VirtualHostBase/http/hub.example.edu:80/Plone/VirtualHostRoot/_vh_plone/courses",
    )  # fmt: skip
    assert (lines[0]["cache"], lines[1]["user"]) == ("eduhub-bridge; hit; ttl=1", "ada")


def test_what_was_asked_again_stands_where_it_happened(stack):
    stack.engine.logs["eduhub-edge"].append(edge(time="2026-11-29T04:02:51.700Z", ms=500))
    assert [each["component"] for each in told(stack)] == ["edge", "blue", "plone", "edge"]


@pytest.mark.parametrize("other", [edge(request=ID + "0"), edge(request="-", path=f"/{ID}"), f"{ID} is no line", ""])
def test_a_line_that_only_mentions_the_id_is_none_of_the_request(stack, other):
    stack.engine.logs["eduhub-edge"].append(other)
    assert len(told(stack)) == 3


def test_only_known_members_are_told_so_that_no_secret_is(stack):
    stack.engine.logs["eduhub-blue"] = [json.dumps({**json.loads(BRIDGE), "authorization": "Bearer s3cret"})]
    assert "s3cret" not in json.dumps(trace(stack.host, ID).data)


def test_what_a_terminal_would_obey_is_told_as_text(stack):
    stack.engine.logs["eduhub-edge"] = [edge(path="/a\x1b[2J\u202eb")]
    assert "/a%1B[2J%202Eb" in [each.get("path") for each in told(stack)]


@pytest.mark.parametrize("tail", ["", "a", '\\"', "\\u00e", "\\u00", "\\u0", "\\u", "\\"])
def test_a_line_that_haproxy_cut_is_told_too(tail):
    line = edge(path="/" + "x" * 1000).removesuffix('"}')[: 1024 - len(tail)] + tail
    found = said_of("edge", line, ID)
    assert found is not None
    assert (found["status"], found["path"][:4]) == (200, "/xxx")


@pytest.mark.parametrize(
    "wrong", [{"time": "yesterday"}, {"time": None}, {"ms": "long"}, {"time": "0001-01-01T00:00:00Z", "ms": 10**12}]
)
def test_a_line_without_a_time_is_left_out(wrong):
    assert said_of("edge", edge(**wrong), ID) is None


def test_a_failure_is_told_though_it_has_no_duration(stack):
    failed = {"time": "2026-11-29T04:02:51.110Z", "level": "error", "event": "plone_failed", "kind": "timeout"}
    stack.engine.logs["eduhub-blue"].insert(0, json.dumps({**failed, "detail": "x", "request": ID}))
    assert [each for each in told(stack) if each.get("event") == "plone_failed"] == [
        {**failed, "component": "blue", "ms": None}
    ]


def test_an_unknown_id_has_no_lines(stack):
    assert told(stack, "another-id") == []


def test_an_id_of_many_requests_is_told_by_the_last_lines(stack):
    stack.engine.logs["eduhub-edge"] *= 3 * MOST_LINES
    outcome = trace(stack.host, ID)
    document = outcome.data["trace"]
    assert (len(document["lines"]), document["left_out"]) == (MOST_LINES, 2 * MOST_LINES + 2)
    assert outcome.data["notes"] == ["302 lines have this id: a proxy gives it to several requests."]


def test_what_was_not_read_in_time_is_named(stack, monkeypatch):
    left = []

    def slow(_name: str, _text: str, seconds: float) -> Found:
        left.append(seconds)
        stack.clock.sleep(40)
        return Found([], whole=len(left) == 1)

    monkeypatch.setattr(stack.engine, "lines_with", slow)
    outcome = trace(stack.host, ID)
    assert outcome.data["trace"]["unread"] == ["eduhub-edge", "eduhub-plone"]
    assert outcome.data["notes"] == ["There was no time to read all of the log of eduhub-edge, eduhub-plone."]
    assert (left[0], left[-1]) == (command.TRACE_SECONDS, 0.0)
