"""The document says what is so: endpoints, answers, examples; it needs nothing from elsewhere."""

from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter

from eduhub_bridge.api import models
from tests.unit.bridge.api.restapi import problem

USUAL = {"400", "401", "403", "404", "409", "413", "422", "500", "502", "503", "504"}


@pytest.fixture(scope="module")
def document(_bridge):
    answer = _bridge.get("/api/v1/openapi.json")
    assert (answer.status, answer.field("content-type")) == (200, ["application/json"])
    return answer.json()


def operations(document):
    return {f"{method.upper()} {path}": operation for path, methods in document["paths"].items()
            for method, operation in methods.items()}  # fmt: skip


def test_every_endpoint_is_there_and_nothing_of_the_bridges_own(document):
    assert sorted(operations(document)) == [
        "DELETE /api/v1/content", "DELETE /api/v1/groups/{group}", "DELETE /api/v1/users/{user}",
        "GET /api/v1/content", "GET /api/v1/content/children", "GET /api/v1/content/workflow", "GET /api/v1/files",
        "GET /api/v1/groups", "GET /api/v1/groups/{group}", "GET /api/v1/search", "GET /api/v1/users",
        "GET /api/v1/users/{user}", "PATCH /api/v1/content", "PATCH /api/v1/groups/{group}",
        "PATCH /api/v1/users/{user}", "POST /api/v1/content", "POST /api/v1/content/copy",
        "POST /api/v1/content/move", "POST /api/v1/content/workflow", "POST /api/v1/files", "POST /api/v1/groups",
        "POST /api/v1/login", "POST /api/v1/login/end", "POST /api/v1/login/renew", "POST /api/v1/users",
        "PUT /api/v1/files",
    ]  # fmt: skip


def test_every_endpoint_says_what_it_does_and_how_it_fails(document):
    for name, operation in operations(document).items():
        assert re.fullmatch(r"[A-Z].*\.", operation["summary"]), name
        assert set(operation["responses"]) >= USUAL, name
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
    for response in document["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]


def test_generated_clients_have_good_names(document):
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(names) == len(set(names))
    assert {"content_read", "files_upload", "login_renew", "users_find"} < set(names)


def test_every_reference_leads_somewhere(document):
    for reference in set(re.findall(r"'\$ref': '([^']+)'", str(document))):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_model_has_examples_that_fit_it(document):
    checked = 0
    for name, schema in document["components"]["schemas"].items():
        model = getattr(models, name)
        for member, field in model.model_fields.items():
            for example in field.examples or []:
                TypeAdapter(field.rebuild_annotation()).validate_python(example)
                checked += 1
            assert schema["properties"][member] is not None
    assert checked > 50


def test_the_document_asks_nobody_else(document):
    assert "openapi" in document
    assert not re.search(r"https?://(?!hub\.example\.org)", str(document))


@pytest.mark.parametrize("target", ["/docs", "/redoc", "/openapi.json", "/api/v1/docs"])
def test_there_is_no_page_that_would_load_scripts_from_elsewhere(bridge, target):
    problem(bridge.get(target), 404)
