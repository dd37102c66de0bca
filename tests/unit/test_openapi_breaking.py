"""Each kind of change that breaks a client of the API is named in one sentence, and no other change is."""

from __future__ import annotations

import copy
import json

import pytest

from tests.openapi.breaking import breaking
from tests.openapi.published import PUBLISHED, BreakingError, publish

OPERATION = {
    "operationId": "content_create",
    "parameters": [{"in": "query", "name": "path", "schema": {"type": "string", "maxLength": 2000}}],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}},
    },
    "responses": {
        "201": {
            "headers": {"Location": {}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}},
        },
        "404": {"description": "Nothing."},
    },
}
DOCUMENT = {
    "paths": {"/content": {"post": OPERATION}, "/users": {"get": {"operationId": "users", "responses": {}}}},
    "components": {
        "schemas": {
            "New": {
                "type": "object",
                "properties": {
                    "title": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "state": {"type": "string", "enum": ["private", "published"]},
                    "count": {"type": "number", "minimum": 1},
                },
                "required": ["state"],
            },
            "Item": {
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "size": {"type": "integer"},
                    "kind": {"enum": ["File"]},
                    "items": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
                },
                "required": ["path", "size"],
            },
        }
    },
}
POST = ["paths", "/content", "post"]
NEW, ITEM = ["components", "schemas", "New"], ["components", "schemas", "Item"]
GONE = object()
BROKEN = [
    (["paths", "/users"], GONE, "The path /users is gone."),
    ([*POST], GONE, "POST /content is gone."),
    ([*POST, "operationId"], "make", "POST /content has another operationId: content_create is now make."),
    ([*POST, "parameters"], [], "POST /content, query parameter path is gone."),
    ([*POST, "parameters", 0, "required"], True, "POST /content, query parameter path is required now."),
    (
        [*POST, "parameters", 0, "schema", "maxLength"], 9,
        "POST /content, query parameter path has a stricter maxLength: 2000 is now 9.",
    ),
    (
        [*POST, "parameters", 0, "schema", "pattern"], "^/",
        "POST /content, query parameter path has another pattern: none is now ^/.",
    ),
    (
        [*POST, "parameters"], [*OPERATION["parameters"], {"in": "header", "name": "X", "required": True}],
        "POST /content, header parameter X is new and required.",
    ),
    ([*POST, "requestBody"], GONE, "POST /content takes no body any more."),
    ([*POST, "responses", "201"], GONE, "POST /content does not answer 201 any more."),
    ([*POST, "responses", "201", "headers"], {}, "POST /content, answer 201 has no header Location any more."),
    (
        [*POST, "responses", "201", "content"], {},
        "POST /content, answer 201 is not given as application/json any more.",
    ),
    ([*NEW, "required"], ["state", "title"], "POST /content, body.title is required now."),
    ([*NEW, "additionalProperties"], False, "POST /content, body takes no other members any more."),
    ([*NEW, "properties", "title"], GONE, "POST /content, body.title is gone."),
    (
        [*NEW, "properties", "title", "anyOf"], [{"type": "string"}],
        "POST /content, body.title is not taken as null any more.",
    ),
    (
        [*NEW, "properties", "state", "enum"], ["private"],
        "POST /content, body.state does not take 'published' any more.",
    ),
    ([*NEW, "properties", "count", "type"], "integer", "POST /content, body.count was number and is integer now."),
    ([*ITEM, "properties", "size"], GONE, "POST /content, answer 201.size is gone."),
    ([*ITEM, "properties", "size", "type"], "string", "POST /content, answer 201.size was integer and is string now."),
    ([*ITEM, "required"], ["path"], "POST /content, answer 201.size may be missing now."),
    ([*ITEM, "properties", "kind", "enum"], ["File", "Image"], "POST /content, answer 201.kind may now be 'Image'."),
]  # fmt: skip
FINE = [
    (["paths", "/groups"], {"get": {"operationId": "groups", "responses": {}}}),
    ([*POST, "summary"], "Another text."),
    ([*POST, "parameters", 0, "schema", "maxLength"], 4000),
    ([*POST, "parameters"], [*OPERATION["parameters"], {"in": "query", "name": "more"}]),
    ([*POST, "responses", "404"], GONE),
    ([*NEW, "required"], []),
    ([*NEW, "properties", "more"], {"type": "string"}),
    ([*NEW, "properties", "state", "enum"], ["private", "published", "pending"]),
    ([*ITEM, "properties", "more"], {"type": "string"}),
    ([*ITEM, "required"], ["path", "size", "kind"]),
]


def changed(place, value):
    """Return the document with what is at `place` replaced, or taken away."""
    made = copy.deepcopy(DOCUMENT)
    *way, last = place
    where = made
    for step in way:
        where = where[step]
    if value is GONE:
        del where[last]
    else:
        where[last] = value
    return made


@pytest.mark.parametrize(("place", "value", "sentence"), BROKEN)
def test_a_change_that_breaks_clients_is_named(place, value, sentence):
    assert breaking(DOCUMENT, changed(place, value)) == [sentence]


@pytest.mark.parametrize(("place", "value"), FINE)
def test_a_change_that_breaks_no_client_is_none(place, value):
    assert breaking(DOCUMENT, changed(place, value)) == []


def test_a_document_breaks_nothing_of_itself():
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert breaking(published, published) == []


def test_the_published_document_is_not_replaced_by_one_that_breaks_it(tmp_path):
    file = tmp_path / "openapi.json"
    publish(DOCUMENT, file)
    before = file.read_text(encoding="utf-8")
    broken = changed(["paths", "/users"], GONE)
    with pytest.raises(BreakingError, match="The path /users is gone"):
        publish(broken, file)
    assert file.read_text(encoding="utf-8") == before
    publish(broken, file, agreed=True)
    assert json.loads(file.read_text(encoding="utf-8")) == broken
