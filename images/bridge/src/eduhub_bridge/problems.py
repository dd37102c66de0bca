"""Errors as problem details (RFC 9457): one form for all of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Mapping, Optional, cast

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

MEDIA_TYPE = "application/problem+json"
NOTHING = "Nothing is here. / lists what the bridge offers."
BUG = "The bridge failed; its log says more."


def problem(status: int, detail: str, headers: Optional[Mapping[str, str]] = None, **more: Any) -> Response:
    """Return the response for an error: `detail` says what is wrong in one sentence, `more` are extensions."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Response(
        orjson.dumps(document), status, {"cache-control": "no-store", **(headers or {})}, media_type=MEDIA_TYPE
    )


async def _http(request: Request, error: Exception) -> Response:
    error = cast("HTTPException", error)
    if error.status_code == 404:
        return problem(404, NOTHING)
    if error.status_code == 405:
        return problem(405, f"{request.method} is not offered here.", {"allow": ", ".join(_methods(request))})
    return problem(error.status_code, str(error.detail), error.headers)


def _methods(request: Request) -> list[str]:
    # Starlette names those of the first route that has this path; there may be a route for each method.
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches({**request.scope, "method": "GET"})[0] is not Match.NONE:
            found |= route.methods
    return sorted(found)


async def _invalid(_: Request, error: Exception) -> Response:
    error = cast("RequestValidationError", error)
    wrong = [{"where": ".".join(str(part) for part in each["loc"]), "what": each["msg"]} for each in error.errors()]
    return problem(422, "The request does not fit this endpoint.", errors=wrong)


async def _bug(_: Request, __: Exception) -> Response:
    return problem(500, BUG)


def install(api: FastAPI) -> None:
    """Make `api` answer every error as a problem."""
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(Exception, _bug)
