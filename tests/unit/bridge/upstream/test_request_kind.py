"""What a request does to Plone is told by method and service, and what is not known is a write."""

from __future__ import annotations

import pytest

from eduhub_bridge.upstream.request_kind import Kind, kind


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/a", Kind.READ), ("HEAD", "/a/@tus-upload/1", Kind.READ), ("OPTIONS", "/a", Kind.READ),
        ("POST", "/a/@querystring-search", Kind.READ), ("POST", "/@querystring-search?b=/x", Kind.READ),
        ("POST", "/@login", Kind.SESSION), ("POST", "/@login-renew", Kind.SESSION), ("POST", "/@logout", Kind.SESSION),
        ("POST", "/a/@login/b", Kind.WRITE), ("POST", "/a/%40querystring-search", Kind.WRITE),
        ("POST", "/a?x=/@login", Kind.WRITE), ("POST", "/a/@tus-upload", Kind.WRITE), ("PATCH", "/@login", Kind.WRITE),
        ("PUT", "/a", Kind.WRITE), ("DELETE", "/a", Kind.WRITE), ("PROPFIND", "/a", Kind.WRITE),
        ("get", "/a", Kind.WRITE), ("GET", "/a/content_status_modify?x=publish&_authenticator=1", Kind.WRITE),
    ],
)  # fmt: skip
def test_kinds(method, path, expected):
    assert kind(method, path) is expected
