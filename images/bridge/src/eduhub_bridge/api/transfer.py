"""Content: move and copy."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api.answers import answer, listing, made
from eduhub_bridge.api.models.content import Transfer, Transferred
from eduhub_bridge.plone.answers import PloneError
from eduhub_bridge.plone.client import PloneClient
from eduhub_bridge.plone.content_paths import content_path, item_path
from eduhub_bridge.upstream.addresses import path_of
from eduhub_bridge.web.openapi import answers
from eduhub_bridge.web.routers import router_of


def router(plone: PloneClient, routes: type[APIRoute]) -> APIRouter:
    """Return the routes."""
    api = router_of("content", routes, "/content")

    @api.post("/move", **answers(Transferred, 415, says="Where it is now."))
    async def move(request: Request, what: Transfer) -> Response:
        """Move an item, with everything that it holds, into another."""
        return await transfer(request, "/@move", what)

    @api.post("/copy", **answers(Transferred, 415, says="Where the copy is."))
    async def copy(request: Request, what: Transfer) -> Response:
        """Copy an item, with everything that it holds, into another."""
        return await transfer(request, "/@copy", what)

    async def transfer(request: Request, service: str, what: Transfer) -> Response:
        source = item_path(what.path)
        said = await plone.call(plone.caller(request), "POST", content_path(what.to), service, json={"source": source})
        done = listing(said)
        if not done:  # Plone's way to say so, with status 200
            raise PloneError(404, f"There is nothing at {source}, or nothing that this caller may see.")
        came, went = (path_of(str(done[0].get(key))) or "/" for key in ("source", "target"))
        return answer(made(Transferred, {"source": came, "path": went}))

    return api
