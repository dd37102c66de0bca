"""`/api/v1/docs` shows what the OpenAPI document says, and loads and runs nothing."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from html.parser import HTMLParser

import pytest

from eduhub_bridge.web import reference

# Elements that HTML has no end of.
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The elements of a page, and its words; fails where one is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words, self._open = "", []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words += data

    def all(self, attribute: str) -> list[str | None]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.fixture(scope="module")
def document(_bridge):
    return _bridge.get("/api/v1/openapi.json").json()


@pytest.fixture(scope="module")
def answer(_bridge):
    answer = _bridge.get("/api/v1/docs")
    assert (answer.status, answer.field("content-type")) == (200, ["text/html; charset=utf-8"])
    return answer


@pytest.fixture(scope="module")
def page(answer):
    return Page(answer.body.decode())


def test_every_endpoint_failure_and_object_has_its_place(document, page):
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    failures, objects = (document["components"][each] for each in ("responses", "schemas"))
    places = [*(each["operationId"] for each in operations), *(f"status-{each}" for each in failures), *objects]
    assert sorted(page.all("id")) == sorted(places)
    for each in operations:
        assert each["summary"].replace("`", "") in page.words
        for parameter in each.get("parameters", []):
            assert parameter["description"].replace("`", "") in page.words
    for schema in objects.values():
        for member in schema.get("properties", {}).values():
            assert member.get("description", "").replace("`", "") in page.words


def test_every_link_leads_to_a_place_of_the_page_or_to_the_document(page):
    assert set(page.all("href")) <= {"/api/v1/openapi.json", *(f"#{each}" for each in page.all("id"))}
    assert "/api/v1/openapi.json" in page.all("href")


def test_nothing_is_loaded_or_run_and_a_browser_is_told_to_allow_none(answer, page):
    assert {tag for tag, _ in page.elements} & {"script", "img", "link", "iframe", "form", "object", "base"} == set()
    assert [name for _, attributes in page.elements for name in attributes if name in {"src", "style"}] == []
    (style,) = re.findall("<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = answer.field("content-security-policy")
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert answer.field("x-content-type-options") == ["nosniff"]


def test_no_text_of_the_document_becomes_markup(document):
    hostile, other = '"><script>alert(1)</script>', copy.deepcopy(document)
    operation = other["paths"].pop("/api/v1/search")["get"]
    operation["summary"] = operation["parameters"][0]["name"] = operation["operationId"] = hostile
    operation["parameters"][0]["examples"] = {"one": {"value": hostile}}
    other["paths"][hostile] = {"get": operation}
    other["components"]["schemas"][hostile] = {"properties": {hostile: {"enum": [hostile], "description": hostile}}}
    other["components"]["schemas"]["Job"] = {"properties": {"x": {"$ref": f"#/components/schemas/{hostile}"}}}
    other["info"]["title"] = other["info"]["description"] = hostile
    assert "<script" not in reference.page(other, hostile)


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "string", "minLength": 1, "maxLength": 200}, "string, length from 1, length to 200"),
        ({"type": "integer", "minimum": 1, "maximum": 9, "default": 3}, "integer, from 1, to 9, 3 if left out"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "date-time or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Job"}, "maxItems": 5}, "list of Job, at most 5"),
        ({"enum": ["a", "b"], "type": "string"}, '"a" or "b"'),
        ({"const": "x"}, '"x"'),
        ({}, "any"),
    ],
)
def test_a_type_is_told_in_words(document, schema, shown):
    other = copy.deepcopy(document)
    other["components"]["schemas"] = {"Job": {"properties": {"member": schema}}}
    assert f"member{shown}" in Page(reference.page(other, "x")).words


def test_head_has_no_body(bridge):
    answer = bridge.get("/api/v1/docs", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
