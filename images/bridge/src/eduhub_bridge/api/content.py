"""Content: read, list, create, change, delete."""

from __future__ import annotations

from typing import Annotated, Any, Awaitable, Optional
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api.answers import COLUMNS, HEADERS, answer, content, mapping, page
from eduhub_bridge.api.etags import etag, matches
from eduhub_bridge.api.models.content import Change, Content, Create, SummaryPage
from eduhub_bridge.api.parameters import At
from eduhub_bridge.plone.answers import PloneAnswer, PloneError
from eduhub_bridge.plone.client import Caller, PloneClient
from eduhub_bridge.plone.content_paths import content_path, item_path
from eduhub_bridge.web.openapi import answers
from eduhub_bridge.web.routers import router_of

_ALONE = [("include_items", "0")]
_NAMED = {"id", "title", "description"}
# What Plone 6.0's deserializers raise, and answer with 500, for a value of a type that they did not expect.
_WRONG_VALUES = frozenset({"AttributeError", "KeyError", "TypeError"})
ETAG = "Changes with the content; for `If-None-Match` and `If-Match`"
Offset = Annotated[int, Query(description="Items to leave out.", ge=0, le=1_000_000)]
Limit = Annotated[int, Query(description="Items to give at most.", ge=1, le=100)]
IfMatch = Annotated[
    Optional[str], Header(description="Do it only if this is the content's `ETag` still.", max_length=1000)
]
LockToken = Annotated[
    Optional[str], Header(description="Token of the caller's own lock on the content, from Plone's `@lock`.")
]


def router(plone: PloneClient, routes: type[APIRoute]) -> APIRouter:
    """Return the routes."""
    api = router_of("content", routes, "/content")

    @api.get("", **answers(Content, 304, 307, says="The item.", ETag=ETAG))
    async def read(
        request: Request, path: At,
        if_none_match: Annotated[Optional[str], Header(description="An `ETag` that the caller has.")] = None,
    ) -> Response:  # fmt: skip
        """Read an item with all its fields."""
        item = await _read(plone, plone.caller(request), content_path(path))
        tag = etag(item)
        if if_none_match is not None and matches(if_none_match, tag, weak=True):
            return Response(status_code=304, headers={**HEADERS, "etag": tag})
        return answer(item, etag=tag)

    @api.get("/children", **answers(SummaryPage, 307, says="A page of items, in the order that editors gave them."))
    async def children(request: Request, path: At, offset: Offset = 0, limit: Limit = 25) -> Response:
        """List what an item holds."""
        caller = plone.caller(request)
        query = [
            ("path.depth", "1"), ("sort_on", "getObjPositionInParent"), ("b_start", str(offset)), ("b_size", str(limit))
        ]  # fmt: skip
        said = await plone.call(caller, "GET", content_path(path), "/@search", query=[*query, *COLUMNS])
        return answer(page(SummaryPage, request, caller, offset, limit, said))

    @api.post("", **answers(Content, 415, status=201, says="The new item.", Location="Its address here", ETag=ETAG))
    async def create(request: Request, new: Create) -> Response:
        """Create an item in another.

        Plone 6.0 answers 403 for a type that does not exist.
        """
        caller = plone.caller(request)
        values = {**new.fields, "@type": new.type, **new.model_dump(include=_NAMED, exclude_none=True)}
        said = await _taken(plone.call(caller, "POST", content_path(new.parent), json=values), new.fields)
        return created(caller, content(mapping(said)))

    @api.patch("", **answers(Content, 307, 412, 415, says="The item as it is now.", ETag=ETAG))
    async def change(
        request: Request, path: At, what: Change, if_match: IfMatch = None, lock_token: LockToken = None
    ) -> Response:
        """Change fields of an item.

        Plone ignores fields that the item does not have. It knows no `If-Match`: the bridge compares before it
        changes, so a change made in Plone at that very moment is not seen.
        """
        caller, at = plone.caller(request), content_path(path)
        await unchanged(plone, caller, at, if_match)
        values = {**what.fields, **what.model_dump(include=_NAMED, exclude_none=True)}
        fields = [("prefer", "return=representation"), *_lock(lock_token)]
        said = await _taken(plone.call(caller, "PATCH", at, query=_ALONE, json=values, fields=fields), what.fields)
        item = content(mapping(said))
        return answer(item, etag=etag(item))

    @api.delete("", **answers(None, 307, 412, status=204, says="It is gone, with everything that it held."))
    async def delete(
        request: Request, path: At, if_match: IfMatch = None, lock_token: LockToken = None
    ) -> Response:
        """Delete an item and everything that it holds."""
        caller, at = plone.caller(request), item_path(path)
        await unchanged(plone, caller, at, if_match)
        await plone.call(caller, "DELETE", at, fields=_lock(lock_token))
        return Response(status_code=204)

    return api


async def _taken(call: Awaitable[PloneAnswer], fields: dict[str, Any]) -> PloneAnswer:
    """Return the answer to a write; raise PloneError 400 where Plone stumbled over a value, having written nothing."""
    try:
        return await call
    except PloneError as error:
        said = error.plone or {}
        if not fields or said.get("type") not in _WRONG_VALUES:
            raise
        words = f"Plone can make nothing of a value in `fields`: {said['message']}."
        raise PloneError(400, words, error.plone) from None


def created(caller: Caller, item: Content) -> Response:
    """Return the answer for a new item."""
    location = f"{caller.origin}/api/v1/content?{urlencode({'path': item.path})}"
    return answer(item, 201, location=location, etag=etag(item))


async def _read(plone: PloneClient, caller: Caller, path: str) -> Content:
    return content(mapping(await plone.call(caller, "GET", path, query=_ALONE)))


async def unchanged(plone: PloneClient, caller: Caller, path: str, if_match: Optional[str]) -> None:
    """Raise PloneError 412 unless the content has the `ETag` that the caller names, if any."""
    if if_match is not None and not matches(if_match, etag(await _read(plone, caller, path)), weak=False):
        raise PloneError(412, "The content has changed since this ETag was given.")


def _lock(token: Optional[str]) -> list[tuple[str, str]]:
    return [("lock-token", token)] if token else []
