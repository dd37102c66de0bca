"""What an answer to a look does not say is not taken for it: an item counts as written where Plone shows it."""

from __future__ import annotations

import json

import pytest

from eduhub_bridge.jobs import dry_run
from eduhub_bridge.jobs import perform as performing
from eduhub_bridge.jobs.operations import parse
from eduhub_bridge.plone.answers import Reply

HTML = b"<html>No.</html>"
UNAUTHORIZED = json.dumps({"type": "Unauthorized", "message": "You may not."}).encode()
OPERATIONS = {
    "create": {"path": "/courses", "item": {"@type": "Document", "title": "A"}},
    "change": {"path": "/courses/a", "item": {"title": "A"}},
    "delete": {"path": "/courses/a"},
    "publish": {"path": "/courses/a"},
    "move": {"path": "/courses/a", "to": "/"},
}
# Of what stands before Plone, or of a Plone that has something else to say: nothing about the item.
SAYS_NOTHING = [(429, HTML), (403, HTML), (302, HTML), (400, HTML), (401, HTML), (499, HTML), (204, b"")]


class Site:
    """Answers each write with a proxy's 502, and each read with the same answer."""

    def __init__(self, status, body):
        self.answer, self.writes = Reply(status, {}, body), 0

    async def ask(self, method, path="/", service="", *, document=None, query=""):  # noqa: ARG002 - as it is called
        if method == "GET":
            return self.answer
        self.writes += 1
        return Reply(502, {}, HTML)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(performing, "_FIRST_PAUSE_SECONDS", 0.0)


async def perform(site, op, item=None, **more):
    values = {**OPERATIONS[op], **({"item": item} if item else {})}
    said = parse(json.dumps({"op": op, **values}).encode())

    async def keep(_):
        return

    return await performing.perform(site, said, "scope", keep=keep, held=bool, **{"again": False, "note": None, **more})


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize(("status", "body"), SAYS_NOTHING)
async def test_a_write_without_an_answer_stays_uncertain_where_no_look_can_tell(op, status, body):
    site = Site(status, body)
    note = {"uid": "u"} if op == "move" else None
    outcome = await perform(site, op, **({"note": note, "again": True} if note else {}))
    assert (outcome.ok, outcome.doubt, outcome.more["uncertain"]) == (False, True, True)
    assert outcome.status == (status if status >= 400 else 502)
    assert site.writes <= 1  # none on the ground of an answer that says nothing


async def test_an_item_that_its_author_may_not_view_is_there():
    outcome = await perform(Site(401, UNAUTHORIZED), "create")
    assert (outcome.ok, outcome.more) == (True, {"found": True})


@pytest.mark.parametrize(("status", "body"), SAYS_NOTHING)
async def test_an_id_is_taken_only_where_plone_says_so(status, body):
    item = {"@type": "Document", "title": "A", "id": "a"}
    outcome = await perform(Site(status, body), "create", item)
    assert (outcome.ok, outcome.doubt, "already" in outcome.more["detail"]) == (False, False, False)
    assert outcome.status == (status if status >= 400 else 502)


@pytest.mark.parametrize(("status", "body", "expected"), [(429, HTML, 429), (302, HTML, 502), (401, UNAUTHORIZED, 409)])
async def test_a_dry_run_takes_an_id_for_taken_only_where_plone_says_so(status, body, expected):
    class Types(Site):
        async def ask(self, method, path="/", service="", **more):
            if service:
                return Reply(200, {}, b'[{"@id": "x/@types/Document", "addable": true}]')
            return await super().ask(method, path, **more)

    async def planned(_):
        return False

    said = parse(json.dumps({"op": "create", **OPERATIONS["create"]}).encode())
    assert (await dry_run.rehearse(Types(status, body), said, "scope", planned)).status == expected


@pytest.mark.parametrize(
    ("status", "location", "detail"),
    [
        (301, "http://edu/plone/archive/a?x=1", ""), (301, "https://edu/plone/courses/a/", "answered 301"),
        (301, "https://login.edu/?next=/plone/courses/a", "answered 301"), (302, "http://edu/plone/archive/a", "302"),
    ],
)  # fmt: skip
async def test_an_item_that_has_moved_is_not_where_it_was(status, location, detail):
    site = Site(status, HTML)
    site.answer = Reply(status, {"location": location}, HTML)
    outcome = await perform(site, "move")
    assert (outcome.ok, outcome.status, site.writes) == (False, 502 if detail else 404, 0)
    assert detail in outcome.more["detail"]
