"""The OpenAPI document: what each endpoint answers, said where the endpoint is, put together once."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Optional, Sequence

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from eduhub_bridge import __version__
from eduhub_bridge.web import reference
from eduhub_bridge.web.problem_model import Problem
from eduhub_bridge.web.problems import MEDIA_TYPE
from eduhub_bridge.web.routers import MOUNT

URL = f"{MOUNT}/openapi.json"
PAGE = f"{MOUNT}/docs"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_WHY = {
    307: "Plone says that the content has moved; `Location` is the same request with its new path.",
    304: "The caller has this already.",
    400: "Plone objects to a value, or the bridge refuses the Host field or the path.",
    401: "Plone wants credentials, or other ones: Plone 6.0 gives this answer, not 403, to most of those who are "
    "logged in and lack a permission.",
    403: "Plone forbids it.",
    404: "There is nothing, or nothing of that kind; `moved_to` says where it went if Plone knows.",
    409: "Plone reports a conflict with another change: try again.",
    411: "The length of the file must be known beforehand.",
    412: "The content has changed since its `ETag` was given.",
    413: "The body is too long.",
    415: "The body is of another media type.",
    422: "A parameter or the body does not fit; `errors` names each place.",
    429: "This user has too many unfinished jobs.",
    500: "The bridge failed; its log says more.",
    501: "This Plone does not offer it.",
    502: "Plone failed, could not be reached or answered with something that the bridge cannot use. A write may or "
    "may not have taken place.",
    503: "Plone is overloaded or stopping; `Retry-After` says when to try again.",
    507: "The store of jobs is full.",
    504: "Plone did not answer in time. A write may or may not have taken place.",
}
_ALWAYS = (400, 401, 403, 404, 409, 413, 422, 500, 502, 503, 504)
_HEADERS = {
    307: {"Location": "URL of the same request with the new path"},
    401: {"WWW-Authenticate": "How to log in"},
    503: {"Retry-After": "Seconds to wait"},
}
_TEXT = """Content, search, users and files of a Plone site, typed.

**Paths are data.** Content is named by the parameter or member `path`: its path below the site, decoded, beginning with
`/`, such as `/courses/tür`. In a URL it is percent-encoded once, like every other value, so that no proxy, router or
client can mistake a part of it for something else; `.`, `..`, and names that mean something to Plone's traversal
(`@…`, `++…`, `_vh_…`) are refused with 400.

**Credentials** go to Plone as they come: `Authorization: Basic …`, or `Bearer …` with a token of `/api/v1/login`.
Cookies are ignored, and what changes something is refused with 403 where a browser sends it for a page of another site
(`Origin`) that the operator has not allowed (`EDUHUB_CORS_ORIGINS`). Without credentials you are Plone's anonymous
user, and what you read may be some seconds old (`Cache-Status` says so; `Cache-Control: no-cache` asks Plone), but
never older than the last write through the bridge.

**Long work** (`/api/v1/bulk`, `/api/v1/exports`) is a job: its results stream as lines of JSON, or it goes on in the
background after `Prefer: respond-async`. **Changes** come as server-sent events from `/api/v1/events`. The same
changes, and who is working where, come over a WebSocket at `/api/v1/live`, for which OpenAPI has no words: its messages
are `LiveMessage` and those that `docs/reference/bulk-and-live.md` in the distribution describes.

Every GET but the event stream may be asked with HEAD. What is not documented here, parameter or member, is refused
rather than ignored.

**Errors** are problem details (RFC 9457), with Plone's own message where it gave one.

Whatever is missing here is below `/plone`, where Plone's REST API passes as it is."""


def answers(model: Any, *others: int, status: int = 200, says: str, **headers: str) -> dict[str, Any]:
    """Return the keywords for a route that gives `model` (None: no body) and may fail in the usual ways and `others`.

    `headers` are those of the good answer: name (with _ for -) and meaning.
    """
    good: dict[str, Any] = {"description": says, "headers": _fields(headers)}
    if model is not None:
        good["model"] = model
    responses: dict[int, dict[str, Any]] = {status: good}
    for code in sorted({*_ALWAYS, *others} - {status}):
        responses[code] = {"description": _WHY[code], "headers": _fields(_HEADERS.get(code, {}))}
        if code != 304:
            responses[code]["content"] = {MEDIA_TYPE: {"schema": _PROBLEM}}
    return {"status_code": status, "response_model": None, "responses": responses}


def lines(media: str, item: str, example: str) -> dict[str, Any]:
    """Return `content` for a stream of `item`s, which name schemas; OpenAPI has `itemSchema` from 3.2 on."""
    schemas = [{"$ref": f"#/components/schemas/{each}"} for each in item.split("|")]
    whole = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {media: {"schema": {"type": "string"}, "example": example, "x-itemSchema": whole}}


def header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """Return a header parameter for `openapi_extra`, of an endpoint that reads its headers itself."""
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


def only_users(**more: Any) -> dict[str, Any]:
    """Return `openapi_extra` of an endpoint that needs a credential."""
    return {"security": [{"basic": []}, {"token": []}], **more}


def _fields(headers: dict[str, str]) -> dict[str, Any]:
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
    }


def binary(says: str) -> dict[str, Any]:
    """Return `openapi_extra` for a route whose body is a file."""
    schema = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
    return {"requestBody": {"description": says, "required": True, "content": {"application/octet-stream": schema}}}


def document(routes: list[BaseRoute], streamed: Sequence[type[BaseModel]] = ()) -> dict[str, Any]:
    """Return the document for `routes`; `streamed` are models of what is taken and given in streams."""
    made = get_openapi(title="EduHub bridge", version=__version__, description=_TEXT, routes=routes)
    schemas = made["components"]["schemas"]
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    others: list[Any] = [(Problem, "serialization"), *((model, "validation") for model in streamed)]
    schemas.update(models_json_schema(others, ref_template="#/components/schemas/{model}")[1]["$defs"])
    made["components"]["securitySchemes"] = {
        "basic": {"type": "http", "scheme": "basic"},
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    }
    failures = made["components"].setdefault("responses", {})
    for operations in made["paths"].values():
        operations.pop("head", None)  # as GET, without the body
        for operation in operations.values():
            # The docstring's first sentence, rather than the function's name.
            operation["summary"], _, rest = operation.pop("description").partition("\n")
            if rest.strip():
                operation["description"] = rest.strip()
            operation.setdefault("security", [{}, {"basic": []}, {"token": []}])
            for code, response in operation["responses"].items():
                if MEDIA_TYPE in response.get("content", {}):
                    # Said once: endpoints fail in the same ways.
                    response["content"][MEDIA_TYPE]["example"] = _example(int(code))
                    failures[code] = dict(response)
                    operation["responses"][code] = {"$ref": f"#/components/responses/{code}"}
    return made


def _example(status: int) -> dict[str, Any]:
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": _WHY[status]}


class Document:
    """The document as bytes, and as a page to read, each made when it is first asked for."""

    def __init__(self, api: FastAPI, below: str, streamed: Sequence[type[BaseModel]]) -> None:
        self._api, self._below, self._streamed = api, below, streamed
        self._bytes: Optional[bytes] = None
        self._page: Optional[str] = None

    def text(self) -> bytes:
        """Return the document."""
        if self._bytes is None:
            ours = [
                route
                for route in self._api.routes
                if getattr(route, "path", "").startswith(self._below) and getattr(route, "include_in_schema", False)
            ]
            self._bytes = orjson.dumps(document(ours, self._streamed))
        return self._bytes

    def page(self) -> str:
        """Return the page."""
        if self._page is None:
            self._page = reference.page(orjson.loads(self.text()), URL)
        return self._page
