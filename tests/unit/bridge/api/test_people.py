"""Login, users and groups."""

from __future__ import annotations

import json

import pytest

from tests.unit.bridge.api.restapi import BASE, GROUP, ITEM, USER, ask, problem, target


def test_credentials_and_language_travel_and_cookies_do_not(bridge, plone):
    plone.tell("GET", "a", "200 OK", ITEM, "Set-Cookie: __ac=x")
    fields = ("Authorization: Bearer a.b.c", "Cookie: __ac=x", "Accept-Language: de", "X-Forwarded-For: 10.0.0.1",
              "X-Other: 1", "Accept: text/html", "If-None-Match: x")  # fmt: skip
    answer = ask(bridge, "GET", "/content?path=/a", None, *fields)
    assert sorted(plone.seen[0].fields) == [
        ("Host", f"127.0.0.1:{plone.port}"), ("accept", "application/json"), ("accept-language", "de"),
        ("authorization", "Bearer a.b.c"), ("via", "1.1 eduhub-bridge"), ("x-forwarded-for", "10.0.0.1"),
    ]  # fmt: skip
    assert answer.field("set-cookie") == []


def test_a_token_is_given_renewed_and_never_kept_by_anybody_on_the_way(bridge, plone):
    plone.tell("POST", "@login", "200 OK", {"token": "a.b.c"}, "Set-Cookie: __ac=x")
    answer = ask(bridge, "POST", "/login", {"login": "ada", "password": "p"})
    assert (answer.json(), answer.field("cache-control")) == ({"token": "a.b.c"}, ["no-store"])
    assert answer.field("set-cookie") == []
    assert json.loads(plone.seen[0].body) == {"login": "ada", "password": "p"}
    plone.tell("POST", "@login-renew", "200 OK", {"token": "d.e.f"})
    assert ask(bridge, "POST", "/login/renew", None, "Authorization: Bearer a.b.c").json() == {"token": "d.e.f"}
    assert plone.seen[1].field("authorization") == ["Bearer a.b.c"]
    plone.tell("POST", "@logout", "204 No Content", b"")
    assert ask(bridge, "POST", "/login/end").status == 204


def test_a_user_is_typed(bridge, plone):
    plone.tell("GET", "@users/ada%40x", "200 OK", USER)
    assert ask(bridge, "GET", "/users/ada@x").json() == {
        "id": "ada", "username": "ada", "fullname": "Ada", "email": "ada@example.org", "description": None,
        "home_page": None, "location": None, "portrait": None, "roles": ["Member"],
        "groups": [{"id": "AuthenticatedUsers", "title": "AuthenticatedUsers"}],
    }  # fmt: skip


@pytest.mark.parametrize(("there", "more"), [(2, False), (3, True)])
def test_lists_say_whether_there_is_more(bridge, plone, there, more):
    plone.tell("GET", "@users", "200 OK", [USER] * there)
    plone.tell("GET", "@groups", "200 OK", [GROUP] * there)
    for kind in ("users?group=a", "groups?search=t"):
        document = ask(bridge, "GET", f"/{kind}&limit=2").json()
        assert (len(document["items"]), document["more"]) == (2, more)
    sent = [target(seen) for seen in plone.seen]
    assert sent == ["/@users?limit=3&groups-filter%3Alist=a", "/@groups?query=t&limit=3"]


@pytest.mark.parametrize(("kind", "one"), [("users", USER), ("groups", GROUP)])
def test_a_list_is_read_page_by_page_to_its_end(bridge, plone, kind, one):
    everybody = [{**one, "id": f"u{number}"} for number in range(5)]
    plone.tell("GET", f"@{kind}", "200 OK", everybody)
    seen, at = [], f"/{kind}?limit=2"
    while at:
        document = ask(bridge, "GET", at).json()
        seen += [each["id"] for each in document["items"]]
        assert document["more"] is (document["next"] is not None)
        at = (document["next"] or "").removeprefix("http://bridge.test/api/v1")
    assert seen == [f"u{number}" for number in range(5)]
    if kind == "users":
        assert [target(each) for each in plone.seen] == [f"/@users?limit={most}" for most in (3, 5, 7)]


def test_what_plone_has_no_pages_of_is_not_paged(bridge, plone):
    plone.tell("GET", "@users", "200 OK", [USER] * 3)
    found = ask(bridge, "GET", "/users?search=a&limit=2").json()
    assert (len(found["items"]), found["more"], found["next"]) == (2, True, None)
    assert "offset" in problem(ask(bridge, "GET", "/users?search=a&limit=2&offset=2"), 422)["detail"]


def test_a_user_is_made(bridge, plone):
    plone.tell("POST", "@users", "201 Created", USER, f"Location: {BASE}/@users/ada")
    new = {"username": "ada", "email": "ada@example.org", "send_password_reset": True}
    answer = ask(bridge, "POST", "/users", new)
    assert (answer.status, answer.field("location")) == (201, ["http://bridge.test/api/v1/users/ada"])
    assert json.loads(plone.seen[0].body) == {"username": "ada", "email": "ada@example.org", "sendPasswordReset": True}


def test_nobody_is_not_changed_though_plone_would_fail_over_it(bridge, plone):
    for kind in ("users", "groups"):
        plone.tell("GET", f"@{kind}/nobody", "404 Not Found", None)
        problem(ask(bridge, "PATCH", f"/{kind}/nobody", {}), 404)
    assert {seen.method for seen in plone.seen} == {"GET"}


def test_somebody_is_changed(bridge, plone):
    plone.tell("GET", "@users/ada", "200 OK", USER)
    plone.tell("PATCH", "@users/ada", "204 No Content", b"")
    assert ask(bridge, "PATCH", "/users/ada", {"fullname": "A", "roles": {"Editor": True}}).status == 204
    assert json.loads(plone.seen[-1].body) == {"fullname": "A", "roles": {"Editor": True}}
    plone.tell("GET", "@groups/team", "200 OK", GROUP)
    plone.tell("PATCH", "@groups/team", "204 No Content", b"")
    assert ask(bridge, "PATCH", "/groups/team", {"title": "T", "members": {"ada": False}}).status == 204
    assert json.loads(plone.seen[-1].body) == {"title": "T", "users": {"ada": False}}


def test_deletion_spares_what_users_wrote(bridge, plone):
    plone.tell("DELETE", "@users/ada", "204 No Content", b"")
    assert ask(bridge, "DELETE", "/users/ada").status == 204
    assert target(plone.seen[0]) == "/@users/ada?delete_memberareas=0"


def test_a_group_is_made_read_and_deleted(bridge, plone):
    plone.tell("POST", "@groups", "201 Created", GROUP)
    plone.tell("GET", "@groups/team%20a", "200 OK", GROUP)
    plone.tell("DELETE", "@groups/team%20a", "204 No Content", b"")
    answer = ask(bridge, "POST", "/groups", {"id": "team", "members": ["ada"]})
    assert (answer.status, answer.field("location")) == (201, ["http://bridge.test/api/v1/groups/team"])
    assert json.loads(plone.seen[0].body) == {"groupname": "team", "roles": [], "users": ["ada"]}
    document = ask(bridge, "GET", "/groups/team%20a").json()
    assert (document["members"], document["members_total"]) == (["ada"], 1)
    assert ask(bridge, "DELETE", "/groups/team%20a").status == 204
