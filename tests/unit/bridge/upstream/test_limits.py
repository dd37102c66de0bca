"""Plone is given what it can do at a time, the others wait or are told to come again; a dead Plone is left alone."""

from __future__ import annotations

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.bridge.fake_plone import BLOCK, Plone
from tests.unit.bridge.helpers import USER, all_at_once, is_problem, metric, send, until
from tests.unit.bridge.process import read_answer
from tests.unit.bridge.restapi import basic

pytestmark = pytest.mark.slow

LONG = 100_000  # longer than what the bridge collects before it asks


@pytest.mark.parametrize(
    ("method", "target", "most"),
    [
        ("GET", "work", 4), ("HEAD", "work", 4), ("POST", "@querystring-search", 4),
        ("POST", "work", 1), ("PATCH", "work", 1), ("DELETE", "work", 1), ("POST", "@login", 2),
    ],
)  # fmt: skip
def test_plone_gets_four_reads_or_one_write_at_a_time_and_everybody_an_answer(bridge, plone, method, target, most):
    plone.slow = 0.02 if most == 1 else 0.25  # long enough for reads to meet on a busy machine
    answers = all_at_once(bridge, 16, method, f"/plone/{target}", USER)
    plone.slow = 0.0
    assert {answer.status for answer in answers} == {200}
    assert (len(plone.seen), plone.most[method]) == (16, most)


def test_reads_and_writes_do_not_wait_for_each_other(bridge, plone):
    writing = send(bridge, "/plone/wait", method="POST")
    until(lambda: plone.seen)
    assert bridge.get("/plone/x", USER).body == b"hello"
    plone.release.set()
    assert read_answer(writing).body == b"late"


@pytest.mark.parametrize(
    ("target", "fields"),
    [("/plone/@login", []), ("/plone/login", ["Content-Type: application/x-www-form-urlencoded"])],
)
def test_a_login_waits_for_no_write(bridge, plone, target, fields):
    writing = send(bridge, "/plone/wait", USER, method="POST")
    until(lambda: plone.seen)
    assert bridge.get(target, *fields, method="POST").body == b"hello"
    plone.release.set()
    assert read_answer(writing).body == b"late"


def test_a_full_queue_is_503_with_a_time_to_come_again(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", EDUHUB_PLONE_QUEUE="1", EDUHUB_PLONE_READ_WAIT_SECONDS="7")
    first = send(bridge, "/plone/wait", USER)
    until(lambda: plone.seen)
    second = send(bridge, "/plone/wait?2", USER)
    until(lambda: metric(bridge, "eduhub_bridge_plone_queue", lane="reads") == 1)
    refused = bridge.get("/plone/x", USER)
    assert "Too many requests wait for Plone" in is_problem(refused, 503)
    assert refused.field("retry-after") == ["7"]
    assert bridge.get("/plone/x", USER, method="POST").status == 200  # the other lane is free
    plone.release.set()
    assert [read_answer(each).body for each in (first, second)] == [b"late"] * 2
    assert metric(bridge, "eduhub_bridge_plone_errors_total", kind="queue_full") == 1
    assert metric(bridge, "eduhub_bridge_plone_wait_seconds_count", lane="reads") == 1


@pytest.mark.parametrize(("method", "setting"), [("GET", "READ"), ("POST", "WRITE")])
def test_who_waits_past_the_deadline_gets_503_and_plone_never_hears_of_it(start, plone, method, setting):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", **{f"EDUHUB_PLONE_{setting}_WAIT_SECONDS": "0.2"})
    first = send(bridge, "/plone/wait", USER, method=method)
    until(lambda: plone.seen)
    late = bridge.get("/plone/x", USER, method=method)
    assert (is_problem(late, 503), late.field("retry-after")) == (
        "Plone was too busy to begin with this within 0.2 s.", ["1"],
    )  # fmt: skip
    plone.release.set()
    assert read_answer(first).body == b"late"
    assert len(plone.seen) == 1


def test_a_client_that_leaves_the_queue_costs_plone_nothing(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1")
    first = send(bridge, "/plone/wait", USER)
    until(lambda: plone.seen)
    send(bridge, "/plone/left", USER).close()
    until(lambda: metric(bridge, "eduhub_bridge_plone_wait_seconds_count", lane="reads") == 1)
    plone.release.set()
    read_answer(first)
    assert bridge.get("/plone/x", USER).status == 200
    assert not [seen for seen in plone.seen if seen.target.endswith("left")]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_leaves_while_plone_works_frees_no_place_before_plone_is_done(start, plone, method):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1")
    left = send(bridge, "/plone/wait", USER, method=method)
    until(lambda: plone.seen)
    left.close()
    time.sleep(0.4)  # longer than the bridge takes to notice
    next_one = send(bridge, "/plone/x", USER, method=method)
    time.sleep(0.1)
    assert len(plone.seen) == 1
    plone.release.set()
    assert read_answer(next_one).body == b"hello"
    assert plone.most[method] == 1


def test_slow_readers_of_long_answers_hold_no_place(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", EDUHUB_PLONE_CONNECTIONS="4")
    slow = [send(bridge, "/plone/endless", USER) for _ in range(2)]
    until(lambda: metric(bridge, "eduhub_bridge_plone_in_flight", lane="transfers") == 2)
    assert bridge.get("/plone/x", USER).status == 200
    third = bridge.get("/plone/endless", USER)
    assert "2 long answers are on their way already" in is_problem(third, 503)
    assert third.field("retry-after")
    assert bridge.get("/plone/x", USER).status == 200
    written = send(bridge, "/plone/endless", USER, method="POST")  # it is done: its answer is not withheld
    assert written.recv(12) == b"HTTP/1.1 200"
    for each in (*slow, written):
        each.close()
    until(lambda: metric(bridge, "eduhub_bridge_plone_in_flight", lane="transfers") == 0)
    assert bridge.get("/plone/x", USER).status == 200


def test_a_slow_reader_of_a_short_answer_holds_no_place(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_READS="1")
    slow = [send(bridge, "/plone/block", USER) for _ in range(3)]  # 64 KiB each, nobody reads them
    until(lambda: len(plone.seen) == 3)
    assert bridge.get("/plone/x", USER).status == 200
    assert [read_answer(each).body for each in slow] == [BLOCK] * 3


@pytest.mark.parametrize("framing", [f"Content-Length: {LONG}", "Transfer-Encoding: chunked"])
def test_a_slow_upload_holds_up_no_other_write_and_begins_with_its_last_byte(start, plone, framing):
    bridge = start(plone.url)
    body = BLOCK[: LONG // 2 + 1]
    first, second = body[: LONG // 2], body[: LONG - LONG // 2]
    if "chunked" in framing:
        first, second = (b"%x\r\n%s\r\n" % (len(part), part) for part in (first, second))
        second += b"0\r\n\r\n"
    upload = send(bridge, "/plone/digest", framing, method="PATCH", body=first)
    until(lambda: metric(bridge, "eduhub_bridge_plone_in_flight", lane="transfers") == 1)
    assert bridge.get("/plone/x", method="POST").status == 200
    other = send(bridge, "/plone/wait", method="POST")
    until(lambda: len(plone.seen) == 3)
    upload.sendall(second)
    time.sleep(0.2)
    assert plone.inside["PATCH"] == 0  # its end waits for the other write's
    plone.release.set()
    assert (read_answer(other).body, read_answer(upload).status) == (b"late", 201)
    assert metric(bridge, "eduhub_bridge_plone_in_flight", lane="writes") == 0
    assert metric(bridge, "eduhub_bridge_plone_in_flight", lane="transfers") == 0


def test_an_upload_that_finds_no_place_is_refused_and_never_carried_out(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_WRITE_WAIT_SECONDS="0.2")
    other = send(bridge, "/plone/wait", method="POST")
    until(lambda: plone.seen)
    refused = bridge.get("/plone/digest", f"Content-Length: {LONG}", method="PUT", body=b"x" * LONG)
    assert "too busy to begin" in is_problem(refused, 503)
    plone.release.set()
    assert read_answer(other).body == b"late"
    assert plone.most.get("PUT") is None  # its body never ended
    assert metric(bridge, "eduhub_bridge_plone_in_flight", lane="transfers") == 0
    assert metric(bridge, "eduhub_bridge_plone_breaker", state="closed") == 1  # and that was not Plone's fault


def test_a_plone_that_is_gone_is_left_alone_and_found_again_when_it_is_back(start):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    bridge = start(f"http://127.0.0.1:{port}/Plone", EDUHUB_PLONE_PAUSE_SECONDS="5")
    statuses = [bridge.get("/plone/x", USER).status for _ in range(4)]
    assert statuses == [502, 502, 503, 503]  # three attempts, two, and then none
    refused = bridge.get("/plone/x", USER, method="POST")
    assert is_problem(refused, 503) == (
        "The bridge gives Plone a rest: Plone cannot be reached: connection refused."
    )
    assert 1 <= int(refused.field("retry-after")[0]) <= 5
    assert metric(bridge, "eduhub_bridge_plone_breaker", state="open") == 1
    again = Plone().start(port)
    until(lambda: bridge.get("/plone/x", USER).status == 200)
    assert metric(bridge, "eduhub_bridge_plone_breaker", state="closed") == 1
    again.stop()
    said = [line["event"] for line in bridge.lines() if line["event"] in ("plone_left_alone", "plone_is_back")]
    assert said == ["plone_left_alone", "plone_is_back"]  # a line each, however long it took


def test_answers_that_say_out_of_order_count_and_errors_of_a_page_do_not(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_FAILURES="3")
    assert [bridge.get("/plone/broken", USER).status for _ in range(5)] == [500] * 5
    assert [bridge.get("/plone/key-error", USER).body for _ in range(5)] == [b"KeyError"] * 5
    answers = [bridge.get("/plone/unavailable", USER) for _ in range(4)]
    assert [(answer.status, answer.body == b"busy") for answer in answers] == [(503, True)] * 3 + [(503, False)]


def test_writes_that_are_turned_away_do_not_mean_that_plone_is_out_of_order(start, plone):
    bridge = start(plone.url, EDUHUB_PLONE_FAILURES="3")
    answers = [bridge.get("/plone/closed", USER, method="POST") for _ in range(5)]
    assert [(answer.status, answer.body, answer.field("retry-after")) for answer in answers] == [
        (503, b"closed", ["60"])
    ] * 5
    assert bridge.get("/plone/x", USER).status == 200


def test_reads_with_the_token_of_an_editor_are_turned_away_and_never_sent_twice(start, plone):
    bridge, token = start(plone.url, EDUHUB_PLONE_FAILURES="3"), "X-CSRF-TOKEN: 1234"
    assert [bridge.get("/plone/closed", USER, token).status for _ in range(5)] == [503] * 5
    assert bridge.get("/plone/x", USER).status == 200
    before = len(plone.seen)
    bridge.get("/plone/stale", USER, token)
    assert len(plone.seen) == before + 1


def test_a_plone_that_hangs_is_noticed_by_those_who_wait(start, plone):
    limits = {"EDUHUB_PLONE_READ_WAIT_SECONDS": "0.3", "EDUHUB_PLONE_PAUSE_SECONDS": "60"}
    bridge = start(plone.url, EDUHUB_PLONE_READS="2", **limits)
    stuck = [send(bridge, f"/plone/wait?{number}", USER) for number in range(2)]
    until(lambda: len(plone.seen) == 2)
    assert bridge.get("/plone/x", USER).status == 503
    # Not another wait, after which it would say that Plone was too busy.
    assert "has answered nothing for" in is_problem(bridge.get("/plone/x", USER), 503)
    plone.release.set()
    assert [read_answer(each).body for each in stuck] == [b"late"] * 2
    assert bridge.get("/plone/x", USER).status == 200  # an answer to an old question is one


@pytest.mark.parametrize("path", ["/plone/x", "/api/v1/content?path=/x", "/api/v1/jobs", "/api/v1/events"])
def test_whoever_is_turned_away_is_told_when_to_come_again(start, path):
    bridge = start("http://127.0.0.1:1/Plone", EDUHUB_PLONE_FAILURES="1", EDUHUB_PLONE_PAUSE_SECONDS="60")
    is_problem(bridge.get("/plone/x", USER), 502)
    answer = bridge.get(path, f"Authorization: {basic('ada')}")
    assert "gives Plone a rest" in is_problem(answer, 503)
    assert int(answer.field("retry-after")[0]) >= 1


@pytest.mark.parametrize("what", ["head", "body"])
def test_an_answer_that_drips_in_keeps_no_place_for_ever(start, plone, what):
    times = {"EDUHUB_PLONE_SECONDS": "0.3", "EDUHUB_PLONE_CONNECT_SECONDS": "0.3"}
    bridge = start(plone.url, EDUHUB_PLONE_READS="1", EDUHUB_PLONE_READ_WAIT_SECONDS="30", **times)
    dripping = send(bridge, f"/plone/drip-{what}", USER)
    until(lambda: plone.seen)
    assert bridge.get("/plone/x", USER).body == b"hello"
    if what == "head":
        assert is_problem(read_answer(dripping), 504) == "Plone did not answer within 0.3 s."
    dripping.close()


@pytest.mark.parametrize(("method", "body"), [("GET", b"abc"), ("POST", b"abc"), ("PUT", b"x" * LONG)])
def test_a_plone_that_is_away_for_a_moment_is_asked_again(start, method, body):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    bridge = start(f"http://127.0.0.1:{port}/Plone", EDUHUB_PLONE_FAILURES="1000")
    asking = send(bridge, "/plone/digest", f"Content-Length: {len(body)}", USER, method=method, body=body)
    time.sleep(0.05)
    again = Plone().start(port)
    assert read_answer(asking).status == 201
    assert [(seen.method, seen.body) for seen in again.seen] == [(method, body)]
    again.stop()


def test_retries_have_a_budget(start):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    bridge = start(f"http://127.0.0.1:{port}/Plone", EDUHUB_PLONE_FAILURES="1000")
    with ThreadPoolExecutor(20) as clients:
        assert {answer.status for answer in clients.map(lambda _: bridge.get("/plone/x", USER), range(20))} == {502}
    retries = metric(bridge, "eduhub_bridge_plone_retries_total")
    assert 8 <= retries <= 12  # ten to begin with, a tenth for each request; without a budget 40
    assert not re.search("traceback", bridge.log.read_text())
