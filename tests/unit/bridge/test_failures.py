"""What Plone does wrong reaches the client as a problem document, or as a cut connection: never as a success."""

from __future__ import annotations

import socket
import time

import pytest

from tests.unit.bridge.helpers import TRICKS, is_problem
from tests.unit.bridge.process import read_answer

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", TRICKS)
def test_path_tricks_are_refused_before_plone_hears_of_them(bridge, plone, target):
    is_problem(bridge.get(target), 400)
    assert plone.seen == []


_FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("target", "field", "body"),
    [
        ("/plone/login", _FORM, b"../content_status_modify:method=1&workflow_action=retract"),
        ("/plone/login", _FORM, b"content_status_modify:method=1"), ("/plone/x", "X: 1", b":method=%2e%2e/x"),
        ("/plone/@login", "X: 1", b"a=b&x:action=1"), ("/plone/x", _FORM, b"a=" + b"b" * 200_000 + b"&../x:method=1"),
        ("/plone/x", "Content-Type: multipart/form-data; boundary=b", b'--b\r\nA: b; name="../x:method"\r\n\r\n--b--'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_that_leads_elsewhere_is_refused_before_plone_has_it_all(bridge, plone, target, field, body, chunked):
    framing, sent = f"Content-Length: {len(body)}", body
    if chunked:
        framing, sent = "Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert "':method'" in is_problem(bridge.get(target, field, framing, method="POST", body=sent), 400)
    assert not any(seen.body for seen in plone.seen)  # a head may have come, and no body to its end


@pytest.mark.parametrize("body", [b"folder_delete:method=Delete&paths:list=/a", b"a=b&:method=x"])
def test_a_form_with_plones_own_buttons_is_passed_on_whole(bridge, plone, body):
    assert bridge.get("/plone/x", _FORM, f"Content-Length: {len(body)}", method="POST", body=body).status == 200
    assert [seen.body for seen in plone.seen] == [body]


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "a:0", "a:65536", "a:b", "a@b", "-a", "a..b", "*", "[::1", "a,b", "a\xe9", "x" * 300]
)
def test_a_host_that_is_none_is_refused(bridge, plone, host):
    is_problem(bridge.get("/plone/x", host=host), 400)
    assert plone.seen == []


@pytest.mark.parametrize(
    "field",
    ["Host: other", "X-Forwarded-Proto: ftp", "X-Forwarded-Host: a, b", "X-Forwarded-Host: /x/", "X-Bad: \xe9"],
)
def test_fields_that_contradict_or_cannot_be_passed_on_are_refused(bridge, plone, field):
    is_problem(bridge.get("/plone/x", field), 400)
    assert plone.seen == []


def test_no_tunnel_is_dug(bridge, plone):
    is_problem(bridge.get("/plone/x", method="CONNECT"), 400)
    assert plone.seen == []


@pytest.mark.parametrize(
    "head",
    [
        "HELLO", "INVENTED /plone/x HTTP/1.1", "GET /plone/\xff HTTP/1.1", "GET /plone/x HTTP/1.1\r\nX: a\x01b",
        "GET /plone/x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", "CONNECT plone:8080 HTTP/1.1",
        "POST /plone/x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5",
        "GET /plone/x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked",
    ],
)  # fmt: skip
def test_what_is_no_request_is_a_problem_too(bridge, plone, head):
    with bridge.connect() as connection:
        connection.sendall(f"{head}\r\nHost: b\r\n\r\n".encode("latin-1"))
        answer = read_answer(connection)
    assert is_problem(answer, 400) == "This is no HTTP request that the bridge can read."
    assert (answer.complete, answer.field("connection"), plone.seen) == (True, ["close"], [])


@pytest.mark.parametrize("head", ["GET /plone/x", "POST /plone/x"])
def test_fields_after_the_body_are_no_header_fields(bridge, plone, head):
    trailers = "X-Remote-User: admin\r\nX-Forwarded-For: 10.0.0.1\r\nCookie: a=b"
    chunked = f"{head} HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n{trailers}\r\n\r\n"
    following = "GET /plone/x HTTP/1.1\r\nHost: b\r\nCookie: c=d\r\nConnection: close\r\n\r\n"
    with bridge.connect() as connection:
        connection.sendall((chunked + following).encode())
        while connection.recv(65536):
            pass
    first, second = plone.seen
    assert (first.field("x-remote-user"), first.field("cookie"), "10.0.0.1" in str(first.fields)) == ([], [], False)
    assert second.field("cookie") == ["c=d"]


def test_rubbish_after_a_request_is_no_part_of_its_answer(bridge):
    with bridge.connect() as connection:
        connection.sendall(b"GET /plone/drip HTTP/1.1\r\nHost: b\r\n\r\n")
        received = connection.recv(65536)
        connection.sendall(b"\x00 rubbish\r\n\r\n")
        while block := connection.recv(65536):
            received += block
    assert (received.count(b"HTTP/1.1 "), received.partition(b"\r\n\r\n")[2]) == (1, b"a")


@pytest.mark.parametrize(
    "target", ["/nothing", "/plonex", "/%70lone/x", "/PLONE/x", "//plone/x", "/health/", "/metrics%0a"]
)
def test_an_unknown_address_is_not_found(bridge, plone, target):
    is_problem(bridge.get(target), 404)
    assert plone.seen == []


def test_a_method_that_is_not_offered_says_which_is(bridge):
    answer = bridge.get("/health", method="DELETE")
    is_problem(answer, 405)
    assert answer.field("allow") == ["GET, HEAD"] or answer.field("allow") == ["HEAD, GET"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [("hang-up", 502, "without an answer"), ("garbage", 502, "not HTTP"), ("silent", 504, "within 3 s")],
)
def test_an_answer_that_never_comes_is_named(bridge, path, status, words):
    assert words in is_problem(bridge.get(f"/plone/{path}"), status)


def test_what_went_wrong_is_logged_with_the_id_of_its_request(start, plone):
    bridge = start(plone.url)
    is_problem(bridge.get("/plone/hang-up", "X-Request-ID: 0346ffd1-b0f3"), 502)
    assert [line["request"] for line in bridge.lines() if line["event"] == "plone_failed"] == ["0346ffd1-b0f3"]


@pytest.mark.parametrize("status", ["000", "101", "600", "999"])
def test_a_status_that_is_none_is_a_problem(bridge, status):
    assert is_problem(bridge.get(f"/plone/status?{status}"), 502) == f"Plone answered with the status {status}."


@pytest.mark.parametrize(
    "field", ["Cache-Control: max-age=\xb2", f"Age: {'9' * 5000}", "Expires: Mon, 01 Jan 99999999999 00:00:00 GMT"]
)
def test_nonsense_about_a_pages_age_costs_nobody_the_page(start, plone, field):
    plone.says = [field]
    assert start(plone.url).get("/plone/count").body == b"1"


def test_a_request_that_changes_something_is_sent_once(bridge, plone):
    is_problem(bridge.get("/plone/hang-up", method="POST"), 502)
    is_problem(bridge.get("/plone/hang-up", method="DELETE"), 502)
    assert [seen.method for seen in plone.seen] == ["POST", "DELETE"]


def test_a_request_that_changes_nothing_is_sent_twice_at_most(bridge, plone):
    is_problem(bridge.get("/plone/hang-up"), 502)
    assert [seen.method for seen in plone.seen] == ["GET", "GET"]


@pytest.mark.parametrize("path", ["cut", "cut-chunked", "reset", "silent-inside"])
def test_a_cut_answer_stays_cut(bridge, path):
    answer = bridge.get(f"/plone/{path}")
    assert (answer.status, answer.body, answer.complete) == (200, b"abc", False)


@pytest.mark.parametrize(("length", "heard"), [(10, []), (100_000, [b""])])  # a long body is on its way already
def test_a_client_that_leaves_while_sending_leaves_no_half_request(bridge, plone, length, heard):
    with bridge.connect() as connection:
        connection.sendall(b"POST /plone/digest HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\nabc" % length)
        time.sleep(0.1)
    time.sleep(0.2)
    assert [seen.body for seen in plone.seen] == heard  # its head came, its body never ended
    assert bridge.get("/plone/x").status == 200


def test_an_unreachable_plone_is_a_bad_gateway_and_comes_back_by_itself(start, plone):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    bridge = start(f"http://127.0.0.1:{port}/Plone")
    assert is_problem(bridge.get("/plone/x"), 502) == "Plone cannot be reached: connection refused."
    again = type(plone)().start(port)
    assert bridge.get("/plone/x").status == 200
    again.stop()


def test_a_plone_that_accepts_nothing_is_a_timeout(start):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        bridge = start(f"http://127.0.0.1:{port}/Plone", EDUHUB_PLONE_CONNECT_SECONDS="0.3")
        assert "no connection in time" in is_problem(bridge.get("/plone/x"), 504)
        for each in waiting:
            each.close()
