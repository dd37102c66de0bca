"""Search in Plone's catalogue, a page at a time."""

from __future__ import annotations

from typing import Annotated, Literal, Optional

from fastapi import APIRouter, Query
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api.answers import COLUMNS, answer, page
from eduhub_bridge.api.content import Limit, Offset
from eduhub_bridge.api.models.content import SummaryPage
from eduhub_bridge.api.parameters import LONGEST
from eduhub_bridge.plone.client import PloneClient
from eduhub_bridge.plone.content_paths import content_path
from eduhub_bridge.web.models import PATH, SHAPE
from eduhub_bridge.web.openapi import answers
from eduhub_bridge.web.routers import router_of

Sort = Literal["relevance", "title", "created", "modified", "effective", "position"]
_COLUMN = {"title": "sortable_title", "position": "getObjPositionInParent"}
_Word = Annotated[str, Query(min_length=1, max_length=200)]
Text = Annotated[
    Optional[str],
    Query(
        description="Words of the item, in Plone's syntax: `pond*`, `pond AND lake`, `\"reed warbler\"`.",
        min_length=1, max_length=500, openapi_examples={"words": {"value": "statistics"}},
    ),
]  # fmt: skip


def router(plone: PloneClient, routes: type[APIRoute]) -> APIRouter:
    """Return the routes."""
    api = router_of("search", routes, "/search")

    @api.get("", **answers(SummaryPage, says="A page of what was found and this caller may see."))
    async def search(
        request: Request,
        text: Text = None,
        type: Annotated[list[_Word], Query(description="Content types, any of them.", max_length=20)] = [],  # noqa: A002, B006
        state: Annotated[list[_Word], Query(description="Workflow states, any of them.", max_length=20)] = [],  # noqa: B006
        subject: Annotated[list[_Word], Query(description="Tags, any of them.", max_length=20)] = [],  # noqa: B006
        path: Annotated[
            str,
            Query(
                description=f"Where to search, itself included. {PATH}",
                max_length=LONGEST,
                json_schema_extra=SHAPE,
            ),
        ] = "/",
        depth: Annotated[Optional[int], Query(description="How many levels below it.", ge=0, le=100)] = None,
        sort: Annotated[Sort, Query(description="`position` is the order that editors gave.")] = "relevance",
        descending: Annotated[bool, Query(description="The other way round; not for `relevance`.")] = False,
        offset: Offset = 0,
        limit: Limit = 25,
    ) -> Response:
        """Find items; all parameters must fit."""
        caller, below = plone.caller(request), content_path(path)
        query = [("b_start", str(offset)), ("b_size", str(limit)), *COLUMNS]
        query += [("SearchableText", text)] if text is not None else []
        for index, words in (("portal_type", type), ("review_state", state), ("Subject", subject)):
            query += [(index, word) for word in words]
        query += [("path.query", below)] if below != "/" else []
        query += [("path.depth", str(depth))] if depth is not None else []
        if sort != "relevance":
            query += [("sort_on", _COLUMN.get(sort, sort)), ("sort_order", "descending" if descending else "ascending")]
        said = await plone.call(caller, "GET", "/", "/@search", query=query)
        return answer(page(SummaryPage, request, caller, offset, limit, said))

    return api
