"""What a passed-through request changed is told from its first line and its answer."""

from __future__ import annotations

import pytest

from eduhub_bridge.live.changes import changes, says_where


@pytest.mark.parametrize(
    ("method", "path", "status", "location", "told"),
    [
        ("POST", "/plone/a", 201, "http://h/plone/a/b", ("created", "/a/b")),
        ("POST", "/plone", 201, "https://h:1/plone/b%20c", ("created", "/b c")),
        ("POST", "/plone/a", 201, "http://h/elsewhere", None),
        ("POST", "/plone/a/@@form", 200, "", None),
        ("PATCH", "/plone/a/b/", 204, "", ("changed", "/a/b")),
        ("PATCH", "/plone", 204, "", ("changed", "/")),
        ("DELETE", "/plone/a", 204, "", ("deleted", "/a")),
        ("DELETE", "/plone/a", 404, "", None),
        ("GET", "/plone/a", 200, "", None),
        ("POST", "/plone/a/@workflow/publish", 200, "", ("published", "/a")),
        ("POST", "/plone/a/@move", 200, "", ("changed", "/a")),
        ("POST", "/plone/++api++/a", 201, "http://h/plone/++api++/a/b", ("created", "/a/b")),
        ("DELETE", "/plone/++api++/a/b", 204, "", ("deleted", "/a/b")),
        ("PATCH", "/plone/%2B%2Bapi%2B%2B/a", 204, "", ("changed", "/a")),
        ("PATCH", "/plone/a/++api++/b", 204, "", ("changed", "/a/b")),
        ("PATCH", "/plone/++api++", 204, "", ("changed", "/")),
        ("DELETE", "/plone//a//b/", 204, "", ("deleted", "/a/b")),
        ("DELETE", "/plone/./a/%2e/b", 204, "", ("deleted", "/a/b")),
        ("DELETE", "/plone/a%2Fb", 204, "", ("deleted", "/a/b")),
        ("DELETE", "/plone/%61/t%C3%BCr", 204, "", ("deleted", "/a/tür")),
        ("POST", "/plone/++api++/a/@workflow/publish", 200, "", ("published", "/a")),
        ("POST", "/plone/a/++add++Document", 200, "", None),
        ("PATCH", "/plone/a/@tus-upload/1", 204, "http://h/plone/a/file", ("created", "/a/file")),
        ("PATCH", "/plone/a/@tus-upload/1", 204, "", None),
        ("POST", "/plone/@login", 200, "", None),
        ("POST", "/plone/@users", 201, "http://h/plone/@users/x", None),
        ("POST", "/plone/a/@lock", 200, "", None),
        ("PATCH", "/plone/@controlpanels/x", 204, "", None),
    ],
)
def test_a_request_tells_what_it_changed(method, path, status, location, told):
    assert changes(method, path.encode(), status, location) == ([(*told, "")] if told else [])


MOVED = b"""[{"source": "http://h/plone/a/x", "target": "http://h/plone/++api++/b/x-1"},
 {"source": "http://h/plone/a/t%C3%BCr", "target": "http://h/plone/b/t%C3%BCr"}]"""


@pytest.mark.parametrize("path", [b"/plone/b/@move", b"/plone/++api++//b/@move"])
def test_a_move_tells_what_went_where(path):
    assert says_where("POST", path)
    assert changes("POST", path, 200, "", MOVED) == [("moved", "/b/x-1", "/a/x"), ("moved", "/b/tür", "/a/tür")]


def test_a_copy_tells_what_was_made():
    assert changes("POST", b"/plone/b/@copy", 200, "", MOVED) == [("created", "/b/x-1", ""), ("created", "/b/tür", "")]


@pytest.mark.parametrize("body", [b"", b"{}}", b"<html>", b'["x"]', b'[{"source": 1, "target": 2}]', b"7"])
def test_a_move_whose_answer_is_none_tells_of_the_folder(body):
    assert changes("POST", b"/plone/b/@move", 200, "", body) == [("changed", "/b", "")]


def test_a_move_of_nothing_tells_nothing():
    assert changes("POST", b"/plone/b/@move", 200, "", b"[]") == []
