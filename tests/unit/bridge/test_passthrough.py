"""Everything below /plone/ reaches Plone as it was sent, and comes back as Plone answered it."""

from __future__ import annotations

import hashlib
import re
import time

import pytest

from tests.unit.bridge.fake_plone import BLOCK

PREFIX = "/VirtualHostBase/http/bridge.test:80/Plone/VirtualHostRoot/_vh_plone"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKCOL"])
def test_every_method_is_passed_on(bridge, plone, method):
    answer = bridge.get("/plone/news", method=method)
    assert (answer.status, answer.body, answer.field("x-plone")) == (200, b"hello", ["yes"])
    assert [(seen.method, seen.target) for seen in plone.seen] == [(method, f"{PREFIX}/news")]


@pytest.mark.parametrize(
    "below",
    [
        "", "/", "//", "/a%20b/%C3%A9%2fx", "/a+b;c=d,e/@@view/++theme++x", "/100%25", "/foo..bar/...", "/./x",
        "/x?a=%2F&b=+&a=&&c", "/x?q=..%2F..", "/x?y=/VirtualHostRoot/", "/a:b@c!$&'()*~", "/x?a={\"b\"}|c", "/%ff",
    ],
)  # fmt: skip
def test_path_and_query_arrive_byte_for_byte(bridge, plone, below):
    assert bridge.get("/plone" + below).status == 200
    assert [seen.target for seen in plone.seen] == [PREFIX + below]


@pytest.mark.parametrize(
    ("fields", "host", "expected"),
    [
        ([], "Bridge.Test:8080", "http/bridge.test:8080"),
        (["X-Forwarded-Proto: https"], "edu.example", "https/edu.example:443"),
        (["X-Forwarded-Proto: https", "X-Forwarded-Host: edu.example:9443"], "inner:8080", "https/edu.example:9443"),
        ([], "[2001:db8::1]:8080", "http/[2001:db8::1]:8080"),
        ([], "10.0.0.7", "http/10.0.0.7:80"),
    ],
)
def test_links_point_to_where_the_client_called(bridge, plone, fields, host, expected):
    bridge.get("/plone/x", *fields, host=host)
    assert plone.seen[0].target == f"/VirtualHostBase/{expected}/Plone/VirtualHostRoot/_vh_plone/x"


def test_request_fields_travel_except_those_of_the_connection(bridge, plone):
    with bridge.connect() as connection:
        connection.sendall(
            b"GET /plone/x HTTP/1.1\r\nHost: bridge.test\r\nConnection: close, X-Drop, Host, X-Forwarded-For\r\n"
            b"X-Drop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: Basic x\r\nUpgrade: h2c\r\n"
            b"Accept: a/b\r\nCookie: a=1\r\nCookie: b=2\r\nAuthorization: Basic eA==\r\nX-Name: \xc3\xa9\r\n"
            b"X-Forwarded-For: 10.0.0.1\r\nIf-None-Match: W/\"1\"\r\n\r\n"
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert sorted(plone.seen[0].fields) == [
        ("Host", f"127.0.0.1:{plone.port}"), ("accept", "a/b"), ("authorization", "Basic eA=="), ("cookie", "a=1"),
        ("cookie", "b=2"), ("if-none-match", 'W/"1"'), ("via", "1.1 eduhub-bridge"), ("x-forwarded-for", "10.0.0.1"),
        ("x-name", "\xc3\xa9"),
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_signed_in_reader_with_another_applications_latin_1_cookie_is_answered(bridge, plone, method):
    cookie = "Cookie: name=M\xfcller; town=K\xc3\xb6ln; __ac=x"
    fields = ["Referer: http://b/\xe9", "User-Agent: caf\xe9"]
    assert bridge.get("/plone/x", cookie, *fields, "Content-Length: 0", method=method).status == 200
    (seen,) = plone.seen
    assert seen.field("cookie") == ["name=M\xc3\xbcller; town=K\xc3\xb6ln; __ac=x"]  # as UTF-8, the others as they were
    assert (seen.field("referer"), seen.field("user-agent")) == (["http://b/\xc3\xa9"], ["caf\xc3\xa9"])


def test_response_fields_travel_except_those_of_the_connection(bridge):
    answer = bridge.get("/plone/headers")
    assert answer.fields == [
        ("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2, c"), ("etag", '"caf\xe9"'),
        ("date", "Sat, 01 Jan 2000 00:00:00 GMT"), ("content-length", "1"),
        ("cache-status", "eduhub-bridge; fwd=bypass"), ("connection", "close"),
    ]  # fmt: skip


def test_content_encoding_is_not_touched(bridge, plone):
    answer = bridge.get("/plone/gzip", "Accept-Encoding: gzip")
    assert (answer.field("content-encoding"), answer.body[:2]) == (["gzip"], b"\x1f\x8b")
    assert plone.seen[0].field("accept-encoding") == ["gzip"]


def test_a_range_comes_back_as_a_part(bridge):
    answer = bridge.get("/plone/range", "Range: bytes=3-7")
    assert (answer.status, answer.body) == (206, BLOCK[3:8])
    assert answer.field("content-range") == [f"bytes 3-7/{len(BLOCK)}"]


def test_redirects_are_the_clients_business(bridge):
    answer = bridge.get("/plone/redirect")
    assert (answer.status, answer.field("location")) == (302, ["http://elsewhere.example/x"])


@pytest.mark.parametrize("path", ["head-with-body", "head-and-body"])
def test_a_body_that_plone_sends_after_head_answers_no_other_request(bridge, plone, path):
    answer = bridge.get(f"/plone/{path}", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert bridge.get("/plone/x", "Cookie: mine").body == b"hello"
    head, get = plone.seen
    assert head.connection != get.connection


@pytest.mark.parametrize(
    ("method", "path", "status", "length"),
    [("HEAD", "head-only", 200, ["1234"]), ("GET", "nothing", 204, []), ("GET", "unchanged", 304, [])],
)
def test_answers_without_body_end_at_their_head(bridge, method, path, status, length):
    answer = bridge.get(f"/plone/{path}", method=method)
    assert (answer.status, answer.body, answer.complete) == (status, b"", True)
    assert (answer.field("content-length"), answer.field("transfer-encoding")) == (length, [])


def test_a_chunked_answer_stays_whole(bridge):
    answer = bridge.get("/plone/chunked")
    assert (answer.body, answer.complete, answer.field("transfer-encoding")) == (b"hello!", True, ["chunked"])


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_streamed_to_plone(bridge, plone, chunked):
    body = BLOCK * 100
    wire = b"".join(b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK) for _ in range(100)) + b"0\r\n\r\n" if chunked else body
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    answer = bridge.get("/plone/digest", framing, "Content-Type: a/b", method="POST", body=wire)
    assert (answer.status, answer.body.decode()) == (201, hashlib.sha256(body).hexdigest())
    assert plone.seen[0].field("content-type") == ["a/b"]
    assert bool(plone.seen[0].field("transfer-encoding")) == chunked


def test_an_expected_continue_is_given_by_the_bridge(bridge, plone):
    with bridge.connect() as connection:
        connection.sendall(
            b"POST /plone/digest HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert connection.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert plone.seen[0].field("expect") == []


def test_an_answer_before_the_end_of_a_long_body_gets_through(bridge):
    with bridge.connect() as connection:
        connection.sendall(b"POST /plone/early HTTP/1.1\r\nHost: b\r\nContent-Length: 100000\r\n\r\nabc")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_slow_client_slows_plone_down(bridge, plone):
    with bridge.connect() as connection:
        connection.sendall(b"GET /plone/endless HTTP/1.1\r\nHost: b\r\n\r\n")
        connection.recv(1)
        before = -1
        while before != (before := plone.seen[0].sent):  # until nothing moves any more
            time.sleep(0.2)
    assert 0 < plone.seen[0].sent < 16 * 1024 * 1024


def test_a_client_that_leaves_frees_plone(bridge, plone):
    with bridge.connect() as connection:
        connection.sendall(b"GET /plone/endless HTTP/1.1\r\nHost: b\r\n\r\n")
        connection.recv(1)
        time.sleep(0.5)
    deadline = time.monotonic() + 60
    while not plone.seen[0].lost and time.monotonic() < deadline:
        time.sleep(0.01)
    assert plone.seen[0].lost


def test_connections_to_plone_are_kept_for_reading_and_new_for_writing(bridge, plone):
    for method in ("GET", "GET", "POST", "POST", "GET"):
        bridge.get("/plone/x", method=method)
    first, second, third, fourth, fifth = (seen.connection for seen in plone.seen)
    assert first == second == fifth
    assert len({first, third, fourth}) == 3


def test_a_kept_connection_that_dies_is_replaced_unseen(bridge, plone):
    assert [bridge.get("/plone/stale").status for _ in range(3)] == [200, 200, 200]
    assert [bridge.get("/plone/stale", method="POST").status for _ in range(3)] == [200, 200, 200]
    posts = [seen for seen in plone.seen if seen.method == "POST"]
    assert len(posts) == 3


def test_nothing_of_the_request_appears_in_the_log(bridge):
    bridge.get("/plone/cut?token=planted", "Authorization: Bearer planted", "Cookie: planted")
    assert not re.search("planted", bridge.log.read_text())
