"""Users, as far as Plone shows them to the caller."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api.answers import answer, counted, listing, mapping, user
from eduhub_bridge.api.models.people import NewUser, User, UserChange, Users
from eduhub_bridge.plone.client import PloneClient
from eduhub_bridge.plone.content_paths import quoted_name
from eduhub_bridge.web.models import NAME
from eduhub_bridge.web.openapi import answers
from eduhub_bridge.web.routers import router_of

# Plone shows 25 groups of a user, or members of a group, unless it is told otherwise.
WHOLE = [("b_size", "500")]
Search = Annotated[str, Query(description="Part of id or name.", max_length=200)]
Most = Annotated[int, Query(description="How many to give at most.", ge=1, le=500)]
# Plone makes all that come before, each time.
From = Annotated[int, Query(description="How many to leave out.", ge=0, le=10_000)]
_Id = Annotated[
    str, Path(alias="user", description="The user's id.", max_length=200, json_schema_extra=NAME,
              openapi_examples={"ada": {"value": "ada"}})
]  # fmt: skip


def router(plone: PloneClient, routes: type[APIRoute]) -> APIRouter:
    """Return the routes."""
    api = router_of("users", routes, "/users")

    @api.get("", **answers(Users, says="Users, by full name."))
    async def find(
        request: Request,
        search: Search = "",
        group: Annotated[list[str], Query(description="Groups, any of them.", max_length=20)] = [],  # noqa: B006
        offset: From = 0,
        limit: Most = 25,
    ) -> Response:
        """List users; for those who may manage users.

        Plone cuts what a `search` finds before it sorts it, so that its parts would not be pages of one list: search
        more narrowly instead of giving an `offset`.
        """
        if search and offset:
            raise HTTPException(422, "Give no `offset` with `search`: Plone has no pages of what it finds.")
        caller = plone.caller(request)
        # Plone has no pages, only a limit. One more than is shown tells whether there are more.
        query = [("limit", str(offset + limit + 1))] + ([("search", search)] if search else [])
        query += [("groups-filter:list", each) for each in group]
        said = listing(await plone.call(caller, "GET", "/", "/@users", query=query))
        items = [user(each) for each in said[offset : offset + limit]]
        after = counted(request, caller, len(said), offset, limit)
        return answer(Users(items=items, **({**after, "next": None} if search else after)))

    @api.post("", **answers(User, 415, status=201, says="The new user.", Location="Its address here"))
    async def create(request: Request, new: NewUser) -> Response:
        """Make a user."""
        caller = plone.caller(request)
        values = new.model_dump(exclude_none=True)
        if "send_password_reset" in values:
            values["sendPasswordReset"] = values.pop("send_password_reset")
        made = user(mapping(await plone.call(caller, "POST", "/", "/@users", json=values)))
        return answer(made, 201, location=f"{caller.origin}/api/v1/users/{quoted_name(made.id)}")

    @api.get("/{user}", **answers(User, says="The user."))
    async def read(request: Request, user_id: _Id) -> Response:
        """Read a user; everybody may read themselves."""
        service = f"/@users/{quoted_name(user_id)}"
        return answer(user(mapping(await plone.call(plone.caller(request), "GET", "/", service, query=WHOLE))))

    @api.patch("/{user}", **answers(None, 415, status=204, says="It is changed."))
    async def change(request: Request, user_id: _Id, what: UserChange) -> Response:
        """Change a user."""
        caller, service = plone.caller(request), f"/@users/{quoted_name(user_id)}"
        # Plone 6.0 answers 500 to a change of a user that does not exist, and 404 to a read.
        await plone.call(caller, "GET", "/", service)
        await plone.call(caller, "PATCH", "/", service, json=what.model_dump(exclude_none=True))
        return Response(status_code=204)

    @api.delete("/{user}", **answers(None, status=204, says="The user is gone."))
    async def delete(request: Request, user_id: _Id) -> Response:
        """Delete a user and their local roles; what they wrote stays."""
        query = [("delete_memberareas", "0")]
        await plone.call(plone.caller(request), "DELETE", "/", f"/@users/{quoted_name(user_id)}", query=query)
        return Response(status_code=204)

    return api
