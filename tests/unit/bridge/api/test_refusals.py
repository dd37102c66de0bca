"""What is refused, by whom, and in which words: always a problem document, and nothing of a trick reaches Plone."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.unit.bridge.api.restapi import ITEM, JSON, ask, problem

TRICKS = [
    "courses", "", "/..", "/a/../b", "/a/.", "/./a", "/%2e%2e/x", "/.%2E/x", "/a%2f..%2fb", "/%252e%252e/x", "/a//b",
    "/VirtualHostRoot/x", "/%56irtualHostBase", "/_vh_x", "/a%2F_vh_x", "/++vh++http:evil:80/++/x", "/@search", "/@@x",
    "/a/++theme++x", "/%2b+vh++x", "/a\x00b", "/a\nb", "/a\x7f", "/%2525252541",
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("endpoint", ["/content", "/content/children", "/content/workflow", "/files"])
def test_a_path_that_names_no_content_is_refused(bridge, plone, endpoint, trick):
    answer = ask(bridge, "GET", f"{endpoint}?path={quote(trick, safe='')}")
    problem(answer, 422 if "\x00" in trick else 400)
    assert plone.seen == []


@pytest.mark.parametrize("trick", [trick for trick in TRICKS if "%" not in trick])
def test_so_is_one_in_a_body(bridge, plone, trick):
    problem(ask(bridge, "POST", "/content/move", {"path": trick, "to": "/a"}), 400)
    problem(ask(bridge, "POST", "/content/move", {"path": "/a", "to": trick}), 400)
    problem(ask(bridge, "POST", "/content", {"parent": trick, "type": "Document", "title": "x"}), 400)
    assert plone.seen == []


@pytest.mark.parametrize("name", ["%2e%2e", ".", "%252e%252e", "a%0ab", "_vh_x", "VirtualHostRoot", "%00"])
@pytest.mark.parametrize("kind", ["users", "groups"])
def test_a_name_that_is_a_trick_is_refused(bridge, plone, kind, name):
    problem(ask(bridge, "GET", f"/{kind}/{name}"), 400)
    assert plone.seen == []


def test_a_host_that_is_none_is_refused(bridge, plone):
    problem(bridge.get("/api/v1/content?path=/", host="a b"), 400)
    assert plone.seen == []


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("path=/&pth=1", "query.pth"), ("path=/&path=/a", "query.path"), ("path=/%ff", "query.path"),
        ("path=/&limit=0", "query.limit"), ("path=/&limit=101", "query.limit"), ("path=/&offset=-1", "query.offset"),
        ("path=/&limit=x", "query.limit"), ("", "query.path"), (f"path=/{'a' * 1000}", "query.path"),
    ],
)  # fmt: skip
def test_a_parameter_that_does_not_fit_is_named(bridge, plone, query, where):
    errors = problem(ask(bridge, "GET", f"/content/children?{query}"), 422)["errors"]
    assert [each["where"] for each in errors] == [where]
    assert plone.seen == []


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"parent":', "body.10"), (b"[]", "body"), (b"null", "body"), (b"", "body"), (b"\xff", "body.0"),
        (b'{"parent":"/a","type":"Document","title":NaN}', "body.40"),
        (b'{"parent":"/a","type":"Document","title":"\\ud800"}', "body.48"),
        (b'{"parent":"/a","type":"Document","title":5}', "body.title"),
        (b'{"parent":"/a","type":"Document","titel":"x","title":"x"}', "body.titel"),
        (b"[" * 100_000, "body.1024"),
        (b'{"parent":"/a","type":"Document","title":"x","fields":{"x":' + b"[" * 300 + b"]" * 300 + b"}}", "body.0"),
    ],
)  # fmt: skip
def test_a_body_that_does_not_fit_is_refused_before_plone_hears_of_it(bridge, plone, body, where):
    answer = ask(bridge, "POST", "/content", body, JSON)
    errors = problem(answer, 422)["errors"]
    assert errors[0]["where"].split(".")[0] == "body"
    if not where.removeprefix("body.").isdigit():
        assert where in [each["where"] for each in errors]
    assert plone.seen == []


@pytest.mark.parametrize("field", ["Content-Type: text/plain", "Content-Type: application/xml", "X-Nothing: 1"])
def test_a_body_of_another_type_is_refused(bridge, plone, field):
    problem(ask(bridge, "POST", "/content", b"{}", field), 415)
    assert plone.seen == []


def test_a_body_that_is_too_long_is_refused_as_soon_as_that_is_known(bridge, plone):
    announced = bridge.get("/api/v1/content", JSON, "Content-Length: 4194305", method="POST")  # the body never comes
    assert "4194304 bytes" in problem(announced, 413)["detail"]
    unended = b"400000\r\n" + b" " * 0x400000 + b"\r\n1\r\n \r\n"
    problem(bridge.get("/api/v1/content", JSON, "Transfer-Encoding: chunked", method="POST", body=unended), 413)
    assert plone.seen == []


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/api/v1/files?parent=/&filename=evil.html"), ("POST", "/api/v1/exports"),
        ("POST", "/api/v1/jobs/18916e7b1c4a4f5b9a0b7d2e5f6a7b8c/resume"), ("DELETE", "/api/v1/content?path=/a"),
    ],
)  # fmt: skip
def test_no_page_of_another_site_writes_in_its_visitors_name(bridge, plone, method, target):
    fields = ["Authorization: Basic eA==", "Content-Type: text/plain", "Content-Length: 1"]
    for origin in ("https://evil.example", "null"):
        answer = bridge.get(target, *fields, f"Origin: {origin}", method=method, body=b"x")
        assert problem(answer, 403)["detail"] == "A page of another site had its visitor's browser send this."
    assert plone.seen == []
    assert bridge.get(target, *fields, "Origin: http://bridge.test", method=method, body=b"x").status != 403


def test_a_method_that_is_not_offered_says_which_are(bridge):
    answer = bridge.get("/api/v1/content", method="PUT")
    problem(answer, 405)
    assert answer.field("allow") == ["DELETE, GET, HEAD, PATCH, POST"]
    assert bridge.get("/api/v1/login", method="GET").field("allow") == ["POST"]


@pytest.mark.parametrize("target", ["", "/", "/nothing", "/content/", "/users/", "/users/a/b", "/content/children/x"])
def test_an_unknown_address_is_not_found(bridge, plone, target):
    problem(ask(bridge, "GET", target), 404)
    assert plone.seen == []


def words(kind, message):
    return {"type": kind, "message": message, "traceback": ["planted"]}


@pytest.mark.parametrize(
    ("status", "said", "expected", "detail"),
    [
        (404, words("NotFound", "Resource not found: x"), 404, "Resource not found: x"),
        (401, words("Unauthorized", "You are not authorized."), 401, "You are not authorized."),
        (403, {"error": {"type": "Forbidden", "message": "No."}}, 403, "No."),
        (400, {"error": {"message": "Sentence."}}, 400, "Sentence."),
        (401, None, 401, "Plone wants other credentials for this."),
        (404, None, 404, "Plone has nothing here."),
        (409, words("Conflict", "c"), 409, "c"),
        (418, None, 400, "Plone refuses this with status 418 and no words."),
        (500, words("Boom", "it broke"), 502, "Plone failed: it broke"),
        (500, None, 502, "Plone failed with status 500 and no words."),
        (500, words("ParseError", "Query contains only common words: '*'"), 400,
         "Query contains only common words: '*'"),
        (500, words("CopyError", "into itself"), 400, "into itself"),
        (503, words("KeyError", "'delta'"), 502, "Plone failed: 'delta'"),
        (503, words("ServiceUnavailable", "later"), 503, "Plone failed: later"),
        (501, {"error": {"type": "x", "message": "not here"}}, 501, "Plone failed: not here"),
        (599, None, 502, "Plone failed with status 599 and no words."),
    ],
)  # fmt: skip
def test_plones_errors_keep_their_words_and_get_a_status_that_is_documented(
    bridge, plone, status, said, expected, detail
):
    plone.tell("GET", "a", f"{status} Whatever", said)
    answer = ask(bridge, "GET", "/content?path=/a")
    document = problem(answer, expected)
    assert (document["detail"], document["plone"]["status"]) == (detail, status)
    assert b"planted" not in answer.body
    assert answer.field("www-authenticate") == (['Bearer realm="Plone"'] if expected == 401 else [])
    assert answer.field("retry-after") == (["1"] if expected == 503 else [])


@pytest.mark.parametrize(
    ("document", "field", "status", "detail"),
    [
        (b"<html>", "Content-Type: text/html", 404, "Plone has a page here, but no content."),
        (b"{", "Content-Type: application/json", 502, "Plone's answer is not the JSON that it claims to be."),
        (b"[]", "Content-Type: application/json", 502, "Plone's answer is not the object that it should be."),
        (b"", "X-Y: z", 502, "Plone's answer is not the object that it should be."),
    ],
)
def test_an_answer_that_is_no_content_is_none(bridge, plone, document, field, status, detail):
    plone.tell("GET", "a", "200 OK", document, field)
    assert problem(ask(bridge, "GET", "/content?path=/a"), status)["detail"] == detail


def test_an_item_that_lacks_what_this_api_promises_is_plones_failure(bridge, plone):
    plone.tell("GET", "a", "200 OK", {**ITEM, "created": "yesterday"})
    assert "created" in problem(ask(bridge, "GET", "/content?path=/a"), 502)["detail"]


@pytest.mark.parametrize(("path", "status"), [("hang-up", 502), ("garbage", 502), ("silent", 504), ("cut", 502)])
def test_a_plone_that_fails_is_a_problem_like_any_other(bridge, path, status):
    problem(ask(bridge, "GET", f"/content?path=/{path}"), status)


def test_content_that_has_moved_is_followed(bridge, plone):
    plone.tell("GET", "old", "302 Found", b"", "Location: http://bridge.test/plone/n%C3%BC")
    answer = ask(bridge, "GET", "/content?path=/old")
    assert problem(answer, 307)["moved_to"] == "/nü"
    assert answer.field("location") == ["/api/v1/content?path=%2Fn%C3%BC"]
    plone.tell("GET", "old/@search", "302 Found", b"", "Location: http://bridge.test/plone/new/@search?b_start=0")
    answer = ask(bridge, "GET", "/content/children?path=/old&limit=3")
    assert answer.field("location") == ["/api/v1/content/children?path=%2Fnew&limit=3"]
    plone.tell("GET", "old/@@download/file", "302 Found", b"", "Location: http://bridge.test/plone/new/@@download/file")
    answer = ask(bridge, "GET", "/files?path=/old&field=file")
    assert answer.field("location") == ["/api/v1/files?path=%2Fnew&field=file"]
    plone.tell("POST", "old/@tus-replace", "307 Moved", b"", "Location: http://bridge.test/plone/new/@tus-replace")
    answer = ask(bridge, "PUT", "/files?path=/old&filename=a", b"x")
    assert answer.field("location") == ["/api/v1/files?path=%2Fnew&filename=a"]


def test_a_success_that_brings_nothing_is_none(bridge, plone):
    plone.tell("GET", "a/@@download", "204 No Content", b"")
    problem(ask(bridge, "GET", "/files?path=/a"), 502)


def test_content_that_has_moved_is_named_where_nothing_can_be_followed(bridge, plone):
    plone.tell("POST", "old", "307 Moved", b"", "Location: http://bridge.test/plone/new")
    answer = ask(bridge, "POST", "/content", {"parent": "/old", "type": "Document", "title": "x"})
    assert problem(answer, 404)["moved_to"] == "/new"
    plone.tell("GET", "away", "302 Found", b"", "Location: https://elsewhere.example/x")
    answer = ask(bridge, "GET", "/content?path=/away")
    assert (problem(answer, 404)["moved_to"], answer.field("location")) == ("https://elsewhere.example/x", [])


def test_errors_of_a_request_hold_nothing_that_was_secret(bridge, plone):
    answer = ask(bridge, "POST", "/login", {"login": "ada", "password": ["planted"]})
    problem(answer, 422)
    plone.tell("POST", "@login", "500 Boom", words("Boom", "x"))
    also = ask(bridge, "POST", "/login", {"login": "ada", "password": "planted"}, "Authorization: Bearer planted")
    assert b"planted" not in answer.body + also.body
    assert "planted" not in bridge.log.read_text()
