"""Anonymous reads come from a stored page where one will do, never across users, never after a write."""

from __future__ import annotations

import itertools
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.bridge.fake_plone import Plone
from tests.unit.bridge.helpers import USER, all_at_once, is_problem, metric, send, until
from tests.unit.bridge.process import Process, read_answer

pytestmark = pytest.mark.slow

JSON = "Accept: application/json"
MODIFIED = "Sat, 01 Jan 2000 00:00:00 GMT"
_numbers = itertools.count()
# Nothing of a test's own takes that long.
FRESH = {"EDUHUB_CACHE_SECONDS": "60"}
# Stale at once, and for a while.
STALE = {"EDUHUB_CACHE_SECONDS": "0.01", "EDUHUB_CACHE_STALE_SECONDS": "60"}
# Only good while Plone fails.
ERROR = {"EDUHUB_CACHE_SECONDS": "0.01", "EDUHUB_CACHE_STALE_SECONDS": "0", "EDUHUB_PLONE_SECONDS": "3"}


@pytest.fixture(scope="module")
def _fresh(_plone, tmp_path_factory):
    process = Process(tmp_path_factory.mktemp("fresh"), _plone.url, EDUHUB_PLONE_SECONDS="3", **FRESH)
    yield process
    process.kill()


@pytest.fixture
def fresh(_fresh, plone):  # noqa: ARG001 - the one it calls comes with it
    """A running bridge that keeps pages for longer than any test lasts."""
    return _fresh


@pytest.fixture
def page():
    """Where no other test has been."""
    return f"/plone/{next(_numbers)}"


def said(answer):
    """Return what Cache-Status says, without the cache's name."""
    (status,) = answer.field("cache-status")
    return status.removeprefix("eduhub-bridge; ")


@pytest.fixture
def own():
    """A Plone of the test's own, to be stopped and started."""
    plone = Plone().start()
    yield plone
    if plone.running:
        plone.stop()


def test_a_page_is_asked_for_once_and_says_how_old_it_is(start, plone):
    bridge = start(plone.url, **FRESH)
    first, second = bridge.get("/plone/count"), bridge.get("/plone/count")
    assert (first.body, second.body, len(plone.seen)) == (b"1", b"1", 1)
    assert (said(first), first.field("age")) == ("fwd=uri-miss; fwd-status=200; stored", ["0"])
    assert (said(second), second.field("age")) == ("hit; ttl=59", ["0"])
    assert [answer.field("x-plone") for answer in (first, second)] == [["yes"]] * 2
    assert metric(bridge, "eduhub_bridge_cache_total", result="hit") == 1
    assert metric(bridge, "eduhub_bridge_cache_pages") == 1


def test_a_head_is_plones_to_answer_whatever_its_get_says(fresh, page, plone):
    fresh.get(f"{page}/count")
    head = fresh.get(f"{page}/head-only", method="HEAD")
    assert (head.status, head.body, head.complete, head.field("content-length")) == (200, b"", True, ["1234"])
    assert said(fresh.get(f"{page}/count", method="HEAD")) == "fwd=method"
    assert [seen.method for seen in plone.seen] == ["GET", "HEAD", "HEAD"]


def test_who_asks_at_the_same_time_waits_for_the_same_answer(start, plone):
    bridge = start(plone.url, **FRESH)
    asking = [send(bridge, "/plone/wait") for _ in range(20)]
    until(lambda: metric(bridge, "eduhub_bridge_cache_total", result="collapsed") == 19)
    plone.release.set()
    answers = [read_answer(each) for each in asking]
    assert [answer.body for answer in answers] == [b"late"] * 20
    assert min(map(said, answers)) == "fwd=uri-miss; collapsed"
    assert len(plone.seen) == 1


def test_who_asks_first_and_leaves_takes_nobody_with_it(fresh, page, plone):
    before = metric(fresh, "eduhub_bridge_cache_total", result="collapsed")
    first = send(fresh, f"{page}/wait")
    until(lambda: plone.seen)
    second = send(fresh, f"{page}/wait")
    until(lambda: metric(fresh, "eduhub_bridge_cache_total", result="collapsed") == before + 1)
    first.close()
    time.sleep(0.4)
    plone.release.set()
    assert (read_answer(second).body, len(plone.seen)) == (b"late", 1)


@pytest.mark.parametrize(
    "fields",
    [
        ["Authorization: Basic eA=="], ["Authorization: Bearer x"], ["Cookie: __ac=x"], ["Cookie: auth_token=x"],
        ["Cookie: _ga=1", "Cookie: _pk_id=2; __ac=x"], ["Cookie: _ga=1,__ac"], ["Cookie: I18N_LANGUAGE=de; __cp=x"],
        ["Range: bytes=0-0"], ["Cache-Control: no-store"], ["If-Match: \"1\""], ["Content-Length: 0"],
    ],
)  # fmt: skip
def test_a_request_that_says_who_asks_gets_no_stored_page_and_leaves_none(fresh, page, fields):
    assert fresh.get(f"{page}/count", *fields).body == b"1"
    assert fresh.get(f"{page}/count").body == b"2"  # nothing was kept of that
    answer = fresh.get(f"{page}/count", *fields)
    assert (answer.body, said(answer)) == (b"3", "fwd=bypass")
    assert fresh.get(f"{page}/count").body == b"2"


@pytest.mark.parametrize(
    "different",
    [
        {"fields": ["Accept: text/html"]}, {"fields": ["Accept-Language: de"]}, {"fields": ["Accept-Encoding: gzip"]},
        {"fields": ["Origin: https://other.example"]}, {"fields": ["X-Forwarded-Proto: https"]},
        {"fields": ["X-Forwarded-Host: other.example"]}, {"host": "other.example"}, {"fields": ["X-Remote-User: eve"]},
        {"target": "/count?b=1"}, {"target": "/Count"}, {"target": "//count"},
    ],
)  # fmt: skip
def test_requests_that_differ_in_what_may_change_the_answer_share_no_page(fresh, page, plone, different):
    fresh.get(f"{page}/count", host="b")
    target = page + different.get("target", "/count")
    fresh.get(target, *different.get("fields", []), host=different.get("host", "b"))
    assert len(plone.seen) == 2


CHROME = ["Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
          "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: de-DE,de;q=0.9", "User-Agent: Chrome",
          "Cookie: _ga=GA1.1; _pk_id.1.1fff=7f; CookieConsent=\xe9", "Sec-Fetch-Mode: navigate", "Referer: http://b/1",
          "X-Forwarded-For: 10.0.0.1", "X-Real-Ip: 10.0.0.1", "Forwarded: for=10.0.0.1", "Cf-Ray: 1", "Save-Data: on",
          "X-Amzn-Trace-Id: Root=1", "Via: 1.1 cdn", "DNT: 1", "X-Request-Id: 7"]  # fmt: skip
FIREFOX = ["Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Encoding: gzip, br",
           "Accept-Language: de-de, de;q=0.5", "User-Agent: Firefox", "Cookie: other=2", "Cookie: more",
           "Referer: http://b/2", "X-Forwarded-For: 10.0.0.2", "traceparent: 00-1"]  # fmt: skip


def test_browsers_share_a_page_and_plone_hears_nothing_that_is_one_readers_own(fresh, page, plone):
    assert [fresh.get(f"{page}/count", *browser).body for browser in (CHROME, FIREFOX)] == [b"1"] * 2
    (seen,) = plone.seen
    assert dict(seen.fields) == {
        "Host": seen.field("host")[0], "accept": FIREFOX[0].partition(": ")[2], "accept-encoding": "gzip",
        "accept-language": "de-de,de;q=0.9", "via": "1.1 eduhub-bridge", "x-request-id": "7",
    }  # fmt: skip


def test_a_page_in_the_language_of_a_cookie_is_for_those_who_have_it(fresh, page, plone):
    german = [fresh.get(f"{page}/whoami", f"Cookie: {other}; I18N_LANGUAGE=de").body for other in ("_ga=1", "_ga=2")]
    assert (german, len(plone.seen)) == ([b"I18N_LANGUAGE=de"] * 2, 1)
    assert fresh.get(f"{page}/whoami", "Cookie: _ga=1").body == b""


def test_an_operator_says_which_other_cookies_and_which_languages_count(start, plone):
    bridge = start(plone.url, EDUHUB_CACHE_COOKIES="_shibsession_*, cart", EDUHUB_CACHE_LANGUAGES="de en", **FRESH)
    for cookie in ("_shibsession_7=ada", "_ga=1; cart=3"):
        answer = bridge.get("/plone/whoami", f"Cookie: {cookie}")
        assert (answer.body.decode(), said(answer)) == (cookie, "fwd=bypass")
    assert bridge.get("/plone/count", "Cookie: _ga=1", "Accept-Language: de-CH,fr;q=0.3").body == b"1"
    assert bridge.get("/plone/count", "Accept-Language: it, de;q=0.2").body == b"1"
    assert bridge.get("/plone/count", "Accept-Language: it").body == b"2"


BLANKET = "Expires: Sat, 1 Jan 2000 00:00:00 GMT"


def test_a_page_for_which_plone_has_no_rule_is_stored_as_any_other(fresh, page, start, plone):
    plone.says = [BLANKET, "Date: Wed, 25 Nov 2026 02:30:47 GMT"]
    assert [fresh.get(f"{page}/count").body for _ in range(3)] == [b"1"] * 3
    assert fresh.get(f"{page}/count").field("expires") == [BLANKET.partition(": ")[2]]  # browsers keep to it
    strict = start(plone.url, EDUHUB_CACHE_BLANKET_EXPIRES="true", **FRESH)
    assert len({strict.get(f"{page}/count").body for _ in range(3)}) == 3


@pytest.mark.parametrize("status", [404, 410, 301, 302, 401])
def test_addresses_where_there_is_no_page_cost_nobody_a_page(start, plone, status):
    bridge = start(plone.url, EDUHUB_CACHE_PAGES="4", **FRESH)
    for number in range(4):
        bridge.get(f"/plone/count?{number}")
    for number in range(40):
        assert bridge.get(f"/plone/{number}/status?{status}").status == status
    asked = len(plone.seen)
    assert {said(bridge.get(f"/plone/count?{number}"))[:3] for number in range(4)} == {"hit"}
    assert len(plone.seen) == asked


def test_requests_that_differ_in_nothing_that_counts_share_one(fresh, page, plone):
    fresh.get(f"{page}/count", JSON, "User-Agent: one", "X-Forwarded-For: 10.0.0.1", "X-B: 1")
    again = fresh.get(f"{page}/count", "X-B: 1", "User-Agent: two", JSON, "X-Request-Id: 7", "Referer: x")
    assert (again.body, len(plone.seen)) == (b"1", 1)


def test_readers_who_come_by_a_campaign_share_the_page_and_plone_hears_nothing_of_it(fresh, page, plone):
    for query in ("b=1", "utm_source=mail&b=1", "b=1&fbclid=IwAR0", "gclid=1&b=1&utm_id=2"):
        assert fresh.get(f"{page}/count?{query}").body == b"1"
    assert [seen.target.partition("?")[2] for seen in plone.seen] == ["b=1"]
    assert (fresh.get(f"{page}/count?utm_source=mail").body, fresh.get(f"{page}/count").body) == (b"2", b"2")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found"])
def test_a_redirect_keeps_the_campaign_that_a_reader_comes_by(fresh, page, plone, status):
    plone.tell("GET", f"{page.removeprefix('/plone/')}/old", status, b"", "Location: http://b/plone/new")
    for _ in range(3):
        assert fresh.get(f"{page}/old?utm_source=mail").status == int(status[:3])
        assert fresh.get(f"{page}/old").status == int(status[:3])
    queries = [seen.target.partition("?")[2] for seen in plone.seen]
    assert queries.count("utm_source=mail") == 3  # Plone repeats it in Location


def test_an_answer_for_one_client_only_is_asked_for_with_the_campaign(fresh, page, plone):
    plone.says = ["Cache-Control: private"]
    assert fresh.get(f"{page}/count?utm_source=mail").body == b"2"
    assert [seen.target.partition("?")[2] for seen in plone.seen] == ["", "utm_source=mail"]


def test_a_site_that_reads_the_campaign_itself_gets_it(start, plone):
    bridge = start(plone.url, EDUHUB_CACHE_IGNORED_PARAMETERS="none", **FRESH)
    assert [bridge.get(f"/plone/count?utm_source={name}").body for name in ("mail", "web")] == [b"1", b"2"]
    assert [seen.target.partition("?")[2] for seen in plone.seen] == ["utm_source=mail", "utm_source=web"]


@pytest.mark.parametrize(
    "fields",
    [
        "Set-Cookie: a=1", "Cache-Control: private", "Cache-Control: max-age=60, no-store", "Cache-Control: no-cache",
        "Vary: *", "Vary: Accept, User-Agent", "Content-Type: text/event-stream",
    ],
)
def test_an_answer_for_one_client_only_is_not_stored_and_waited_for_only_once(fresh, page, plone, fields):
    plone.says = [fields]
    assert [fresh.get(f"{page}/count").body for _ in range(3)] == [b"1", b"2", b"3"]
    plone.trouble = "wait"
    asking = [send(fresh, f"{page}/count", host="bridge.test") for _ in range(3)]
    until(lambda: len(plone.seen) == 6)  # all three at a time
    plone.release.set()
    assert [read_answer(each).body for each in asking] == [b"late"] * 3


@pytest.mark.parametrize("says", ["Cache-Control: private", "Set-Cookie: sid=new"])
def test_a_cookie_that_no_operator_has_named_reaches_plone_for_an_answer_to_one_client_only(fresh, page, plone, says):
    plone.says = [says]
    assert [fresh.get(f"{page}/whoami", "Cookie: sid=mine").body for _ in range(2)] == [b"sid=mine"] * 2
    assert [seen.field("cookie") for seen in plone.seen] == [[], ["sid=mine"], ["sid=mine"]]  # once for nothing


@pytest.mark.parametrize(
    ("varies", "field", "asked"),
    [("User-Agent", "User-Agent: x", 2), ("Accept, *", "User-Agent: x", 1), ("Accept, *", "Cookie: _ga=1", 2)],
)
def test_who_differs_in_what_plone_names_in_vary_is_answered_as_itself(fresh, page, plone, varies, field, asked):
    plone.says = [f"Vary: {varies}"]
    assert (fresh.get(f"{page}/count", field).body, len(plone.seen)) == (b"%d" % asked, asked)


@pytest.mark.parametrize("condition", ['If-None-Match: "1"', f"If-Modified-Since: {MODIFIED}"])
def test_plone_hears_a_clients_own_condition_on_an_answer_for_one_client_only(fresh, page, plone, condition):
    plone.says = ["Cache-Control: max-age=0, must-revalidate, private", condition.replace("If-None-Match", "ETag")]
    plone.says[1] = plone.says[1].replace("If-Modified-Since", "Last-Modified")
    assert [fresh.get(f"{page}/count", condition).status for _ in range(2)] == [304, 304]
    assert len(plone.seen) == 3


def test_a_page_too_long_to_be_stored_is_the_same_whatever_cookies_there_are(fresh, page, plone):
    assert len(fresh.get(f"{page}/long", "Cookie: _ga=1", "User-Agent: x").body) == 2 * 1024 * 1024
    assert len(plone.seen) == 1
    fresh.get(f"{page}/long", 'If-None-Match: "1"', host="other.example")
    assert [seen.field("if-none-match") for seen in plone.seen] == [[], [], ['"1"']]


def test_a_page_too_long_to_be_stored_comes_whole_all_the_same(fresh, page, plone):
    for target in (f"{page}/long", f"{page}/long-chunked"):
        answers = [fresh.get(target) for _ in range(2)]
        assert [(answer.complete, len(answer.body)) for answer in answers] == [(True, 2 * 1024 * 1024)] * 2
    assert len(plone.seen) == 4
    assert metric(fresh, "eduhub_bridge_plone_in_flight", lane="reads") == 0


@pytest.mark.parametrize(("status", "stored"), [(404, 1), (301, 1), (302, 2), (401, 2), (500, 2)])
def test_a_missing_page_is_remembered_briefly_and_a_refused_one_not_at_all(fresh, page, plone, status, stored):
    assert {fresh.get(f"{page}/status?{status}").status for _ in range(2)} == {status}
    assert len(plone.seen) == stored


@pytest.mark.parametrize(("says", "asked"), [("max-age=0", 3), ("s-maxage=1, max-age=600", 1), ("max-age=600", 1),
                                              ("must-revalidate", 1), ("no-store", 3), ("private", 3)])  # fmt: skip
def test_what_plone_says_about_freshness_shortens_it(fresh, page, plone, says, asked):
    plone.says = [f"Cache-Control: {says}"]
    for _ in range(3):
        fresh.get(f"{page}/count")
    assert len(plone.seen) == asked


@pytest.mark.parametrize(
    ("method", "target", "writes"),
    [
        ("POST", "/plone/x", True), ("PATCH", "/plone/y", True), ("DELETE", "/plone/z", True),
        ("POST", "/plone/broken", True), ("POST", "/plone/hang-up", True), ("POST", "/plone/silent", True),
        ("GET", "/plone/z/content_status_modify?workflow_action=retract&_authenticator=1", True),
        ("POST", "/plone/@querystring-search", False), ("POST", "/plone/@login", False), ("OPTIONS", "/plone/x", False),
        ("PROPFIND", "/plone/x", False), *(("POST", f"/plone/status?{code}", False) for code in (401, 403, 404, 405)),
        *(("POST", f"/plone/status?{code}", True) for code in (201, 204, 302, 400, 409, 500, 503)),
        ("DELETE", "/plone/@users/status?404", True),
    ],
)  # fmt: skip
def test_nothing_that_was_read_before_a_write_is_used_after_it(fresh, page, method, target, writes):
    assert fresh.get(f"{page}/count").body == b"1"
    fresh.get(target, USER, method=method)
    assert fresh.get(f"{page}/count").body == (b"2" if writes else b"1")


@pytest.mark.parametrize("query", ["_authenticator=1", "x:method=1"])
def test_a_link_that_writes_empties_no_store_for_a_client_without_credentials(fresh, page, query):
    fresh.get(f"{page}/count")
    assert fresh.get(f"/plone/hello?{query}").status == 200
    assert fresh.get(f"{page}/count").body == b"1"


def test_a_page_that_was_being_read_during_a_write_is_not_kept(fresh, page, plone):
    reading = send(fresh, f"{page}/wait")
    until(lambda: plone.seen)
    fresh.get("/plone/x", USER, method="POST")
    later = send(fresh, f"{page}/wait")  # after the write: the answer on its way is not good enough
    until(lambda: len(plone.seen) == 3)
    plone.release.set()
    assert [read_answer(each).body for each in (reading, later)] == [b"late"] * 2
    fresh.get(f"{page}/wait", host="b")
    assert len(plone.seen) == 3  # the second one was kept


def test_a_write_that_never_left_forgets_nothing(start, own):
    bridge = start(own.url, **FRESH)
    bridge.get("/plone/count")
    own.stop()
    assert bridge.get("/plone/x", USER, method="POST").status == 502
    assert said(bridge.get("/plone/count")).startswith("hit")


def test_a_write_that_is_turned_away_forgets_nothing(start, plone):
    bridge = start(plone.url, **FRESH)
    bridge.get("/plone/count")
    assert bridge.get("/plone/closed", USER, method="POST").status == 503
    assert said(bridge.get("/plone/count")).startswith("hit")


def test_a_client_that_has_the_page_is_told_so_from_the_page(fresh, page, plone):
    plone.says = ['ETag: W/"a,b"', f"Last-Modified: {MODIFIED}", "Vary: Accept"]
    fresh.get(f"{page}/count", 'If-None-Match: "other"')
    assert plone.seen[0].field("if-none-match") == []  # the page is for everybody
    for condition in ('If-None-Match: "x", "a,b"', "If-None-Match: *", f"If-Modified-Since: {MODIFIED}"):
        answer = fresh.get(f"{page}/count", condition)
        assert (answer.status, answer.body, answer.field("etag")) == (304, b"", ['W/"a,b"'])
        assert (answer.field("vary"), answer.field("content-length")) == (["Accept"], [])
    for condition in ('If-None-Match: "a"', "If-Modified-Since: Fri, 31 Dec 1999 00:00:00 GMT"):
        assert fresh.get(f"{page}/count", condition).status == 200
    assert len(plone.seen) == 1


@pytest.mark.parametrize(
    ("says", "condition"),
    [('ETag: "1"', ("if-none-match", '"1"')), ("Last-Modified: x", ("if-modified-since", "x"))],
)
def test_plone_is_asked_whether_a_stored_page_still_holds(start, plone, says, condition):
    plone.says = [says]
    bridge = start(plone.url, EDUHUB_CACHE_SECONDS="0.01", EDUHUB_CACHE_STALE_SECONDS="0")
    bridge.get("/plone/count")
    time.sleep(0.02)
    answer = bridge.get("/plone/count")
    assert (answer.status, answer.body, said(answer)) == (200, b"1", "fwd=stale; stored")
    assert plone.seen[1].field(condition[0]) == [condition[1]]


def test_a_stale_page_serves_at_once_while_plone_is_asked_behind_its_back(start, plone):
    bridge = start(plone.url, **STALE)
    bridge.get("/plone/count")
    time.sleep(0.02)
    plone.trouble = "wait"  # until its release
    answers = [bridge.get("/plone/count") for _ in range(5)]
    plone.trouble = ""
    plone.release.set()
    assert {(answer.body, said(answer).rpartition("-")[0]) for answer in answers} == {(b"1", "hit; ttl=")}
    until(lambda: bridge.get("/plone/count").body != b"1")
    assert len(plone.seen) <= 3


def test_pages_that_nobody_waits_for_are_asked_for_one_at_a_time(start, plone):
    bridge = start(plone.url, **STALE)
    targets = [f"/plone/count?{number}" for number in range(10)]
    for target in targets:
        bridge.get(target)
    plone.most.clear()
    plone.slow = 0.05
    asked = len(plone.seen)
    for _ in range(5):
        for target in targets:
            assert said(bridge.get(target)).startswith("hit; ttl=")
    until(lambda: metric(bridge, "eduhub_bridge_plone_in_flight", lane="reads") == 0)
    assert len(plone.seen) > asked
    assert plone.most["GET"] == 1


def test_a_client_that_reloads_is_answered_from_the_page_that_plone_says_still_holds(fresh, page, plone):
    plone.says = ['ETag: "1"']
    fresh.get(f"{page}/count")
    again = fresh.get(f"{page}/count", "Cache-Control: max-age=0", 'If-None-Match: "1"')
    assert (again.status, said(again)) == (304, "fwd=request; stored")
    assert plone.seen[1].field("if-none-match") == ['"1"']
    other = fresh.get(f"{page}/count", "Cache-Control: max-age=0")
    assert (other.status, other.body) == (200, b"1")


def test_a_client_that_wants_it_new_gets_it_new(fresh, page, plone):
    fresh.get(f"{page}/count")
    for field in ("Cache-Control: no-cache", "Cache-Control: max-age=0", "Pragma: no-cache"):
        assert said(fresh.get(f"{page}/count", field)) == "fwd=request; stored"
    assert (fresh.get(f"{page}/count").body, len(plone.seen)) == (b"4", 4)


@pytest.mark.parametrize("trouble", ["gone", "hang-up", "garbage", "cut", "broken", "unavailable", "silent"])
def test_readers_of_a_stored_page_see_nothing_of_a_plone_in_trouble(start, own, trouble):
    bridge = start(own.url, **ERROR)
    bridge.get("/plone/count")
    if trouble == "gone":
        own.stop()
    own.trouble = trouble
    time.sleep(0.02)
    for _ in range(3):
        answer = bridge.get("/plone/count")
        assert (answer.status, answer.body) == (200, b"1")
        assert said(answer).startswith("hit; ttl=")
        time.sleep(0.1)
    assert bridge.get("/plone/count?new").status >= 500  # and nothing is made up
    own.trouble = ""
    if trouble == "gone":
        own.start(own.port)
    back = time.monotonic()
    until(lambda: bridge.get("/plone/count").body != b"1")
    assert time.monotonic() - back < 30


def test_a_page_that_takes_plone_long_is_waited_for_and_no_other_page_is_older_for_it(start, plone):
    bridge = start(plone.url, **{**ERROR, "EDUHUB_PLONE_SECONDS": "60"})
    first, other = (bridge.get(target).body for target in ("/plone/count?first", "/plone/count?other"))
    time.sleep(0.02)
    plone.trouble = "wait"
    waiting = send(bridge, "/plone/count?first", host="bridge.test")
    until(lambda: len(plone.seen) == 3)
    time.sleep(1.1)
    plone.trouble, plone.slow = "", 1.2
    for fields in ([], ["Cache-Control: no-cache"]):
        answer = bridge.get("/plone/count?other", *fields)
        assert (int(answer.body) > int(other), said(answer).partition("=")[0]) == (True, "fwd")
    plone.release.set()
    assert (first, read_answer(waiting).body) == (b"1", b"late")


def test_readers_see_nothing_of_a_plone_that_stands_still_and_it_is_not_stormed_when_it_goes_on(start, own):
    bridge = start(own.url, **{**ERROR, "EDUHUB_PLONE_SECONDS": "60"})
    bridge.get("/plone/count")
    other = bridge.get("/plone/count?other").body
    own.trouble = "wait"
    time.sleep(0.02)
    begun = time.monotonic()
    with ThreadPoolExecutor(10) as clients:
        answers = list(clients.map(lambda _: bridge.get("/plone/count"), range(50)))
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"1")}
    silent = time.monotonic()
    assert silent - begun < 8  # one patience for the first ten, none for those after them
    assert bridge.get("/plone/count?other").body == other
    assert time.monotonic() - silent < 3  # a brief one for another page
    assert len(own.seen) == 4
    own.release.set()


@pytest.mark.parametrize("says", ["max-age=0, must-revalidate", "must-revalidate", "no-store"])
def test_a_page_that_must_be_asked_for_is_not_given_out_for_want_of_better(start, own, says):
    own.says = [f"Cache-Control: {says}"]
    bridge = start(own.url, **ERROR)
    bridge.get("/plone/count")
    own.stop()
    time.sleep(0.02)
    assert bridge.get("/plone/count").status == 502


def test_what_plone_has_said_once_of_a_page_holds_when_it_says_that_the_page_is_unchanged(start, own):
    own.says = ['ETag: "1"', "Cache-Control: max-age=1, must-revalidate"]
    bridge = start(own.url, **ERROR)
    bridge.get("/plone/count")
    time.sleep(0.02)
    assert said(bridge.get("/plone/count")) == "fwd=stale; stored"  # by a 304 without a field
    own.stop()
    time.sleep(1)
    assert bridge.get("/plone/count").status == 502


def test_who_comes_when_a_page_has_just_become_too_old_is_told_what_plone_says(start, plone):
    bridge = start(plone.url, **{**STALE, "EDUHUB_CACHE_STALE_SECONDS": "0.3", "EDUHUB_CACHE_ERROR_SECONDS": "0.3"})
    bridge.get("/plone/count")
    plone.trouble = "broken-late"
    time.sleep(0.05)
    assert said(bridge.get("/plone/count")).startswith("hit")  # and Plone is asked for a new one
    until(lambda: len(plone.seen) == 2)
    time.sleep(0.3)
    late = send(bridge, "/plone/count", host="bridge.test")
    time.sleep(0.1)
    plone.release.set()
    answer = read_answer(late)
    assert (answer.status, answer.body) == (500, b"bug")


def test_a_page_that_was_withdrawn_is_gone_at_once(start, plone):
    bridge = start(plone.url, **STALE)
    bridge.get("/plone/count")
    plone.trouble = "refused"
    time.sleep(0.02)
    bridge.get("/plone/count")  # stale, and the last time
    until(lambda: len(plone.seen) >= 2)
    until(lambda: bridge.get("/plone/count").status == 401)
    plone.trouble = ""


def test_after_a_write_a_failing_plone_shows_no_older_page(start, own):
    bridge = start(own.url, **ERROR)
    bridge.get("/plone/count")
    bridge.get("/plone/x", USER, method="POST")
    own.stop()
    assert bridge.get("/plone/count").status == 502


def test_what_is_read_while_plone_is_still_at_a_write_is_not_shown_once_that_has_ended(start, own):
    bridge = start(own.url, EDUHUB_PLONE_SECONDS="1", **FRESH)
    assert bridge.get("/plone/wait", USER, "Content-Length: 0", method="POST").status == 504
    assert [bridge.get("/plone/count").body for _ in range(2)] == [b"1"] * 2
    own.release.set()
    until(lambda: bridge.get("/plone/count").body == b"2")


def test_who_reloads_after_a_write_waits_for_no_answer_that_was_begun_before_it(start, plone):
    bridge = start(plone.url, **STALE)
    bridge.get("/plone/count")
    time.sleep(0.02)
    plone.trouble = "wait"
    bridge.get("/plone/count")  # stale, and Plone is asked for a new one
    until(lambda: len(plone.seen) == 2)
    plone.trouble = ""
    bridge.get("/plone/x", USER, method="POST")
    assert bridge.get("/plone/count").body == b"3"
    assert bridge.get("/plone/count", "Cache-Control: no-cache").body == b"4"
    plone.release.set()


def test_a_write_ends_an_old_page_for_those_too_who_wait_for_a_new_one(start, plone):
    bridge = start(plone.url, **ERROR)
    bridge.get("/plone/count")
    time.sleep(0.02)
    plone.trouble = "broken-late"
    waiting = send(bridge, "/plone/count", host="bridge.test")
    until(lambda: len(plone.seen) == 2)
    plone.trouble = ""
    bridge.get("/plone/x", USER, method="POST")
    plone.release.set()
    assert read_answer(waiting).body == b"3"


def test_a_broken_off_page_is_a_problem_and_not_half_a_page(fresh, page):
    before = metric(fresh, "eduhub_bridge_plone_errors_total", kind="cut")
    assert is_problem(fresh.get(f"{page}/cut"), 502) == "Plone's answer broke off."
    assert metric(fresh, "eduhub_bridge_plone_errors_total", kind="cut") == before + 1
    assert metric(fresh, "eduhub_bridge_plone_in_flight", lane="reads") == 0


def test_a_bridge_that_stops_while_it_asks_for_pages_stops_in_order(start, plone):
    bridge = start(plone.url, **STALE)
    bridge.get("/plone/count")
    time.sleep(0.02)
    plone.trouble = "wait"
    bridge.get("/plone/count")
    until(lambda: len(plone.seen) == 2)
    bridge.popen.send_signal(signal.SIGTERM)
    assert bridge.popen.wait(5) == 0
    plone.release.set()
    plone.trouble = ""
    assert not [line for line in bridge.lines() if "traceback" in line]


def test_a_plone_that_is_not_there_yet_is_a_problem_for_all_who_wait(start):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    bridge = start(f"http://127.0.0.1:{port}/Plone", **FRESH)
    answers = all_at_once(bridge, 8, "GET", "/plone/x")
    assert {answer.status for answer in answers} <= {502, 503}
    assert all(answer.field("content-type") == ["application/problem+json"] for answer in answers)
