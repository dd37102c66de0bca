"""Content: Plone's documents become typed ones, and requests become Plone's."""

from __future__ import annotations

import json

import pytest

from tests.unit.bridge.api.restapi import BASE, ITEM, SUMMARY, ask, problem, target

PATH = "/content?path=/courses/t%C3%BCr"
OWN = "courses/t%C3%BCr"


def test_an_item_is_typed_and_its_other_fields_are_as_plone_says(bridge, plone):
    plone.tell("GET", OWN, "200 OK", ITEM)
    answer = ask(bridge, "GET", PATH)
    assert answer.json() == {
        "path": "/courses/tür", "url": f"{BASE}/courses/t%C3%BCr", "id": "tür", "uid": "3bb5f79449bf4a28",
        "type": "Document", "title": "Tür", "description": "d", "state": "published", "is_folderish": True,
        "subjects": ["a"], "created": "2026-11-25T02:26:11Z", "modified": "2026-11-25T02:26:12Z", "parent": "/courses",
        "fields": {"language": "en", "lock": {"locked": False}, "next_item": {}},
    }  # fmt: skip
    assert answer.field("cache-control") == ["private, no-cache"]
    assert answer.field("vary") == ["authorization, accept-language"]
    assert target(plone.seen[0]) == "/courses/t%C3%BCr?include_items=0"


def test_a_head_is_the_answer_without_its_body(bridge, plone):
    plone.tell("GET", OWN, "200 OK", ITEM)
    whole, head = ask(bridge, "GET", PATH), ask(bridge, "HEAD", PATH)
    assert (head.status, head.body, head.field("etag")) == (200, b"", whole.field("etag"))
    assert head.field("content-length") == [str(len(whole.body))]


def test_the_site_itself_has_neither_dates_nor_parent(bridge, plone):
    site = {"@id": BASE, "@type": "Plone Site", "id": "Plone", "title": "T", "parent": {}, "review_state": None}
    plone.tell("GET", "", "200 OK", site)
    document = ask(bridge, "GET", "/content?path=/").json()
    assert (document["path"], document["parent"], document["created"], document["state"]) == ("/", None, None, None)


@pytest.mark.parametrize("given", ["path=/courses/t%C3%BCr", "path=%2Fcourses%2Ft%c3%bcr", "path=/courses/t%C3%BCr/"])
def test_every_spelling_of_a_path_is_the_same_path(bridge, plone, given):
    plone.tell("GET", OWN, "200 OK", ITEM)
    assert ask(bridge, "GET", f"/content?{given}").json()["path"] == "/courses/tür"


def test_names_with_a_meaning_in_addresses_are_only_names(bridge, plone):
    ask(bridge, "GET", "/content?path=/a%3Fb%23c%25d%26e+f;g")
    assert target(plone.seen[0]) == "/a%3Fb%23c%25d%26e%20f%3Bg?include_items=0"


def test_whoever_has_it_already_is_told_so(bridge, plone):
    plone.tell("GET", OWN, "200 OK", ITEM)
    (tag,) = ask(bridge, "GET", PATH).field("etag")
    same = ask(bridge, "GET", PATH, None, f'If-None-Match: "x", W/{tag}')
    assert (same.status, same.body, same.field("etag")) == (304, b"", [tag])
    assert ask(bridge, "GET", PATH, None, 'If-None-Match: "x"').status == 200
    plone.tell("GET", OWN, "200 OK", {**ITEM, "lock": {"locked": True}, "next_item": {"title": "other"}})
    assert ask(bridge, "GET", PATH).field("etag") == [tag]  # neighbours and locks are not the item
    plone.tell("GET", OWN, "200 OK", {**ITEM, "language": "de"})
    assert ask(bridge, "GET", PATH).field("etag") != [tag]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_what_has_changed_meanwhile_is_left_alone(bridge, plone, method):
    plone.tell("GET", OWN, "200 OK", ITEM)
    plone.tell("PATCH", OWN, "200 OK", ITEM)
    plone.tell("DELETE", OWN, "204 No Content", b"")
    (tag,) = ask(bridge, "GET", PATH).field("etag")
    body = {"title": "x"} if method == "PATCH" else None
    problem(ask(bridge, method, PATH, body, f"If-Match: W/{tag}"), 412)  # weak tags never match here (RFC 9110)
    problem(ask(bridge, method, PATH, body, 'If-Match: "x"'), 412)
    assert {seen.method for seen in plone.seen} == {"GET"}
    assert ask(bridge, method, PATH, body, f"If-Match: {tag}").status == (200 if method == "PATCH" else 204)
    assert plone.seen[-1].method == method


def test_creation_says_where_the_new_item_is(bridge, plone):
    plone.tell("POST", "courses", "201 Created", ITEM, f"Location: {BASE}/courses/t%C3%BCr")
    new = {"parent": "/courses", "type": "Document", "title": "Tür", "fields": {"subjects": ["a"], "rights": None}}
    answer = ask(bridge, "POST", "/content", new)
    assert (answer.status, answer.json()["path"]) == (201, "/courses/tür")
    assert answer.field("location") == ["http://bridge.test/api/v1/content?path=%2Fcourses%2Ft%C3%BCr"]
    sent = {"@type": "Document", "title": "Tür", "subjects": ["a"], "rights": None}
    assert json.loads(plone.seen[0].body) == sent
    assert plone.seen[0].field("transfer-encoding") == []


def test_a_change_sends_what_was_given_and_nothing_else(bridge, plone):
    plone.tell("PATCH", OWN, "200 OK", ITEM)
    answer = ask(bridge, "PATCH", PATH, {"description": "", "fields": {"expires": None}}, "Lock-Token: 5")
    assert (answer.status, answer.json()["path"]) == (200, "/courses/tür")
    (seen,) = plone.seen
    assert json.loads(seen.body) == {"description": "", "expires": None}
    assert (seen.field("prefer"), seen.field("lock-token")) == (["return=representation"], ["5"])


def test_deletion_answers_without_a_body(bridge, plone):
    plone.tell("DELETE", OWN, "204 No Content", b"")
    assert ask(bridge, "DELETE", PATH).status == 204


@pytest.mark.parametrize("service", ["move", "copy"])
def test_a_transfer_says_where_the_item_went(bridge, plone, service):
    done = [{"source": f"{BASE}/a/x", "target": f"{BASE}/b/t%C3%BCr-1"}]
    plone.tell("POST", f"b/@{service}", "200 OK", done)
    answer = ask(bridge, "POST", f"/content/{service}", {"path": "/a/x", "to": "/b"})
    assert answer.json() == {"source": "/a/x", "path": "/b/tür-1"}
    assert json.loads(plone.seen[0].body) == {"source": "/a/x"}


def test_a_transfer_of_nothing_is_not_found_though_plone_says_that_all_is_well(bridge, plone):
    plone.tell("POST", "b/@move", "200 OK", [])
    assert "/a/x" in problem(ask(bridge, "POST", "/content/move", {"path": "/a/x", "to": "/b"}), 404)["detail"]


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("DELETE", "/content?path=/", None),
        ("POST", "/content/move", {"path": "/", "to": "/b"}),
        ("POST", "/content/copy", {"path": "//", "to": "/b"}),
    ],
)
def test_the_site_itself_is_neither_moved_nor_deleted(bridge, plone, method, target, body):
    problem(ask(bridge, method, target, body), 400)
    assert plone.seen == []


def test_children_come_in_pages_with_links_to_their_neighbours(bridge, plone):
    plone.tell("GET", "courses/@search", "200 OK", {"items": [SUMMARY], "items_total": 7})
    answer = ask(bridge, "GET", "/content/children?path=/courses&offset=3&limit=3").json()
    here = "http://bridge.test/api/v1/content/children?path=%2Fcourses&limit=3&offset="
    assert (answer["total"], answer["offset"], answer["limit"]) == (7, 3, 3)
    assert (answer["next"], answer["previous"]) == (f"{here}6", f"{here}0")
    assert (answer["items"][0]["path"], answer["items"][0]["subjects"]) == ("/courses/tür", ["a", "b"])
    assert "path.depth=1&sort_on=getObjPositionInParent&b_start=3&b_size=3&" in target(plone.seen[0])


@pytest.mark.parametrize(
    ("offset", "total", "following", "before"),
    [(0, 0, None, None), (0, 3, None, None), (0, 4, 3, None), (1, 4, None, 0), (3, 4, None, 0), (99, 7, None, 6)],
)
def test_links_lead_to_pages_that_exist(bridge, plone, offset, total, following, before):
    plone.tell("GET", "c/@search", "200 OK", {"items": [], "items_total": total})
    answer = ask(bridge, "GET", f"/content/children?path=/c&limit=3&offset={offset}").json()
    ends = [link and int(link.rpartition("=")[2]) for link in (answer["next"], answer["previous"])]
    assert ends == [following, before]


def test_links_are_those_of_the_public_address(bridge, plone):
    plone.tell("GET", "c/@search", "200 OK", {"items": [], "items_total": 50})
    public = ("X-Forwarded-Host: Hub.Example.org", "X-Forwarded-Proto: https")
    answer = ask(bridge, "GET", "/content/children?path=/c", None, *public)
    assert answer.json()["next"].startswith("https://hub.example.org/api/v1/content/children?")
    assert plone.seen[0].target.startswith("/VirtualHostBase/https/hub.example.org:443/Plone/VirtualHostRoot/_vh_")


def test_a_search_names_plones_indexes(bridge, plone):
    plone.tell("GET", "@search", "200 OK", {"items": [SUMMARY], "items_total": 1})
    query = "text=%22a+b%22&type=File&type=News+Item&state=private&subject=x&path=/c&depth=2&sort=title&descending=true"
    answer = ask(bridge, "GET", f"/search?{query}&limit=5")
    assert (answer.status, answer.json()["total"]) == (200, 1)
    sent = target(plone.seen[0])
    for pair in (
        "SearchableText=%22a+b%22", "portal_type=File&portal_type=News+Item", "review_state=private", "Subject=x",
        "path.query=%2Fc", "path.depth=2", "sort_on=sortable_title&sort_order=descending", "b_start=0&b_size=5",
        "metadata_fields=UID",
    ):  # fmt: skip
        assert pair in sent


def test_the_workflow_of_an_item(bridge, plone):
    said = {
        "state": {"id": "private", "title": "Private"},
        "transitions": [{"@id": f"{BASE}/a/@workflow/submit", "title": "Submit"}],
        "history": [{"action": None, "actor": "ada", "comments": "", "review_state": "private", "title": "Private",
                     "time": "2026-11-25T02:32:01+00:00"}],
    }  # fmt: skip
    plone.tell("GET", "a/@workflow", "200 OK", said)
    answer = ask(bridge, "GET", "/content/workflow?path=/a").json()
    assert answer["transitions"] == [{"id": "submit", "title": "Submit"}]
    assert (answer["state"]["id"], answer["history"][0]["state"]) == ("private", "private")
    plone.tell("GET", "b/@workflow", "200 OK", {"history": [], "transitions": []})
    assert ask(bridge, "GET", "/content/workflow?path=/b").json() == {"state": None, "transitions": [], "history": []}


def test_a_transition_is_made_by_name(bridge, plone):
    event = {"action": "publish", "actor": "ada", "comments": "c", "review_state": "published", "title": "Published",
             "time": "2026-11-25T02:32:01+00:00"}  # fmt: skip
    plone.tell("POST", "a/@workflow/publish", "200 OK", event)
    answer = ask(bridge, "POST", "/content/workflow?path=/a", {"transition": "publish", "comment": "c"})
    assert (answer.status, answer.json()["state"]) == (200, "published")
    assert json.loads(plone.seen[0].body) == {"comment": "c", "include_children": False}
    problem(ask(bridge, "POST", "/content/workflow?path=/a", {"transition": "../publish"}), 400)
    assert len(plone.seen) == 1


@pytest.mark.parametrize(("fields", "kind", "status"), [
    ({"start": 5}, "TypeError", 400), ({"blocks": None}, "AttributeError", 400), ({"ordering": {}}, "KeyError", 400),
    ({}, "TypeError", 502), ({"start": 5}, "ConflictError", 502),
])  # fmt: skip
def test_a_value_that_plone_stumbles_over_is_the_callers_mistake(bridge, plone, fields, kind, status):
    said = {"type": kind, "message": "Parser must be a string"}
    plone.tell("POST", "courses", "500 Internal Server Error", said)
    plone.tell("PATCH", "courses/a", "500 Internal Server Error", said)
    new = {"parent": "/courses", "type": "Document", "title": "x", "fields": fields}
    for answer in (
        ask(bridge, "POST", "/content", new), ask(bridge, "PATCH", "/content?path=/courses/a", {"fields": fields})
    ):  # fmt: skip
        document = problem(answer, status)
        assert document["plone"] == {"status": 500, **said}
        assert "Parser must be a string" in document["detail"]
