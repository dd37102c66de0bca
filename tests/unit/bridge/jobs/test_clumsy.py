"""Clients that send rubbish, change their mind, take nothing or vanish cost nobody else anything."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.unit.bridge.helpers import until
from tests.unit.bridge.jobs.conftest import create, ndjson, results, titles
from tests.unit.bridge.process import read_answer
from tests.unit.bridge.restapi import token

pytestmark = pytest.mark.slow

RUBBISH = {
    "no UTF-8": b'{"op": "delete", "path": "/\xff\xfe"}', "half a character": b'{"op": "delete", "path": "/\\ud800"}',
    "a null": b"\x00", "a byte order mark": b'\xef\xbb\xbf{"op": "delete", "path": "/a"}', "a list": b"[]",
    "half of it": b'{"op": "delete", "pa', "two of it": b"{}{}", "very deep": b"[" * 100_000, "UTF-16": b"{\x00}\x00",
    "a long one": b'{"op": "change", "path": "/a", "item": {"x": "' + b"x" * 3_000_000, "a number": b"9" * 5000,
    "deeper than can be written": b'{"op": "change", "path": "/a", "item": {"x": %s}}' % (b"[" * 300 + b"]" * 300),
}  # fmt: skip


def newest(bridge):
    """Return the job that was begun last."""
    return next(iter(bridge.api("GET", "/jobs").json()["items"]), {"state": None, "total": None})


def test_lines_of_rubbish_are_named_and_cost_no_other_line(bridge, cms):
    body = b"\r\n\n".join([ndjson([create("first")]), *RUBBISH.values(), ndjson([create("last")])])
    *lines, last = results(bridge.api("POST", "/bulk", "Content-Type: application/x-ndjson", body=body))
    assert [line["seq"] for line in lines] == list(range(len(RUBBISH) + 2))
    wrong = [(line["status"], bool(line["errors"][0]["what"]), line.get("op")) for line in lines[1:-1]]
    assert wrong == [(422, True, None)] * len(RUBBISH)
    assert (last["failed"], titles(cms)) == (len(RUBBISH), ["first", "last"])


def test_a_line_longer_than_any_is_refused_before_anything_is_done(bridge, cms):
    before, body = newest(bridge), ndjson([create("first")]) + b"x" * (4 * 1024 * 1024 + 1)
    answer = bridge.api("POST", "/bulk", "Content-Type: application/x-ndjson", body=body)
    assert (answer.status, answer.json()["detail"]) == (413, "A line is longer than 4194304 bytes.")
    assert (cms.writes, newest(bridge)) == ([], before)


def test_a_key_that_was_given_with_something_else_is_refused_and_what_was_done_stays(bridge, cms):
    key = 'Idempotency-Key: "clumsy"'
    assert bridge.bulk([create("a")], key).status == 200
    for body, query in (([create("b")], ""), ([create("a"), create("a")], ""), ([create("a")], "?dry_run=true")):
        answer = bridge.bulk(body, key, query=query)
        assert (answer.status, answer.field("content-type")) == (422, ["application/problem+json"])
    assert bridge.api("POST", "/exports", key, body=b"{}").status == 422
    assert titles(cms) == ["a"]


def test_who_takes_nothing_holds_up_nobody_and_finds_everything_later(bridge, cms):
    missing = [{"op": "delete", "path": f"/courses/{'x' * 200}{number}"} for number in range(2000)]
    body = ndjson(missing)
    with bridge.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = [
            "POST /api/v1/bulk HTTP/1.1", "Host: bridge.test", f"Authorization: {token('admin')}", "Connection: close",
            "Content-Type: application/x-ndjson", f"Content-Length: {len(body)}", "", "",
        ]  # fmt: skip
        connection.sendall("\r\n".join(head).encode() + body)
        until(lambda: (newest(bridge)["total"], newest(bridge)["state"]) == (2000, "done"), 600)
        job = newest(bridge)
        assert bridge.bulk([create("another")], as_user="editor").status == 200
        *lines, last = results(read_answer(connection))
    assert [line["seq"] for line in lines] == list(range(2000))
    assert (last["job"], last["failed"], titles(cms)) == (job["job"], 2000, ["another"])


def test_a_job_that_is_cancelled_while_it_is_sent_does_nothing(bridge, cms):
    body = ndjson([create(str(number)) for number in range(1000)])
    with bridge.connect() as connection:
        head = [
            "POST /api/v1/bulk HTTP/1.1", "Host: bridge.test", f"Authorization: {token('admin')}", "Connection: close",
            "Content-Type: application/x-ndjson", f"Content-Length: {len(body)}", "", "",
        ]  # fmt: skip
        connection.sendall("\r\n".join(head).encode() + body[:-10])
        until(lambda: newest(bridge)["state"] == "receiving")
        assert bridge.api("DELETE", f"/jobs/{newest(bridge)['job']}").json()["state"] == "cancelled"
        connection.sendall(body[-10:])
        answer = read_answer(connection)
    assert (answer.status, json.loads(answer.body)["detail"]) == (
        409, "The job was cancelled before all of it was here.",
    )  # fmt: skip
    time.sleep(0.2)
    assert cms.writes == []
