"""What a request does to Plone is told by method and service, and what is not known is a write."""

from __future__ import annotations

import pytest

from eduhub_bridge.upstream.request_kind import Kind, kind, refused


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/a", Kind.READ), ("HEAD", "/a/@tus-upload/1", Kind.READ), ("OPTIONS", "/a", Kind.READ),
        ("POST", "/a/@querystring-search", Kind.READ), ("POST", "/@querystring-search?b=/x", Kind.READ),
        ("POST", "/@login", Kind.SESSION), ("POST", "/@login-renew", Kind.SESSION), ("POST", "/@logout", Kind.SESSION),
        ("POST", "/a/@login/b", Kind.WRITE), ("POST", "/a/%40querystring-search", Kind.WRITE),
        ("POST", "/a?x=/@login", Kind.WRITE), ("POST", "/a/@tus-upload", Kind.WRITE), ("PATCH", "/@login", Kind.WRITE),
        ("PUT", "/a", Kind.WRITE), ("DELETE", "/a", Kind.WRITE), ("PROPFIND", "/a", Kind.READ),
        ("PROPPATCH", "/a", Kind.WRITE), ("TRACE", "/a", Kind.READ),
        ("POST", "/login", Kind.WRITE), ("PROPFIND", "/a?_authenticator=1", Kind.WRITE),
        ("GET", "/a?folder_delete:method=Delete", Kind.WRITE), ("GET", "/a?x%3adefault_action=1", Kind.WRITE),
        ("POST", "/a/@querystring-search?../x:method=1", Kind.WRITE), ("POST", "/@login?x:%6dethod=1", Kind.WRITE),
        ("GET", "/a?Title:list=b&x:methods=1&y=z:method", Kind.READ),
        ("GET", "/a?x=1&%5fauthenticator=T", Kind.WRITE), ("GET", "/a?_authenticator:string=T", Kind.WRITE),
        ("GET", "/a?_authent%69cator%3Alist=T", Kind.WRITE), ("GET", "/a?_authenticator", Kind.WRITE),
        ("GET", "/_authenticator=1?x=_authenticator&my_authenticator=1", Kind.READ),
        ("get", "/a", Kind.WRITE), ("GET", "/a/content_status_modify?x=publish&_authenticator=1", Kind.WRITE),
    ],
)  # fmt: skip
def test_kinds(method, path, expected):
    assert kind(method, path) is expected


@pytest.mark.parametrize(
    ("path", "content_type", "expected"),
    [
        ("/login", "application/x-www-form-urlencoded", Kind.SESSION),
        ("/a/@@login?x", "multipart/form-data; boundary=x", Kind.SESSION),
        ("/logout", "Application/X-WWW-Form-Urlencoded", Kind.SESSION),
        ("/login", "application/json", Kind.WRITE), ("/my-login", "application/x-www-form-urlencoded", Kind.WRITE),
        ("/login/x", "application/x-www-form-urlencoded", Kind.WRITE),
        ("/@login", "text/xml", Kind.WRITE), ("/@querystring-search", "Text/XML; charset=utf-8", Kind.WRITE),
    ],
)  # fmt: skip
def test_a_login_by_form_is_a_session_and_content_made_in_a_folder_of_that_name_is_none(path, content_type, expected):
    assert kind("POST", path, content_type) is expected


BROWSER = [("user-agent", "x"), ("accept", "*/*"), ("sec-fetch-site", "none"), ("via", "x"), ("x-request-id", "x")]


@pytest.mark.parametrize(
    ("query", "field", "expected"),
    [
        ("_authenticator=x", ("referer", "x"), Kind.READ), ("x:method=1", ("referer", "x"), Kind.READ),
        ("_authenticator=x", ("cookie", "a=b"), Kind.WRITE), ("_authenticator=x", ("authorization", "a"), Kind.WRITE),
        ("x:method=1", ("cgi-authorization", "a"), Kind.WRITE), ("_authenticator=x", ("x-my-user", "a"), Kind.WRITE),
        ("_authenticator=x&%5f_ac_name=a", ("referer", "x"), Kind.WRITE),
    ],
)  # fmt: skip
def test_a_link_that_writes_is_a_read_for_a_client_that_says_nothing_of_itself(query, field, expected):
    assert kind("GET", f"/a?{query}", "", [*BROWSER, field]) is expected


def test_what_writes_by_its_method_writes_whoever_asks():
    assert kind("POST", "/a", "", BROWSER) is kind("POST", "/@login?x:method=1", "", BROWSER) is Kind.WRITE


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/wp-login.php", 404, True), ("/a", 401, True), ("/a", 403, True), ("/a", 405, True), ("/a", 200, False),
        ("/a", 400, False), ("/a", 409, False), ("/a", 500, False), ("/a", 302, False), ("/@users/ada", 404, False),
    ],
)  # fmt: skip
def test_a_refused_write_has_changed_nothing(path, status, expected):
    assert refused(path, status) is expected
