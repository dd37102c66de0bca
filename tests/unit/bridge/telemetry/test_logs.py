"""A request that the edge sent and no stored page answered is one line, with its id and whom Plone confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.bridge.helpers import until
from tests.unit.bridge.jobs.conftest import Slots
from tests.unit.bridge.restapi import Restapi, basic, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ID = "0346ffd1-b0f3-4f40-92c7-b73105fc3c86"


@pytest.fixture
def slots(cms: Restapi, tmp_path: Path) -> Iterator[Slots]:
    made = Slots(tmp_path, cms.url)
    yield made
    made.kill()


def lines(slot):
    return [line for line in slot.lines() if line["event"] == "request"]


def ask(slot, path, *fields, **more):
    """Ask with an id, and return the line of that request."""
    before = len(lines(slot))
    answer = slot.get(path, f"X-Request-ID: {ID}", *fields, **more)
    until(lambda: len(lines(slot)) > before)
    return answer, lines(slot)[-1]


def test_a_request_is_one_line_with_its_id_its_route_and_no_secret(slots):
    slot = slots()
    answer, said = ask(slot, "/plone/courses?token=planted", f"Authorization: {basic('admin')}")
    assert answer.status == 200
    assert said.pop("time").endswith("Z")
    assert said.pop("ms") >= 0
    assert said == {
        "level": "info", "event": "request", "request": ID, "method": "GET", "route": "/plone/{path}", "status": 200,
        "cache": "eduhub-bridge; fwd=bypass",
    }  # fmt: skip
    assert "planted" not in slot.log.read_text()


def test_the_user_is_named_once_plone_has_confirmed_it(slots):
    slot = slots()
    fields = [f"Authorization: {token('admin')}"]
    assert "user" not in ask(slot, "/plone/courses", *fields)[1]
    assert ask(slot, "/api/v1/jobs", *fields)[1]["user"] == "admin"
    assert ask(slot, "/plone/courses", *fields)[1]["user"] == "admin"
    assert "user" not in ask(slot, "/plone/courses", *fields, "Cookie: __ac=x")[1]
    assert "user" not in ask(slot, "/plone/courses", f"Authorization: {token('admin', 'forged')}")[1]


def test_stored_pages_and_who_has_no_id_are_no_lines(slots):
    slot = slots(EDUHUB_CACHE_SECONDS="60")
    ask(slot, "/plone/courses")
    for _ in range(3):
        assert "; hit" in slot.get("/plone/courses", f"X-Request-ID: {ID}").field("cache-status")[0]
    slot.get("/plone/courses", f"Authorization: {basic('admin')}")
    ask(slot, "/nothing")
    assert [line["route"] for line in lines(slot)] == ["/plone/{path}", "unknown"]
