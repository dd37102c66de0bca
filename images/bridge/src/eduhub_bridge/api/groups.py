"""Groups of users, as far as Plone shows them to the caller."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api.answers import answer, counted, group, group_summary, listing, mapping
from eduhub_bridge.api.models.people import Group, GroupChange, Groups, NewGroup
from eduhub_bridge.api.users import WHOLE, From, Most, Search
from eduhub_bridge.plone.client import PloneClient
from eduhub_bridge.plone.content_paths import quoted_name
from eduhub_bridge.web.models import NAME
from eduhub_bridge.web.openapi import answers
from eduhub_bridge.web.routers import router_of

_Id = Annotated[
    str, Path(alias="group", description="The group's id.", max_length=200, json_schema_extra=NAME,
              openapi_examples={"administrators": {"value": "Administrators"}})
]  # fmt: skip


def router(plone: PloneClient, routes: type[APIRoute]) -> APIRouter:
    """Return the routes."""
    api = router_of("groups", routes, "/groups")

    @api.get("", **answers(Groups, says="Groups."))
    async def find(request: Request, search: Search = "", offset: From = 0, limit: Most = 25) -> Response:
        """List groups; for those who may manage users."""
        caller = plone.caller(request)
        # Without a search Plone gives all of them.
        query = [("query", search), ("limit", str(offset + limit + 1))] if search else []
        said = listing(await plone.call(caller, "GET", "/", "/@groups", query=query))
        items = [group_summary(each) for each in said[offset : offset + limit]]
        return answer(Groups(items=items, **counted(request, caller, len(said), offset, limit)))

    @api.post("", **answers(Group, 415, status=201, says="The new group.", Location="Its address here"))
    async def create(request: Request, new: NewGroup) -> Response:
        """Make a group. Plone leaves out members that do not exist, and takes any word for a role."""
        caller = plone.caller(request)
        values = new.model_dump(exclude_none=True, exclude={"id", "members"})
        values = {**values, "groupname": new.id, "users": new.members}
        made = group(mapping(await plone.call(caller, "POST", "/", "/@groups", json=values)))
        return answer(made, 201, location=f"{caller.origin}/api/v1/groups/{quoted_name(made.id)}")

    @api.get("/{group}", **answers(Group, says="The group."))
    async def read(request: Request, group_id: _Id) -> Response:
        """Read a group with its members."""
        service = f"/@groups/{quoted_name(group_id)}"
        return answer(group(mapping(await plone.call(plone.caller(request), "GET", "/", service, query=WHOLE))))

    @api.patch("/{group}", **answers(None, 415, status=204, says="It is changed."))
    async def change(request: Request, group_id: _Id, what: GroupChange) -> Response:
        """Change a group, or who belongs to it."""
        caller, service = plone.caller(request), f"/@groups/{quoted_name(group_id)}"
        # Plone 6.0 answers 400 to a change of no group, and 404 to a look at none.
        await plone.call(caller, "GET", "/", service)
        values = what.model_dump(exclude_none=True, exclude={"members"})
        await plone.call(caller, "PATCH", "/", service, json={**values, "users": what.members})
        return Response(status_code=204)

    @api.delete("/{group}", **answers(None, status=204, says="The group is gone."))
    async def delete(request: Request, group_id: _Id) -> Response:
        """Delete a group; its members stay."""
        await plone.call(plone.caller(request), "DELETE", "/", f"/@groups/{quoted_name(group_id)}")
        return Response(status_code=204)

    return api
