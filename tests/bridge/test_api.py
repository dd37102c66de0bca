"""The typed endpoints in front of a real Plone: anonymous, a member and the administrator, from login to deletion."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

import jsonschema
import pytest

API = "/api/v1"


@pytest.fixture(scope="session")
def document(bridge) -> Any:
    return bridge.ask("GET", f"{API}/openapi.json").json()


@pytest.fixture
def ask(bridge, document):
    """Ask a typed endpoint, and hold each answer against the document: ask(status, method, path, who, …)."""

    def _ask(status: int, method: str, path: str, who: Any = None, **more: Any) -> Any:
        answer = bridge.ask(method, API + path, who, **more)
        assert answer.status_code == status, answer.text[:1000]
        template = re.sub(r"/(users|groups)/[^/]+$", lambda found: f"/{found[1]}/{{{found[1][:-1]}}}", path)
        operation = document["paths"][f"{API}{template}"][method.lower()]
        said = operation["responses"][str(status)]
        if "$ref" in said:
            said = document["components"]["responses"][said["$ref"].rpartition("/")[2]]
        kind = answer.headers.get("content-type")
        if kind in said.get("content", {}) and kind.endswith("json"):
            schema = {**said["content"][kind]["schema"], "components": document["components"]}
            jsonschema.validate(answer.json(), schema)
        return answer

    return _ask


@pytest.fixture
def essay(ask, member):
    """A member's essay, private, gone at the end."""
    new = {"parent": "/submissions", "type": "Document", "title": "Über Tümpel", "fields": {"subjects": ["pond"]}}
    made = ask(201, "POST", "/content", member.credentials, json=new).json()
    yield made["path"]
    ask(204, "DELETE", "/content", member.credentials, params={"path": made["path"]})


def test_what_everybody_may_read(ask):
    course = ask(200, "GET", "/content", params={"path": "/courses/statistics-for-biologists"}).json()
    assert (course["type"], course["state"], course["parent"]) == ("Document", "published", "/courses")
    assert course["subjects"] == ["statistics", "biology"]
    assert ask(200, "GET", "/content", params={"path": "/"}).json()["type"] == "Plone Site"
    ask(404, "GET", "/content", params={"path": "/courses/no-such-course"})
    ask(404, "GET", "/content", params={"path": "/courses/sitemap"})


def test_links_lead_through_the_bridge_and_to_the_same_item(ask, bridge):
    course = ask(200, "GET", "/content", params={"path": "/courses/open-day"}).json()
    assert course["url"] == f"{bridge.url}/plone/courses/open-day"
    assert bridge.session.get(course["url"], headers={"accept": "application/json"}).json()["UID"] == course["uid"]


def test_pages_add_up_to_the_whole_list(ask, bridge):
    whole = ask(200, "GET", "/content/children", params={"path": "/courses", "limit": 100}).json()
    paths, page = [], ask(200, "GET", "/content/children", params={"path": "/courses", "limit": 3}).json()
    paths += [item["path"] for item in page["items"]]
    while page["next"]:
        page = bridge.session.get(page["next"]).json()
        paths += [item["path"] for item in page["items"]]
    assert len(paths) == whole["total"] > 3
    assert paths == [item["path"] for item in whole["items"]]
    beyond = ask(200, "GET", "/content/children", params={"path": "/courses", "offset": 1000}).json()
    assert (beyond["items"], beyond["next"]) == ([], None)


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ({"text": "statistics", "type": "Document"}, ["/courses/statistics-for-biologists"]),
        ({"subject": ["biology"], "path": "/courses"}, ["/courses/statistics-for-biologists"]),
        ({"type": ["Event", "News Item"], "sort": "title"}, ["/courses/enrolment-is-open", "/courses/open-day"]),
        ({"path": "/courses/open-day", "depth": 0}, ["/courses/open-day"]),
        ({"path": "/nowhere"}, []),
    ],
)
def test_a_search_finds_what_fits(ask, query, paths):
    page = ask(200, "GET", "/search", params=query).json()
    assert ([item["path"] for item in page["items"]], page["total"]) == (paths, len(paths))


@pytest.mark.parametrize("text", ["*", "(and", "or not", '"'])
def test_words_of_which_plone_makes_nothing_are_the_callers_mistake(bridge, text):
    answer = bridge.ask("GET", f"{API}/search", params={"text": text})
    assert answer.status_code in (200, 400), answer.text


def test_an_item_lives_from_creation_over_publication_to_its_redirect(ask, bridge, member, admin, essay):
    me, at = member.credentials, {"path": essay}
    ask(401, "GET", "/content", params=at)
    read = ask(200, "GET", "/content", me, params=at)
    tag = read.headers["etag"]
    assert bridge.ask("GET", f"{API}/content", me, params=at, headers={"if-none-match": tag}).status_code == 304
    match = {"if-match": tag}
    changed = ask(200, "PATCH", "/content", me, params=at, headers=match, json={"title": "Seen", "fields": {}})
    assert changed.json()["title"] == "Seen"
    assert changed.headers["etag"] == ask(200, "GET", "/content", me, params=at).headers["etag"] != tag
    ask(412, "PATCH", "/content", me, params=at, headers=match, json={"title": "Lost"})
    ask(412, "DELETE", "/content", me, params=at, headers=match)
    steps = ask(200, "GET", "/content/workflow", me, params=at).json()
    assert (steps["state"]["id"], [each["id"] for each in steps["transitions"]]) == ("private", ["submit"])
    ask(200, "POST", "/content/workflow", me, params=at, json={"transition": "submit"})
    ask(400, "POST", "/content/workflow", me, params=at, json={"transition": "publish"})
    done = ask(200, "POST", "/content/workflow", admin, params=at, json={"transition": "publish"}).json()
    assert (done["state"], done["actor"]) == ("published", "admin")
    assert ask(200, "GET", "/content", params=at).json()["title"] == "Seen"
    ask(200, "POST", "/content/workflow", admin, params=at, json={"transition": "reject"})


def test_an_item_moves_and_its_old_path_leads_to_the_new_one(ask, bridge, member, admin):
    new = {"parent": "/submissions", "type": "Document", "title": "Nomad", "id": "nomad (1)"}
    ask(201, "POST", "/content", member.credentials, json=new)
    move = {"path": "/submissions/nomad (1)", "to": "/courses/media"}
    ask(403, "POST", "/content/move", member.credentials, json=move)
    assert ask(200, "POST", "/content/move", admin, json=move).json()["path"] == "/courses/media/nomad (1)"
    ask(404, "POST", "/content/move", admin, json=move)
    old = ask(307, "GET", "/content", admin, params={"path": "/submissions/nomad (1)"})
    followed = bridge.ask("GET", old.headers["location"], admin).json()
    assert (followed["path"], followed["title"]) == ("/courses/media/nomad (1)", "Nomad")
    named = ask(200, "PATCH", "/content", admin, params={"path": followed["path"]}, json={"id": "settled"}).json()
    assert named["path"] == "/courses/media/settled"
    copy = {"path": "/courses/media/settled", "to": "/submissions"}
    copied = ask(200, "POST", "/content/copy", admin, json=copy).json()["path"]
    ask(400, "POST", "/content/move", admin, json={"path": "/courses", "to": "/courses/media"})
    for path in (copied, "/courses/media/settled"):
        ask(204, "DELETE", "/content", admin, params={"path": path})
        ask(404, "DELETE", "/content", admin, params={"path": path})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/content", {"parent": "/courses", "type": "Document", "title": "x"}),
        ("PATCH", "/content?path=/courses/open-day", {"title": "x"}),
        ("DELETE", "/content?path=/courses/open-day", None),
        ("POST", "/content/copy", {"path": "/courses/open-day", "to": "/courses"}),
        ("GET", "/users", None),
        ("GET", "/users/admin", None),
        ("GET", "/groups", None),
        ("POST", "/groups", {"id": "x"}),
        ("DELETE", "/users/ada", None),
        ("POST", "/login/renew", None),
    ],
)
def test_what_anonymous_may_not_do(bridge, method, path, body):
    answer = bridge.ask(method, API + path, json=body)
    document = answer.json()
    assert (answer.status_code, document["status"], document["plone"]["status"]) == (401, 401, 401)
    assert answer.headers["www-authenticate"] == 'Bearer realm="Plone"'


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"type": "Document", "title": ""}, "Required input is missing"),
        ({"type": "Nothing", "title": "x"}, "No content type with the name 'Nothing'"),
        ({"type": "Document", "title": "x", "id": "_x"}, "begins with an underscore"),
        ({"type": "Document", "title": "x", "id": "tür"}, "Invalid value"),
        ({"type": "Event", "title": "x", "fields": {"start": "soon"}}, "Invalid date: soon"),
    ],
)
def test_plones_own_words_reach_the_caller(bridge, member, new, words):
    answer = bridge.ask("POST", f"{API}/content", member.credentials, json={"parent": "/submissions", **new})
    assert answer.status_code in (400, 403)
    assert words in answer.json()["detail"]
    assert "traceback" not in answer.text


@pytest.mark.parametrize(
    "fields",
    [{"effective": 5}, {"language": ["x"]}, {"blocks": {"a": 1}}, {"blocks": None}, {"relatedItems": {"a": 1}},
     {"allow_discussion": {"a": 1}}, {"start": {"a": 1}}],
)  # fmt: skip
def test_a_value_of_another_type_than_plone_expects_changes_nothing(ask, admin, fields):
    at = {"path": "/courses/open-day"}
    before = ask(200, "GET", "/content", admin, params=at).headers["etag"]
    ask(400, "PATCH", "/content", admin, params=at, json={"fields": fields})
    assert ask(200, "GET", "/content", admin, params=at).headers["etag"] == before


def test_a_token_is_as_good_as_a_password(ask, member):
    given = ask(200, "POST", "/login", json={"login": member.login, "password": member.password})
    assert (given.headers["cache-control"], "set-cookie" in given.headers) == ("no-store", False)
    token = given.json()["token"]
    assert ask(200, "GET", "/users/ada", token).json()["fullname"] == "Ada Lovelace"
    renewed = ask(200, "POST", "/login/renew", token).json()["token"]
    ask(200, "GET", "/users/ada", renewed)
    ask(401, "POST", "/login/renew", token[:-4] + "AAAA")
    ask(204, "POST", "/login/end", token)
    ask(401, "POST", "/login", json={"login": member.login, "password": "wrong"})


def test_users_and_groups_come_and_go(ask, admin):
    word = "a-long-password-1"
    new = {"username": "grace", "email": "grace@example.org", "fullname": "Grace", "password": word}
    made = ask(201, "POST", "/users", admin, json=new)
    assert (made.json()["id"], made.headers["location"].rpartition("/")[2]) == ("grace", "grace")
    ask(400, "POST", "/users", admin, json=new)
    ask(204, "PATCH", "/users/grace", admin, json={"fullname": "Grace Hopper", "roles": {"Reader": True}})
    ask(400, "PATCH", "/users/grace", admin, json={"username": "ada"})
    ask(404, "PATCH", "/users/nobody", admin, json={"fullname": "x"})
    grace = ask(200, "GET", "/users/grace", ("grace", word)).json()
    assert (grace["fullname"], grace["roles"]) == ("Grace Hopper", ["Member", "Reader"])
    ask(201, "POST", "/groups", admin, json={"id": "tutors", "title": "Tutors", "members": ["grace"]})
    assert [each["id"] for each in ask(200, "GET", "/users", admin, params={"group": "tutors"}).json()["items"]] == [
        "grace"
    ]
    ask(204, "PATCH", "/groups/tutors", admin, json={"title": "All tutors", "members": {"grace": False}})
    group = ask(200, "GET", "/groups/tutors", admin).json()
    assert (group["title"], group["members"], group["members_total"]) == ("All tutors", [], 0)
    found = ask(200, "GET", "/groups", admin, params={"search": "tutors"}).json()
    assert [each["id"] for each in found["items"]] == ["tutors"]
    few = ask(200, "GET", "/groups", admin, params={"limit": 1}).json()
    assert (len(few["items"]), few["more"]) == (1, True)
    for kind in ("users", "groups"):
        whole = [each["id"] for each in ask(200, "GET", f"/{kind}", admin).json()["items"]]
        parts, offset = [], 0
        while True:
            part = ask(200, "GET", f"/{kind}", admin, params={"limit": 1, "offset": offset}).json()
            parts += [each["id"] for each in part["items"]]
            offset += 1
            if not part["next"]:
                break
        assert parts == whole
    for path in ("/groups/tutors", "/users/grace"):
        ask(204, "DELETE", path, admin)
        ask(404, "DELETE", path, admin)
        ask(404, "GET", path, admin)


def test_a_file_comes_whole_and_in_parts(ask, bridge):
    at = {"path": "/courses/media/lecture.bin"}
    whole = ask(200, "GET", "/files", params=at)
    assert len(whole.content) == int(whole.headers["content-length"]) == 24 * 1024 * 1024
    direct = bridge.session.get(f"{bridge.url}/plone/courses/media/lecture.bin/@@download/file").content
    assert hashlib.sha256(whole.content).digest() == hashlib.sha256(direct).digest()
    part = bridge.ask("GET", f"{API}/files", params=at, headers={"range": "bytes=1000-1999"})
    assert (part.status_code, part.content == whole.content[1000:2000]) == (206, True)
    ask(404, "GET", "/files", params={"path": "/courses/open-day"})
    ask(404, "GET", "/files", params={"path": "/courses/media/campus.png", "field": "title"})


def test_a_file_goes_up_is_replaced_and_comes_back(ask, member):
    me, first, second = member.credentials, os.urandom(3 * 1024 * 1024 + 1), b"short"
    kind = {"content-type": "application/pdf"}
    where = {"parent": "/submissions", "filename": "Tür.pdf"}
    made = ask(201, "POST", "/files", me, params=where, data=first, headers=kind).json()
    assert (made["type"], made["path"]) == ("File", "/submissions/tur.pdf")
    assert made["fields"]["file"] | {"download": ""} == {
        "content-type": "application/pdf", "download": "", "filename": "Tür.pdf", "size": len(first),
    }  # fmt: skip
    at = {"path": made["path"]}
    assert ask(200, "GET", "/files", me, params=at).content == first
    ask(200, "PUT", "/files", me, params={**at, "filename": "b.pdf"}, data=second, headers=kind)
    back = ask(200, "GET", "/files", me, params=at)
    assert (back.content, back.headers["content-type"]) == (second, "application/pdf")
    assert "b.pdf" in back.headers["content-disposition"]
    ask(204, "DELETE", "/content", me, params=at)


@pytest.mark.parametrize(
    ("status", "who", "query"),
    [
        (401, False, {"parent": "/submissions"}),
        (401, True, {"parent": "/courses"}),
        (404, True, {"parent": "/nowhere"}),
        (400, True, {"parent": "/submissions", "type": "Document"}),
    ],
)
def test_a_file_that_is_not_taken(ask, member, status, who, query):
    credentials = member.credentials if who else None
    ask(status, "POST", "/files", credentials, params={"filename": "a.txt", **query}, data=b"x")


def test_nothing_secret_is_in_the_log_or_the_metrics(bridge, member):
    token = bridge.ask("POST", f"{API}/login", json={"login": member.login, "password": member.password}).json()[
        "token"
    ]
    bridge.ask("GET", f"{API}/content", token, params={"path": "/courses"})
    told = bridge.log + bridge.ask("GET", "/metrics").text
    assert "/api/v1/content" in told
    for secret in (token, member.password, "courses"):
        assert secret not in told
