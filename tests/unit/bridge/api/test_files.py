"""Files: streamed both ways, their ranges and names kept, refused before they are sent."""

from __future__ import annotations

import time
from base64 import b64decode

import pytest

from tests.unit.bridge.api.restapi import BASE, ITEM, ask, problem, target
from tests.unit.bridge.fake_plone import BLOCK
from tests.unit.bridge.process import read_answer

TUS = {"POST": "@tus-upload", "PUT": "@tus-replace"}
UPLOADS = "201 Created", b"", f"Location: {BASE}/a/@tus-upload/0123abc"


def takes(plone, method="POST", end=f"Location: {BASE}/a/t%C3%BCr"):
    plone.tell("POST", f"a/{TUS[method]}", *UPLOADS)
    plone.tell("HEAD", "a/@tus-upload/0123abc", "200 OK", b"", "Upload-Offset: 0")
    plone.tell("PATCH", "a/@tus-upload/0123abc", "204 No Content", b"", *([end] if end else []))
    plone.tell("GET", "a/t%C3%BCr", "200 OK", {**ITEM, "file": {}})


def metadata(seen):
    pairs = (each.split(" ") for each in seen.field("upload-metadata")[0].split(","))
    return {name: b64decode(value).decode() for name, value in pairs}


def test_a_download_is_plones(bridge, plone):
    plone.tell("GET", "a/@@download", "200 OK", BLOCK * 20, "Content-Type: image/png", "Accept-Ranges: bytes",
               "Content-Disposition: attachment; filename*=UTF-8''a.png", "Set-Cookie: x=y")  # fmt: skip
    answer = ask(bridge, "GET", "/files?path=/a")
    assert (answer.status, answer.body == BLOCK * 20, answer.complete) == (200, True, True)
    fields = [field for field in answer.fields if field[0] != "date"]
    assert sorted(fields) == [
        ("accept-ranges", "bytes"), ("cache-control", "private, no-cache"), ("connection", "close"),
        ("content-disposition", "attachment; filename*=UTF-8''a.png"), ("content-length", str(20 * len(BLOCK))),
        ("content-type", "image/png"), ("vary", "authorization, accept-language"),
        ("x-content-type-options", "nosniff"),
    ]  # fmt: skip


def test_a_range_of_a_field_comes_back_as_a_part(bridge, plone):
    plone.tell("GET", "a/@@download/file", "206 Partial Content", b"bc", "Content-Range: bytes 1-2/9")
    answer = ask(bridge, "GET", "/files?path=/a&field=file", None, "Range: bytes=1-2")
    assert (answer.status, answer.body, answer.field("content-range")) == (206, b"bc", ["bytes 1-2/9"])
    assert plone.seen[0].field("range") == ["bytes=1-2"]


def test_what_makes_a_part_conditional_goes_along_with_it(bridge, plone):
    """Without `If-Range` the end of a new file would be glued to the beginning of the old one."""
    plone.tell("GET", "a/@@download", "200 OK", b"NEWNEWNE", 'ETag: "new"')
    answer = ask(bridge, "GET", "/files?path=/a", None, "Range: bytes=4-", 'If-Range: "old"')
    assert (answer.status, answer.body) == (200, b"NEWNEWNE")
    assert (plone.seen[0].field("range"), plone.seen[0].field("if-range")) == (["bytes=4-"], ['"old"'])


CONDITIONS = {
    "If-None-Match": '"new"', "If-Modified-Since": "Mon, 30 Nov 2026 12:00:00 GMT", "If-Match": '"new"',
    "If-Unmodified-Since": "Mon, 30 Nov 2026 12:00:00 GMT",
}  # fmt: skip


NAMES = {"control": (b"a\x0bb", b"a b"), "UTF-8": ("€".encode(), "€".encode()), "Latin-1": (b"\xe9", b"\xe9")}


@pytest.mark.parametrize("address", ["/api/v1/files?path=/a", "/plone/a/@@download"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_header_may_hold_cuts_no_answer(bridge, plone, address, name):
    """Old add-ons copy the name of a file into the header as it is."""
    given, expected = NAMES[name]
    plone.tell("GET", "a/@@download", "200 OK", b"hi", f"Content-Disposition: x={given.decode('latin-1')}")
    answer = bridge.get(address)
    assert (answer.status, answer.body) == (200, b"hi")
    assert [value.encode("latin-1") for value in answer.field("content-disposition")] == [b"x=" + expected]


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_of_a_download_reaches_plone(bridge, plone, name):
    plone.tell("GET", "a/@@download", "200 OK", b"NEW", 'ETag: "new"')
    assert ask(bridge, "GET", "/files?path=/a", None, f"{name}: {CONDITIONS[name]}").status == 200
    assert plone.seen[0].field(name.lower()) == [CONDITIONS[name]]


def test_a_file_that_the_caller_has_is_not_sent_again(bridge, plone):
    plone.tell("GET", "unchanged/@@download", "304 Not Modified", b"", 'ETag: "7"')
    answer = ask(bridge, "GET", "/files?path=/unchanged", None, 'If-None-Match: "7"')
    assert (answer.status, answer.body, answer.complete, answer.field("etag")) == (304, b"", True, ['"7"'])
    assert (answer.field("content-length"), answer.field("vary")) == ([], ["authorization, accept-language"])


@pytest.mark.parametrize("status", ["206 Partial Content", "412 Precondition Failed"])
def test_a_file_that_has_changed_is_not_given_where_the_old_one_is_wanted(bridge, plone, status):
    """Plone itself knows no `If-Match`; what stands before it may."""
    plone.tell("GET", "a/@@download", status, b"EWNE", 'ETag: "new"', "Content-Range: bytes 4-7/8")
    problem(ask(bridge, "GET", "/files?path=/a", None, "Range: bytes=4-", 'If-Match: "old"'), 412)


def test_a_file_is_not_replaced_where_its_item_has_changed(bridge, plone):
    plone.tell("GET", "a", "200 OK", ITEM)
    path = "/files?path=/a&filename=a"
    problem(ask(bridge, "PUT", path, b"new", "Content-Type: image/png", 'If-Match: "old"'), 412)
    assert [seen.method for seen in plone.seen] == ["GET"]


@pytest.mark.parametrize("kind", ["TypeError", "AttributeError"])
def test_an_item_without_a_file_has_none_though_plone_fails_over_it(bridge, plone, kind):
    plone.tell("GET", "a/@@download", "500 Boom", {"type": kind, "message": ""})
    assert problem(ask(bridge, "GET", "/files?path=/a"), 404)["plone"]["type"] == kind


def test_a_head_of_a_file_is_no_download(bridge, plone):
    with bridge.connect() as connection:
        connection.sendall(b"HEAD /api/v1/files?path=/endless HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
        answer = read_answer(connection, "HEAD")
    assert (answer.status, answer.body, answer.field("content-length")) == (200, b"", [str(1024 * len(BLOCK))])
    assert eventually(lambda: plone.seen[0].lost)


def test_a_client_that_leaves_while_uploading_leaves_no_half_file(bridge, plone):
    takes(plone)
    with bridge.connect() as connection:
        head = b"POST /api/v1/files?parent=/a&filename=a HTTP/1.1\r\nHost: bridge.test\r\nContent-Length: 100000"
        connection.sendall(head + b"\r\n\r\nabc")
        assert eventually(lambda: len(plone.seen) == 3)
    time.sleep(0.2)
    assert (plone.seen[-1].method, plone.seen[-1].body) == ("PATCH", b"")  # its head came, its body never ended
    assert "Traceback" not in bridge.log.read_text()


def eventually(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


@pytest.mark.parametrize("path", ["cut", "cut-chunked", "reset", "silent-inside"])
def test_a_download_that_breaks_off_stays_cut(bridge, path):
    answer = ask(bridge, "GET", f"/files?path=/{path}")
    assert (answer.status, answer.body, answer.complete) == (200, b"abc", False)


def test_a_slow_client_slows_plone_down_and_one_that_leaves_frees_it(bridge, plone):
    with bridge.connect() as connection:
        connection.sendall(b"GET /api/v1/files?path=/endless HTTP/1.1\r\nHost: b\r\n\r\n")
        connection.recv(1)
        before = -1
        while before != (before := plone.seen[0].sent):  # until nothing moves any more
            time.sleep(0.2)
        assert 0 < plone.seen[0].sent < 16 * 1024 * 1024
    assert eventually(lambda: plone.seen[0].lost)


def test_an_upload_is_announced_then_checked_then_streamed(bridge, plone):
    takes(plone)
    fields = ("Content-Type: image/png", "Authorization: Bearer a")
    answer = ask(bridge, "POST", "/files?parent=/a&filename=t%C3%BCr.png", BLOCK * 10, *fields)
    assert (answer.status, answer.json()["path"]) == (201, "/courses/tür")
    assert answer.field("location") == ["http://bridge.test/api/v1/content?path=%2Fcourses%2Ft%C3%BCr"]
    post, head, patch, get = plone.seen
    assert [seen.method for seen in plone.seen] == ["POST", "HEAD", "PATCH", "GET"]
    assert metadata(post) == {"filename": "tür.png", "@type": "Image", "content-type": "image/png"}
    assert (post.field("upload-length"), head.body) == ([str(10 * len(BLOCK))], b"")
    assert (patch.body == BLOCK * 10, patch.field("upload-offset")) == (True, ["0"])
    assert patch.field("content-length") == [str(10 * len(BLOCK))]
    assert {seen.field("authorization")[0] for seen in plone.seen} == {"Bearer a"}
    assert target(get) == "/a/t%C3%BCr?include_items=0"


@pytest.mark.parametrize(
    ("query", "fields", "kind"), [("", ("Content-Type: text/plain",), "File"), ("&type=Slides", (), "Slides")]
)
def test_the_type_of_an_upload_is_given_or_file(bridge, plone, query, fields, kind):
    takes(plone)
    assert ask(bridge, "POST", f"/files?parent=/a&filename=a.txt{query}", b"x", *fields).status == 201
    assert metadata(plone.seen[0])["@type"] == kind


def test_who_may_not_upload_learns_it_before_the_file_is_sent(bridge, plone):
    takes(plone)
    plone.tell("HEAD", "a/@tus-upload/0123abc", "401 Unauthorized", b"no words")
    problem(ask(bridge, "POST", "/files?parent=/a&filename=a", b"x" * 100), 401)
    assert [seen.method for seen in plone.seen] == ["POST", "HEAD"]


def test_bytes_of_which_plone_makes_nothing_are_no_success(bridge, plone):
    takes(plone, end=None)
    problem(ask(bridge, "POST", "/files?parent=/a&filename=a", b"x"), 400)


def test_a_file_is_replaced_in_its_field(bridge, plone):
    takes(plone, "PUT")
    answer = ask(bridge, "PUT", "/files?path=/a&filename=a.txt&field=file", b"x", "Content-Type: text/plain")
    assert (answer.status, answer.json()["path"]) == (200, "/courses/tür")
    assert metadata(plone.seen[0]) == {"filename": "a.txt", "fieldname": "file", "content-type": "text/plain"}
    wrong = ask(bridge, "PUT", "/files?path=/a&filename=a.txt&field=nothing", b"x")
    assert "'nothing'" in problem(wrong, 400)["detail"]


@pytest.mark.parametrize(
    ("query", "body", "fields", "status"),
    [
        ("filename=a", b"", ("Content-Length: 0",), 400),
        ("filename=a", b"0\r\n\r\n", ("Transfer-Encoding: chunked",), 411),
        ("filename=a", b"", ("Content-Length: 1073741825",), 413),
        ("filename=a/b", b"x", ("Content-Length: 1",), 400),
        ("filename=..", b"x", ("Content-Length: 1",), 400),
        ("filename=a%0d%0ab", b"x", ("Content-Length: 1",), 400),
        ("filename=", b"x", ("Content-Length: 1",), 422),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_before_plone_hears_of_it(bridge, plone, query, body, fields, status):
    problem(bridge.get(f"/api/v1/files?parent=/a&{query}", *fields, method="POST", body=body), status)
    assert plone.seen == []
