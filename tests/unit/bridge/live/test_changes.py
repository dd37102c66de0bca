"""What a passed-through request changed is told from its first line and its answer."""

from __future__ import annotations

import pytest

from eduhub_bridge.live.changes import change


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
        ("POST", "/plone/++api++/a", 201, "http://h/plone/++api++/a/b", None),
        ("PATCH", "/plone/a/@tus-upload/1", 204, "http://h/plone/a/file", ("created", "/a/file")),
        ("PATCH", "/plone/a/@tus-upload/1", 204, "", None),
        ("POST", "/plone/@login", 200, "", None),
        ("POST", "/plone/@users", 201, "http://h/plone/@users/x", None),
        ("POST", "/plone/a/@lock", 200, "", None),
        ("PATCH", "/plone/@controlpanels/x", 204, "", None),
    ],
)
def test_a_request_tells_what_it_changed(method, path, status, location, told):
    assert change(method, path.encode(), status, location) == told
