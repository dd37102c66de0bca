"""What nobody in particular reads is asked of Plone once: the typed endpoints share the pages of `/plone/…`."""

from __future__ import annotations

import time

import pytest

from tests.unit.bridge.api.restapi import ITEM, SUMMARY, ask, problem, target
from tests.unit.bridge.fake_plone import Plone
from tests.unit.bridge.helpers import USER, metric, send, until
from tests.unit.bridge.process import read_answer

pytestmark = pytest.mark.slow

FRESH = {"EDUHUB_CACHE_SECONDS": "60"}
FOUND = {"items": [SUMMARY], "items_total": 1}
PAGE = "/courses/t%C3%BCr?include_items=0"
READ = "/content?path=/courses/t%C3%BCr"


@pytest.fixture
def fresh(start, plone):
    """A bridge of the test's own that keeps pages for longer than it lasts, before a site with one item."""
    plone.tell("GET", "courses/t%C3%BCr", "200 OK", ITEM)
    plone.tell("GET", "courses/@search", "200 OK", FOUND)
    plone.tell("GET", "@search", "200 OK", FOUND)
    return start(plone.url, **FRESH)


def status(answer):
    """Return what Cache-Status says, without the cache's name; None if it says nothing."""
    return next((each.removeprefix("eduhub-bridge; ") for each in answer.field("cache-status")), None)


@pytest.mark.parametrize("where", [READ, "/content/children?path=/courses", "/search?text=a", "/search?text=a&limit=7"])
def test_a_page_is_asked_for_once(fresh, plone, where):
    first, second = ask(fresh, "GET", where), ask(fresh, "GET", where)
    assert (first.status, first.body, len(plone.seen)) == (200, second.body, 1)
    assert (status(first), status(second)) == ("fwd=uri-miss; fwd-status=200; stored", "hit; ttl=59")
    assert first.field("cache-control") == second.field("cache-control") == ["private, no-cache"]
    assert metric(fresh, "eduhub_bridge_cache_total", result="hit") == 1


def test_it_is_the_same_page_that_clients_of_plones_own_api_read(fresh, plone):
    assert fresh.get(f"/plone{PAGE}", "Accept: application/json").status == 200
    assert status(ask(fresh, "GET", READ)) == "hit; ttl=59"
    assert [target(seen) for seen in plone.seen] == [PAGE]


def test_a_tag_of_ours_is_compared_by_us(fresh, plone):
    tag = ask(fresh, "GET", READ).field("etag")[0]
    assert ask(fresh, "GET", READ, None, f"If-None-Match: {tag}").status == 304
    assert (len(plone.seen), plone.seen[0].field("if-none-match")) == (1, [])


def test_who_asks_at_the_same_time_waits_for_the_same_answer(start, plone):
    bridge = start(plone.url, **FRESH)
    asking = [send(bridge, "/api/v1/content?path=/wait") for _ in range(20)]
    until(lambda: metric(bridge, "eduhub_bridge_cache_total", result="collapsed") == 19)
    plone.release.set()
    assert {read_answer(each).status for each in asking} == {404}  # a page of Plone's, but no content
    assert len(plone.seen) == 1


@pytest.mark.parametrize("who", [USER, "Authorization: Bearer a.b.c"])
def test_nothing_is_stored_for_or_given_to_somebody_with_a_credential(fresh, plone, who):
    ask(fresh, "GET", READ)
    private = {**ITEM, "title": "Private"}
    plone.tell("GET", "courses/t%C3%BCr", "200 OK", private)
    mine = ask(fresh, "GET", READ, None, who)
    assert (mine.json()["title"], status(mine)) == ("Private", None)
    assert ask(fresh, "GET", READ).json()["title"] == "Tür"
    assert [seen.field("authorization") for seen in plone.seen] == [[], [who.partition(": ")[2]]]


def test_pages_of_two_languages_and_two_hosts_are_two(fresh, plone):
    for language in ("de", "en"):
        ask(fresh, "GET", READ, None, f"Accept-Language: {language}")
    fresh.get(f"/api/v1{READ}", host="other.test")
    assert len(plone.seen) == 3


@pytest.mark.parametrize(
    ("method", "where", "body"),
    [
        ("PATCH", "/api/v1/content?path=/x", b'{"title": "x"}'), ("DELETE", "/api/v1/content?path=/x", b""),
        ("POST", "/plone/x", b"{}"),
    ],
)  # fmt: skip
def test_after_a_write_through_the_bridge_no_page_from_before_is_used(fresh, plone, method, where, body):
    ask(fresh, "GET", READ)
    kind = "Content-Type: application/json"
    fresh.get(where, USER, kind, f"Content-Length: {len(body)}", method=method, body=body)
    before = len(plone.seen)
    assert status(ask(fresh, "GET", READ)) == "fwd=uri-miss; fwd-status=200; stored"
    assert len(plone.seen) == before + 1


def test_an_anonymous_writer_compares_with_plone_itself(fresh, plone):
    tag = ask(fresh, "GET", READ).field("etag")[0]
    plone.tell("GET", "courses/t%C3%BCr", "200 OK", {**ITEM, "title": "Changed in Plone"})
    problem(ask(fresh, "PATCH", READ, {"title": "mine"}, f"If-Match: {tag}"), 412)


def test_who_wants_it_from_plone_gets_it_from_plone(fresh, plone):
    ask(fresh, "GET", READ)
    assert status(ask(fresh, "GET", READ, None, "Cache-Control: no-cache")) == "fwd=request; stored"
    assert status(ask(fresh, "GET", READ, None, "Cache-Control: no-store")) == "fwd=bypass"
    assert len(plone.seen) == 3


@pytest.mark.parametrize(("says", "asked"), [("401 Unauthorized", 2), ("404 Not Found", 1), ("500 Whatever", 2)])
def test_a_refusal_is_what_it_would_be_without_a_store(fresh, plone, says, asked):
    plone.tell("GET", "private", says, {"type": "X", "message": "Plone's own words"})
    for _ in range(2):
        answer = ask(fresh, "GET", "/content?path=/private")
        assert "Plone's own words" in answer.json()["detail"]
        assert answer.status == {"4": int(says[:3]), "5": 502}[says[0]]
    assert len(plone.seen) == asked


def test_an_item_that_moved_leads_on_from_the_store_too(fresh, plone):
    plone.tell("GET", "old", "301 Moved", b"", "Location: http://bridge.test/plone/new?include_items=0")
    for _ in range(2):
        assert ask(fresh, "GET", "/content?path=/old").field("location") == ["/api/v1/content?path=%2Fnew"]
    assert len(plone.seen) == 1


def test_a_reader_sees_nothing_of_a_plone_that_is_gone(start):
    own = Plone().start()
    own.tell("GET", "courses/t%C3%BCr", "200 OK", ITEM)
    bridge = start(own.url, EDUHUB_CACHE_SECONDS="0.01", EDUHUB_CACHE_STALE_SECONDS="0", EDUHUB_PLONE_SECONDS="0.5")
    first = ask(bridge, "GET", READ)
    own.stop()
    time.sleep(0.1)
    late = ask(bridge, "GET", READ)
    assert (late.status, late.body) == (200, first.body)
    assert "detail=stale-if-error" in status(late)


def test_without_a_store_there_is_none(bridge, plone):
    plone.tell("GET", "courses/t%C3%BCr", "200 OK", ITEM)
    assert [status(ask(bridge, "GET", READ)) for _ in range(2)] == [None, None]
    assert len(plone.seen) == 2
