"""`/api/v1`: Plone's content, search, users and files as typed endpoints with an OpenAPI document."""

from __future__ import annotations

from typing import Any, Sequence, cast
from urllib.parse import urlencode

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api import content, files, groups, search, session, transfer, users, workflow
from eduhub_bridge.plone.answers import PloneError
from eduhub_bridge.plone.client import PloneClient
from eduhub_bridge.settings import Settings
from eduhub_bridge.upstream.addresses import RefusedError
from eduhub_bridge.upstream.limits import UpstreamError
from eduhub_bridge.web import openapi, reference, routers, strict
from eduhub_bridge.web.disconnect import ClientDisconnect
from eduhub_bridge.web.problems import problem

_SUBJECTS = (content, transfer, workflow, search, session, users, groups)


def install(app: FastAPI, plone: PloneClient, settings: Settings, streamed: Sequence[type[BaseModel]]) -> None:
    """Add the endpoints, their document (and its page), and what their errors look like.

    The document also has the endpoints below the same mount that others add, and the models `streamed` that they name.
    """
    routes = strict.route_class(settings.body_bytes)
    subjects = [subject.router(plone, routes) for subject in _SUBJECTS]
    for router in (*subjects, files.router(plone, routes, settings.upload_bytes)):
        routers.add(app, router)
    app.add_exception_handler(PloneError, _plone)
    app.add_exception_handler(UpstreamError, _upstream)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(RefusedError, _refused)
    described = openapi.Document(app, f"{routers.MOUNT}/", streamed)

    async def document(_: Request) -> Response:
        return Response(described.text(), headers={"cache-control": "no-cache"}, media_type="application/json")

    async def page(_: Request) -> Response:
        return Response(described.page(), headers=reference.HEADERS, media_type="text/html")

    app.add_route(openapi.URL, document, ["GET"], include_in_schema=False)
    app.add_route(openapi.PAGE, page, ["GET"], include_in_schema=False)


async def _plone(request: Request, error: Exception) -> Response:
    error = cast("PloneError", error)
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    status = error.status
    if error.plone:
        more["plone"] = error.plone
    if error.moved_to:
        more["moved_to"] = error.moved_to
        if error.moved_to.startswith("/") and "path" in request.query_params:
            query = [pair for pair in request.query_params.multi_items() if pair[0] != "path"]
            status, query = 307, [("path", error.moved_to), *query]
            headers["location"] = f"{request.url.path}?{urlencode(query)}"
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="Plone"'
    if status == 503:
        headers["retry-after"] = "1"
    return problem(status, str(error), headers, **more)


async def _upstream(_: Request, error: Exception) -> Response:
    error = cast("UpstreamError", error)
    return problem(error.status, str(error), error.headers)


async def _gone(_: Request, __: Exception) -> Response:
    return problem(400, "The body broke off before its end.")  # never read: the client left while it sent the body


async def _refused(_: Request, error: Exception) -> Response:
    return problem(400, str(error))
