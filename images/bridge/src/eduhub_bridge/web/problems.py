"""Errors as problem details (RFC 9457): one form for all of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Mapping, Optional, Union, cast

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

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
    return _unfit(cast("RequestValidationError", error))


async def _invalid_socket(socket: WebSocket, error: Exception) -> None:
    await socket.send_denial_response(_unfit(cast("WebSocketRequestValidationError", error)))


def refusing(scope: Scope, receive: Receive, send: Send) -> Send:
    """Return `send` for the opening of a WebSocket: where nothing is, it says so as a problem, and not only 403."""
    open_ = False

    async def told(message: Message) -> None:
        nonlocal open_
        open_ = open_ or message["type"] != "websocket.close"
        if open_:
            await send(message)
        else:
            await problem(404, NOTHING)(scope, receive, send)

    return told


def _unfit(error: Union[RequestValidationError, WebSocketRequestValidationError]) -> Response:
    wrong = [{"where": ".".join(str(part) for part in each["loc"]), "what": each["msg"]} for each in error.errors()]
    return problem(422, "The request does not fit this endpoint.", errors=wrong)


async def _bug(_: Request, __: Exception) -> Response:
    return problem(500, BUG)


def install(api: FastAPI) -> None:
    """Make `api` answer every error as a problem."""
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(WebSocketRequestValidationError, _invalid_socket)
    api.add_exception_handler(Exception, _bug)
