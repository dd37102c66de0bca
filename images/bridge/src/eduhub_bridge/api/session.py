"""Tokens: Plone makes them, checks them and forgets them; the bridge passes them on and keeps none."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api.answers import answer, made, mapping
from eduhub_bridge.api.models.people import Credentials, Token
from eduhub_bridge.plone.answers import PloneAnswer
from eduhub_bridge.plone.client import PloneClient
from eduhub_bridge.web.openapi import answers
from eduhub_bridge.web.routers import router_of


def router(plone: PloneClient, routes: type[APIRoute]) -> APIRouter:
    """Return the routes."""
    api = router_of("login", routes, "/login")

    @api.post("", **answers(Token, 415, 501, says="A token."))
    async def login(request: Request, who: Credentials) -> Response:
        """Log in with name and password."""
        values = {"login": who.login, "password": who.password}
        return _token(await plone.call(plone.caller(request), "POST", "/", "/@login", json=values))

    @api.post("/renew", **answers(Token, 501, says="A token that lasts longer."))
    async def renew(request: Request) -> Response:
        """Exchange the token of this request for a new one."""
        return _token(await plone.call(plone.caller(request), "POST", "/", "/@login-renew"))

    @api.post("/end", **answers(None, 501, status=204, says="Plone was told."))
    async def logout(request: Request) -> Response:
        """Log out.

        A stock Plone stores no tokens, so it cannot take one back: it is good until it expires. Forget it.
        """
        await plone.call(plone.caller(request), "POST", "/", "/@logout")
        return Response(status_code=204)

    return api


def _token(said: PloneAnswer) -> Response:
    return answer(made(Token, mapping(said)), cache_control="no-store")
