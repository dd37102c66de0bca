"""Routes that take what they document and nothing else: no unknown parameter, no oversized or other body."""

from __future__ import annotations

from typing import Any, Callable, Coroutine, Iterator

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.plone import documents
from eduhub_bridge.plone.client import CACHE_STATUS
from eduhub_bridge.upstream import headers
from eduhub_bridge.web.cors import ALLOWED

_JSON = "application/json"
_SAFE = frozenset({"GET", "HEAD"})


class StrictRequest(Request):
    """A request whose body is JSON of a bounded length."""

    limit: int

    async def body(self) -> bytes:
        """Return the body; raise HTTPException 413 as soon as it is known to be too long."""
        if not hasattr(self, "_body"):
            check_length(self, self.limit)
            parts, length = [], 0
            async for part in self.stream():
                length += len(part)
                if length > self.limit:
                    raise _too_long(self.limit)
                parts.append(part)
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> Any:
        """Return the parsed body; raise orjson.JSONDecodeError, as for what is nested too deep."""
        return documents.read(await self.body())


def check_length(request: Request, limit: int) -> None:
    """Raise HTTPException 413 if the request says that its body is longer than `limit` bytes."""
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > limit:
        raise _too_long(limit)


def _too_long(limit: int) -> HTTPException:
    return HTTPException(413, f"The body is longer than {limit} bytes.")


def route_class(limit: int, *, head: bool = True) -> type[APIRoute]:
    """Return the class of routes whose bodies are at most `limit` bytes long; `head` lets GET be asked with HEAD."""

    class StrictRoute(APIRoute):
        def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
            super().__init__(path, endpoint, **more)
            if head and self.methods and "GET" in self.methods:
                self.methods.add("HEAD")  # the server leaves out the body

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()
            known = {each.alias: isinstance(each.default, (list, tuple)) for each in _query(self.dependant)}
            takes_json = self.body_field is not None

            async def handle(request: Request) -> Response:
                if headers.foreign(request.scope["headers"]):
                    _check_foreign(request)
                _check_query(request, known)
                if takes_json:
                    _check_type(request)
                strict = StrictRequest(request.scope, request.receive)
                strict.limit = limit
                response = await inner(strict)
                if CACHE_STATUS in request.scope:
                    response.raw_headers.append((b"cache-status", request.scope[CACHE_STATUS]))
                return response

            return handle

    return StrictRoute


def _query(dependant: Dependant) -> Iterator[Any]:
    """Yield the query parameters of an endpoint and of all that it depends on."""
    yield from dependant.query_params
    for each in dependant.dependencies:
        yield from _query(each)


def _check_foreign(request: Request) -> None:
    """Refuse a write for a page of another site, but for one that may call; refuse that one any remembered password."""
    if not request.scope.get(ALLOWED):
        if request.method not in _SAFE:
            raise HTTPException(403, "A page of another site had its visitor's browser send this.")
    elif not all(value.lower().startswith("bearer ") for value in request.headers.getlist("authorization")):
        # A browser adds a password that it remembers without the page's having it; a token only the page can send.
        raise HTTPException(403, "A page of another site sends its user's token: Authorization: Bearer ….")


def _check_query(request: Request, known: dict[str, bool]) -> None:
    seen = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            # A slip of the pen that is silently ignored gives the wrong answer, and looks right.
            raise _wrong(name, f"There is no such parameter; this endpoint knows {', '.join(sorted(known)) or 'none'}.")
        if name in seen and not known[name]:
            raise _wrong(name, "This parameter can be given once.")
        if "\ufffd" in value or "\x00" in value:
            raise _wrong(name, "This holds bytes that are no text in UTF-8.")
        seen.add(name)


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != _JSON:
        raise HTTPException(415, f"The body must be {_JSON}, not {given[:80] or 'of no type'}.")


def _wrong(name: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("query", name[:80]), "msg": message, "type": "value_error"}])
