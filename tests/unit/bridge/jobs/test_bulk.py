"""A bulk request carries out many operations, says what came of each, and writes nothing twice."""

from __future__ import annotations

import json
import time

import pytest

from tests.unit.bridge.jobs.conftest import create, ndjson, results, titles
from tests.unit.bridge.restapi import token

pytestmark = pytest.mark.slow

FOLDER = {"op": "create", "path": "/", "item": {"@type": "Folder", "title": "New", "id": "new"}}


def test_each_kind_of_operation_does_what_it_says(bridge, cms):
    answer = bridge.bulk(
        [
            FOLDER,
            create("Algebra", "/new", item={"@type": "Document", "title": "Algebra", "id": "algebra"}),
            {"op": "change", "path": "/new/algebra", "item": {"title": "Algebra I"}},
            {"op": "move", "path": "/new/algebra", "to": "/courses"},
            {"op": "publish", "path": "/courses/algebra"},
            {"op": "delete", "path": "/new"},
        ]
    )
    *lines, last = results(answer)
    assert [(line["seq"], line["status"], line["path"]) for line in lines] == [
        (0, 201, "/new"), (1, 201, "/new/algebra"), (2, 204, "/new/algebra"), (3, 200, "/courses/algebra"),
        (4, 200, "/courses/algebra"), (5, 204, "/new"),
    ]  # fmt: skip
    assert (last["state"], last["done"], last["failed"]) == ("done", 6, 0)
    assert lines[1]["@id"] == "http://bridge.test/plone/new/algebra"
    assert (cms.items["/courses/algebra"].fields["title"], cms.items["/courses/algebra"].state) == (
        "Algebra I",
        "published",
    )
    assert "/new" not in cms.items


def test_a_failed_operation_does_not_stop_the_rest_unless_asked(bridge, cms):
    operations = [create("a"), {"op": "delete", "path": "/nowhere"}, {"op": "eat"}, create("b")]
    *lines, last = results(bridge.bulk(operations))
    assert [line["ok"] for line in lines] == [True, False, False, True]
    assert (lines[1]["status"], lines[1]["plone"]) == (404, {"type": "NotFound", "message": "no"})
    assert (lines[2]["status"], "expected tags" in lines[2]["errors"][0]["what"]) == (422, True)
    assert (last["state"], last["failed"]) == ("done", 2)
    *lines, last = results(bridge.bulk(operations, query="?stop_on_error=true"))
    assert [line["ok"] for line in lines] == [True, False]
    assert (last["state"], last["done"], last["why"]) == ("failed", 2, "Stopped at the first failure, operation 1.")
    assert titles(cms) == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        ({"op": "delete", "path": "/a/../b"}, "holds '..'"),
        ({"op": "delete", "path": "/a/@@x"}, "view or service"),
        ({"op": "delete", "path": "/a/VirtualHostRoot/b"}, "virtual hosting"),
        ({"op": "delete", "path": "/"}, "no item of this kind"),
        ({"op": "delete", "path": "a"}, "begin with '/'"),
        ({"op": "delete", "path": "/a?b"}, "no name of an item"),
        ({"op": "delete", "path": "/a", "force": True}, "not permitted"),
        ({"op": "create", "path": "/", "item": {"title": "x"}}, "@type"),
        ({"op": "create", "path": "/", "item": {"@type": "Document", "id": "../x"}}, "'id' is letters"),
        ({"op": "change", "path": "/courses", "item": {"id": "x"}}, "'id' cannot be changed"),
        ({"op": "change", "path": "/courses", "item": {}}, "nothing to change"),
        ({"op": "publish", "path": "/courses", "transition": "a/b"}, "pattern"),
        ({"op": "delete", "path": "/a", "key": "a\0b"}, "pattern"),
    ],
)
def test_an_operation_that_is_none_reaches_nobody(bridge, cms, operation, word):
    line, _ = results(bridge.bulk([operation]))
    assert (line["status"], word in line["errors"][0]["what"]) == (422, True)
    assert cms.writes == []


def test_a_dry_run_says_what_would_come_and_writes_nothing(bridge, cms):
    cms.put("/courses/a", id="a")
    operations = [
        FOLDER, create("x", "/new"), create("x", "/nowhere"), create("y", item={"@type": "Spoon", "title": "y"}),
        create("z", item={"@type": "Document", "id": "a"}), {"op": "publish", "path": "/courses/a"},
        {"op": "publish", "path": "/courses/a", "transition": "reject"}, {"op": "delete", "path": "/courses/b"},
        {"op": "move", "path": "/courses/a", "to": "/new"},
    ]  # fmt: skip
    *lines, last = results(bridge.bulk(operations, query="?dry_run=true"))
    assert [line["status"] for line in lines] == [200, 200, 404, 403, 409, 200, 400, 404, 200]
    assert (lines[0]["would"], last["options"]["dry_run"], cms.writes) == ("create", True, [])


def test_the_same_request_again_gets_the_same_answer_and_writes_nothing(bridge, cms):
    operations, key = [create(f"t{number}") for number in range(20)], 'Idempotency-Key: "import-1"'
    first, again = bridge.bulk(operations, key), bridge.bulk(operations, key)
    assert first.body == again.body
    assert len(cms.writes) == 20
    assert bridge.bulk(operations[1:], key).status == 422
    assert bridge.bulk(operations, key, query="?dry_run=true").status == 422
    assert bridge.bulk(operations, key, as_user="editor").status == 200  # another user's key is another key
    assert len(cms.writes) == 40


def test_an_operation_with_a_key_is_written_once_in_whatever_request_it_comes(bridge, cms):
    first = results(bridge.bulk([create("a", key="k1"), {"op": "delete", "path": "/nowhere", "key": "k2"}]))
    cms.put("/nowhere")
    operations = [create("b", key="k3"), create("a", key="k1"), {"op": "delete", "path": "/nowhere", "key": "k2"}]
    again = results(bridge.bulk([*operations, create("c", key="k1")]))
    assert (again[1]["path"], again[1]["replayed"]) == (first[0]["path"], True)
    assert (first[1]["status"], again[2]["status"]) == (404, 204)  # what failed is tried again
    assert (again[3]["status"], "another operation" in again[3]["detail"]) == (422, True)
    assert titles(cms) == ["a", "b"]


@pytest.mark.parametrize("fault", ["500 after", "drop after", "500 before", "drop before"])
@pytest.mark.parametrize("keyed", [True, False])
def test_what_plone_leaves_open_is_looked_up_and_written_once(bridge, cms, fault, keyed):
    cms.put("/courses/old", title="Old", id="old")
    for number, (operation, method) in enumerate([
        (create("new"), "POST"),
        (create("given", item={"@type": "Document", "title": "given", "id": "given"}), "POST"),
        ({"op": "change", "path": "/courses/old", "item": {"title": "Newer"}}, "PATCH"),
        ({"op": "publish", "path": "/courses/old"}, "POST"),
        ({"op": "move", "path": "/courses/old", "to": "/"}, "POST"),
        ({"op": "delete", "path": "/old"}, "DELETE"),
    ]):  # fmt: skip
        cms.fault(method, fault)
        key = {"key": f"{fault} {number}"} if keyed else {}
        line, _ = results(bridge.bulk([{**operation, **key}]))
        assert line["ok"], line
        assert bool(line.get("found")) == fault.endswith("after")
    assert [kind for kind, _ in cms.writes] == ["create", "create", "change", "publish", "move", "delete"]


def test_what_is_turned_away_waits_until_plone_takes_writes(bridge, cms):
    for _ in range(6):  # more often than what fails is tried
        cms.fault("POST", "turned away")
    line, _ = results(bridge.bulk([create("a")]))
    assert (line["status"], "uncertain" in line, len(cms.writes)) == (201, False, 1)


def test_what_fails_every_time_says_whether_it_may_have_been_written(bridge, cms):
    for _ in range(5):
        cms.fault("POST", "500 before")
    line, last = results(bridge.bulk([create("a", key="uncertain")]))
    assert (line["status"], line["uncertain"], last["failed"]) == (500, True, 1)
    assert "secret line" not in json.dumps(line)
    line, _ = results(bridge.bulk([create("a", key="uncertain")]))
    assert (line["status"], len(cms.writes)) == (201, 1)


def test_an_item_of_somebody_else_is_not_taken_for_ours(bridge, cms):
    cms.put("/courses/a", title="mine")
    line, _ = results(bridge.bulk([create("x", item={"@type": "Document", "title": "mine", "id": "a"}, key="theirs")]))
    assert (line["status"], line["detail"], cms.writes) == (409, "There is an item /courses/a already.", [])


def test_a_cut_connection_pauses_the_request_and_the_same_request_goes_on(bridge, cms):
    operations, key = [create(f"t{number}") for number in range(40)], 'Idempotency-Key: "cut"'
    cms.delay = 0.02
    body = ndjson(operations)
    with bridge.connect() as connection:
        head = [
            "POST /api/v1/bulk HTTP/1.1", "Host: bridge.test", f"Authorization: {token('admin')}", key,
            "Content-Type: application/x-ndjson", f"Content-Length: {len(body)}", "", "",
        ]  # fmt: skip
        connection.sendall("\r\n".join(head).encode() + body)
        while b'"seq":5,' not in connection.recv(65536):
            pass
    time.sleep(0.3)
    written = len(cms.writes)
    assert 5 < written < 35
    time.sleep(0.2)
    assert len(cms.writes) == written  # nobody is there, so nothing goes on
    *lines, last = results(bridge.bulk(operations, key))
    assert [line["seq"] for line in lines] == list(range(40))
    assert (last["state"], titles(cms)) == ("done", [f"t{number}" for number in range(40)])


def test_a_body_that_was_cut_does_nothing(bridge, cms):
    body = ndjson([create("a"), create("b")])
    with bridge.connect() as connection:
        head = [
            "POST /api/v1/bulk HTTP/1.1", "Host: bridge.test", f"Authorization: {token('admin')}",
            'Idempotency-Key: "half"', "Content-Type: application/x-ndjson", f"Content-Length: {len(body)}", "", "",
        ]  # fmt: skip
        connection.sendall("\r\n".join(head).encode() + body[:-20])
        time.sleep(0.2)
        assert bridge.bulk([create("a"), create("b")], 'Idempotency-Key: "half"').status == 409
    time.sleep(0.2)
    assert cms.writes == []
    assert bridge.bulk([create("a"), create("b")], 'Idempotency-Key: "half"').status == 200


@pytest.mark.parametrize(
    ("fields", "user", "status"),
    [
        (["Content-Type: application/json"], "admin", 415),
        (["Content-Type: application/x-ndjson"], "", 401),
        (["Content-Type: application/x-ndjson"], "Bearer rubbish", 401),
        (["Content-Type: application/x-ndjson"], "Basic YWRtaW46d3Jvbmc=", 401),
        (["Content-Type: application/x-ndjson", 'Idempotency-Key: "a", "b"'], "admin", 400),
        (["Content-Type: application/x-ndjson", f'Idempotency-Key: "{"x" * 300}"'], "admin", 400),
    ],
)
def test_a_request_that_cannot_be_taken_is_a_problem(bridge, cms, fields, user, status):
    answer = bridge.api("POST", "/bulk", *fields, body=ndjson([create("a")]), as_user=user)
    assert (answer.status, answer.field("content-type")) == (status, ["application/problem+json"])
    assert cms.writes == []


def test_limits_are_problems_too(slots, cms):
    bridge = slots(EDUHUB_BULK_MB="1")
    assert bridge.bulk([]).status == 422
    kind = ["Content-Type: application/x-ndjson"]
    assert bridge.api("POST", "/bulk", *kind, "Content-Length: 2000000").status == 413
    assert bridge.bulk([create("a")], query="?concurrency=9").status == 422
    block = b"%x\r\n%s\r\n" % (1 << 16, b"x" * (1 << 16))
    kind += ["Transfer-Encoding: chunked", f"Authorization: {token('admin')}"]
    chunked = bridge.get("/api/v1/bulk", *kind, method="POST", body=block * 17 + b"0\r\n\r\n")
    assert (chunked.status, cms.writes) == (413, [])
    assert bridge.api("GET", "/jobs").json() == {"items": []}


def test_independent_operations_may_be_looked_up_side_by_side(bridge, cms):
    operations = [create(f"t{number}") for number in range(30)]
    *lines, _ = results(bridge.bulk(operations, query="?concurrency=4"))
    assert sorted(line["seq"] for line in lines) == list(range(30))
    assert len(cms.writes) == 30
