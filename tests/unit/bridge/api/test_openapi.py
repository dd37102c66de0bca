"""The document says what is so: endpoints, answers, examples; it needs nothing from elsewhere."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import TypeAdapter

from eduhub_bridge.api.models import content, people
from eduhub_bridge.jobs import models as jobs
from eduhub_bridge.jobs import operations as bulk
from eduhub_bridge.live import models as live
from eduhub_bridge.web import problem_model as problems
from tests.openapi.breaking import breaking
from tests.openapi.published import PUBLISHED, text
from tests.unit.bridge.api.restapi import problem

MODELS = (content, people, jobs, live, problems, bulk)
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
        "DELETE /api/v1/content", "DELETE /api/v1/groups/{group}", "DELETE /api/v1/jobs/{job}",
        "DELETE /api/v1/users/{user}", "GET /api/v1/content", "GET /api/v1/content/children",
        "GET /api/v1/content/workflow", "GET /api/v1/events", "GET /api/v1/files", "GET /api/v1/groups",
        "GET /api/v1/groups/{group}", "GET /api/v1/jobs", "GET /api/v1/jobs/{job}", "GET /api/v1/jobs/{job}/results",
        "GET /api/v1/search", "GET /api/v1/users", "GET /api/v1/users/{user}", "PATCH /api/v1/content",
        "PATCH /api/v1/groups/{group}", "PATCH /api/v1/users/{user}", "POST /api/v1/bulk", "POST /api/v1/content",
        "POST /api/v1/content/copy", "POST /api/v1/content/move", "POST /api/v1/content/workflow",
        "POST /api/v1/exports", "POST /api/v1/files", "POST /api/v1/groups", "POST /api/v1/jobs/{job}/resume",
        "POST /api/v1/login", "POST /api/v1/login/end", "POST /api/v1/login/renew", "POST /api/v1/users",
        "PUT /api/v1/files",
    ]  # fmt: skip


def test_the_published_document_is_what_the_bridge_gives_and_breaks_no_client(document):
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert breaking(published, document) == [], "keep what clients use"
    assert PUBLISHED.read_text(encoding="utf-8") == text(document), "`./invoke openapi` publishes it anew"


def test_every_endpoint_says_what_it_does_and_how_it_fails(document):
    for name, operation in operations(document).items():
        assert re.fullmatch(r"[A-Z].*\.", operation["summary"]), name
        assert set(operation["responses"]) >= USUAL, name
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
    for response in document["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]


@pytest.mark.parametrize(
    ("name", "statuses", "media", "items"),
    [
        ("POST /api/v1/bulk", {"200", "202", "415", "429", "507"}, "application/x-ndjson", {"OperationResult", "Job"}),
        ("POST /api/v1/exports", {"200", "202", "429", "507"}, "application/x-ndjson", {"Job"}),
        ("GET /api/v1/jobs/{job}/results", {"200", "507"}, "application/x-ndjson", {"OperationResult", "Job"}),
        ("GET /api/v1/events", {"200"}, "text/event-stream", {"LiveMessage"}),
    ],
)
def test_streams_say_what_comes_in_them_with_an_example(document, name, statuses, media, items):
    responses = operations(document)[name]["responses"]
    assert set(responses) == USUAL | statuses
    (found,) = responses["200"]["content"].items()
    assert found[0] == media
    lines = [line.removeprefix("data: ") for line in found[1]["example"].splitlines() if '"' in line]
    assert all(json.loads(line) for line in lines)
    assert set(re.findall(r"schemas/(\w+)", str(found[1]["x-itemSchema"]))) == items
    if "202" in statuses:
        accepted = responses["202"]
        assert accepted["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Job"}
        assert set(accepted["headers"]) == {"Location", "Preference-Applied"}


def test_the_lines_of_examples_are_what_their_schemas_say(document):
    taken = operations(document)["POST /api/v1/bulk"]["requestBody"]["content"]["application/x-ndjson"]["example"]
    assert [bulk.parse(line.encode()).op for line in taken.splitlines()] == ["create", "change"]
    given = operations(document)["POST /api/v1/bulk"]["responses"]["200"]["content"]["application/x-ndjson"]["example"]
    result, job = given.splitlines()
    assert jobs.OperationResult.model_validate_json(result).ok
    assert jobs.Job.model_validate_json(job).state == "done"


def test_jobs_are_for_users_and_the_document_says_so(document):
    for name, operation in operations(document).items():
        needs = re.search(r"/(bulk|exports|jobs)", name) is not None
        assert ({} in operation["security"]) is not needs, name


def test_generated_clients_have_good_names(document):
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(names) == len(set(names))
    assert {"content_read", "files_upload", "jobs_bulk", "live_events", "login_renew", "users_find"} < set(names)


def test_every_reference_leads_somewhere(document):
    for reference in set(re.findall(r"'\$ref': '([^']+)'", str(document))):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_model_has_examples_that_fit_it(document):
    checked = 0
    for name, schema in document["components"]["schemas"].items():
        model = next(getattr(each, name) for each in MODELS if hasattr(each, name))
        for member, field in model.model_fields.items():
            for example in field.examples or []:
                TypeAdapter(field.rebuild_annotation()).validate_python(example)
                checked += 1
            assert schema["properties"][member] is not None
    assert checked > 50


def test_the_document_asks_nobody_else(document):
    assert "openapi" in document
    assert not re.search(r"https?://(?!hub\.example\.org)", str(document))


@pytest.mark.parametrize("target", ["/docs", "/redoc", "/openapi.json", "/api/v1/redoc"])
def test_there_is_no_page_that_would_load_scripts_from_elsewhere(bridge, target):
    problem(bridge.get(target), 404)
