"""Every instrument is documented, and says what the bridge, and each of its features, does to Plone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.bridge.api.restapi import ITEM, ask
from tests.unit.bridge.helpers import USER, metric, until
from tests.unit.bridge.metrics_page import document

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[4] / "docs/reference/metrics.md"


def test_the_page_is_what_the_instruments_say():
    assert PAGE.read_text() == document()  # python -m tests.unit.bridge.metrics_page > docs/reference/metrics.md


def test_what_a_bridge_exposes_stands_on_the_page(start, plone):
    bridge = start(plone.url)
    bridge.get("/plone/a")
    exposed = set(re.findall(r"^# TYPE (eduhub_bridge_\w+)", bridge.get("/metrics").body.decode(), flags=re.MULTILINE))
    named = set(re.findall(r"^\| `(eduhub_bridge_\w+)`", PAGE.read_text(), flags=re.MULTILINE))
    assert {name for name in exposed if not name.endswith("_created")} == named


def test_plones_time_is_told_by_what_of_the_bridge_took_it(start, plone):
    plone.tell("GET", "a", "200 OK", ITEM)
    bridge = start(plone.url)
    taken = {
        "pass_through": lambda: bridge.get("/plone/x", USER),
        "pages": lambda: bridge.get("/plone/x"),
        "api": lambda: ask(bridge, "GET", "/content?path=/a", None, USER),
        "jobs": lambda: bridge.get("/api/v1/jobs", "Authorization: Basic YWRtaW46eA=="),
        "live": lambda: bridge.get("/api/v1/events", "Authorization: Basic ZWRpdG9yOng="),
    }

    def answers(feature):
        lines = bridge.get("/metrics").body.decode().splitlines()
        wanted = f'eduhub_bridge_plone_seconds_count{{feature="{feature}"'
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted))

    for feature, ask_for in taken.items():
        assert answers(feature) == 0, feature
        ask_for()
        assert answers(feature) == 1, feature


def test_a_breaker_that_opened_between_two_scrapes_is_seen(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_FAILURES="1", EDUHUB_PLONE_PAUSE_SECONDS="0.1")
    assert metric(bridge, "eduhub_bridge_plone_breaker_changes_total", state="open") == 0
    bridge.get("/plone/hang-up", method="POST")
    until(lambda: bridge.get("/plone/x", USER).status == 200)
    assert metric(bridge, "eduhub_bridge_plone_breaker_changes_total", state="open") == 1
    assert metric(bridge, "eduhub_bridge_plone_breaker", state="closed") == 1


def test_the_store_is_timed_and_retries_are_rationed(start, plone):
    bridge = start(plone.url)
    until(lambda: metric(bridge, "eduhub_bridge_store_seconds_count", kind="write") > 0)
    full = metric(bridge, "eduhub_bridge_plone_retry_budget")
    bridge.get("/plone/hang-up", USER)
    assert metric(bridge, "eduhub_bridge_plone_retry_budget") < full
