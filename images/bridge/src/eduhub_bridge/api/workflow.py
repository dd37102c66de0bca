"""Workflow: where an item stands, what was done with it, and the next step."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api.answers import answer, made, mapping
from eduhub_bridge.api.models.content import Event, Step, Workflow
from eduhub_bridge.api.parameters import At
from eduhub_bridge.plone.client import PloneClient
from eduhub_bridge.plone.content_paths import content_path, item_path, quoted_name
from eduhub_bridge.web.openapi import answers
from eduhub_bridge.web.routers import router_of


def router(plone: PloneClient, routes: type[APIRoute]) -> APIRouter:
    """Return the routes."""
    api = router_of("workflow", routes, "/content/workflow")

    @api.get("", **answers(Workflow, 307, says="State, possible transitions and history."))
    async def read(request: Request, path: At) -> Response:
        """Read where an item stands in its workflow."""
        said = await plone.call(plone.caller(request), "GET", content_path(path), "/@workflow")
        return answer(made(Workflow, _workflow(mapping(said))))

    @api.post("", **answers(Event, 307, 415, says="What happened."))
    async def step(request: Request, path: At, what: Step) -> Response:
        """Make a transition, such as `publish`."""
        service = f"/@workflow/{quoted_name(what.transition)}"
        values = {"comment": what.comment, "include_children": what.include_children}
        said = await plone.call(plone.caller(request), "POST", item_path(path), service, json=values)
        return answer(made(Event, _event(mapping(said))))

    return api


def _workflow(said: dict[str, Any]) -> dict[str, Any]:
    state = said.get("state") or {}
    return {
        "state": state if state.get("id") else None,
        "transitions": [
            {"id": str(each.get("@id", "")).rpartition("/")[2], "title": each.get("title")}
            for each in said.get("transitions", [])
        ],
        "history": [_event(each) for each in said.get("history", [])],
    }


def _event(said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "state": said.get("review_state")}
