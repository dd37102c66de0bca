"""Pages of the origins that are named may call the typed endpoints from a browser, and no others."""

from __future__ import annotations

import pytest

from eduhub_bridge.settings import SettingsError, read
from tests.unit.bridge.api.restapi import problem
from tests.unit.bridge.process import Process

OURS, OTHER = "https://app.example.edu", "https://app.example.edu.evil.example"
PREFLIGHT = ["Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: authorization,content-type"]
WRITE = ["Authorization: Bearer a.b.c", "Content-Type: text/plain", "Content-Length: 1"]


@pytest.fixture(scope="module")
def open_bridge(_plone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("open")
    process = Process(folder, _plone.url, EDUHUB_CORS_ORIGINS=f"{OURS} http://localhost:3000")
    yield process
    process.kill()


def cors(answer):
    """Return what an answer says to browsers, without the constants."""
    said = {name: value for name, value in answer.fields if name.startswith("access-control-")}
    assert "access-control-allow-credentials" not in said
    return said


def test_a_preflight_request_of_a_named_origin_is_allowed(open_bridge, plone):
    for origin in (OURS, "http://localhost:3000"):
        answer = open_bridge.get("/api/v1/content", *PREFLIGHT, f"Origin: {origin}", method="OPTIONS")
        assert (answer.status, answer.body, answer.field("vary")) == (204, b"", ["origin"])
        said = cors(answer)
        assert said["access-control-allow-origin"] == origin
        assert said["access-control-allow-headers"] == "authorization,content-type"
        assert "PATCH" in said["access-control-allow-methods"].split(", ")
        assert said["access-control-max-age"] == "600"
    assert plone.seen == []


@pytest.mark.parametrize(
    "origin", [OTHER, "null", "*", "http://app.example.edu", f"{OURS}:8443", f"{OURS}/", OURS.upper()]
)
def test_no_other_origin_is(open_bridge, plone, origin):
    answer = open_bridge.get("/api/v1/content", *PREFLIGHT, f"Origin: {origin}", method="OPTIONS")
    assert "EDUHUB_CORS_ORIGINS" in problem(answer, 403)["detail"]
    assert (cors(answer), answer.field("vary")) == ({}, ["origin"])
    answer = open_bridge.get("/api/v1/openapi.json", f"Origin: {origin}")
    assert (answer.status, cors(answer), answer.field("vary")) == (200, {}, ["origin"])
    answer = open_bridge.get("/api/v1/content", *WRITE, f"Origin: {origin}", method="POST", body=b"x")
    assert "another site" in problem(answer, 403)["detail"]
    assert plone.seen == []


def test_a_named_origin_reads_answers_and_errors_and_may_write(open_bridge):
    given = open_bridge.get("/api/v1/openapi.json", f"Origin: {OURS}")
    nothing = open_bridge.get("/api/v1/nothing", f"Origin: {OURS}")
    written = open_bridge.get("/api/v1/content", *WRITE, f"Origin: {OURS}", method="POST", body=b"x")
    assert (given.status, nothing.status, written.status) == (200, 404, 415)
    for answer in (given, nothing, written):
        said = cors(answer)
        assert said["access-control-allow-origin"] == OURS
        assert "ETag" in said["access-control-expose-headers"]
        assert "origin" in answer.field("vary")


@pytest.mark.parametrize("scheme", ["Basic eA==", "basic eA==", "Negotiate eA==", "Bearer"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_a_browser_remembers_is_accepted_from_no_other_site(open_bridge, plone, method, scheme):
    fields = [f"Authorization: {scheme}", "Content-Length: 0", f"Origin: {OURS}"]
    for target in ("content?path=/", "events" if method == "GET" else "jobs/0/resume"):
        answer = open_bridge.get(f"/api/v1/{target}", *fields, method=method)
        assert "Authorization: Bearer" in problem(answer, 403)["detail"]
        assert cors(answer)["access-control-allow-origin"] == OURS
    assert plone.seen == []


def test_a_page_of_the_same_host_may_send_a_password(open_bridge, plone):
    origin = "Origin: https://bridge.test"
    open_bridge.get("/api/v1/content?path=/", "Authorization: Basic eA==", origin)
    assert len(plone.seen) == 1


def test_answers_vary_by_origin_for_who_sends_none_too(open_bridge):
    answer = open_bridge.get("/api/v1/openapi.json")
    assert (answer.field("vary"), cors(answer)) == (["origin"], {})
    assert open_bridge.get("/health/live").field("vary") == []


def test_without_origins_nothing_is_said(bridge):
    answer = bridge.get("/api/v1/openapi.json", f"Origin: {OURS}")
    assert (cors(answer), answer.field("vary")) == ({}, [])
    assert problem(bridge.get("/api/v1/content", *PREFLIGHT, f"Origin: {OURS}", method="OPTIONS"), 405)


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "app.example.edu", f"{OURS}/", f"{OURS}:443", "http://a:80", "https://*.example.edu", "ftp://a"],
)
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(origin):
    with pytest.raises(SettingsError, match="EDUHUB_CORS_ORIGINS holds"):
        read({"PLONE_URL": "http://plone:8080/Plone", "EDUHUB_CORS_ORIGINS": f"{OURS}, {origin}"})
