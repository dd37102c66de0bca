"""From Plone's documents to ours, and from ours to bytes. Pure, but for what a response is made of."""

from __future__ import annotations

from typing import Any, Optional, TypeVar, cast
from urllib.parse import urlencode

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api.models.content import Content, Summary
from eduhub_bridge.api.models.people import Group, GroupSummary, User
from eduhub_bridge.plone.answers import PloneAnswer, PloneError
from eduhub_bridge.plone.client import Caller
from eduhub_bridge.upstream.addresses import path_of

# A cache must ask again before it uses an answer: Plone shows each caller something else.
HEADERS = {"cache-control": "private, no-cache", "vary": "authorization, accept-language"}
# Columns of Plone's catalogue that a summary needs and Plone gives only to those who ask.
COLUMNS = [("metadata_fields", name) for name in ("UID", "id", "created", "modified", "Subject", "is_folderish")]
_PROMOTED = frozenset(
    {"@id", "@type", "@components", "UID", "id", "title", "description", "review_state", "created", "modified"}
    | {"is_folderish", "subjects", "parent", "items", "items_total", "batching"}
)
_Model = TypeVar("_Model", bound=BaseModel)


def answer(model: BaseModel, status: int = 200, **headers: str) -> Response:
    """Return the response that carries `model`; `headers` are named with _ for -."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(model.model_dump_json(), status, {**HEADERS, **given}, media_type="application/json")


def made(kind: type[_Model], values: Any) -> _Model:
    """Return the model; raise PloneError where Plone's answer is not what this API promises to pass on."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in wrong["loc"])
        raise PloneError(502, f"Plone's answer has no usable {where}: {wrong['msg']}.") from None


def mapping(said: PloneAnswer) -> dict[str, Any]:
    """Return the document of an answer that must be an object."""
    if not isinstance(said.document, dict):
        raise PloneError(502, "Plone's answer is not the object that it should be.")
    return said.document


def listing(said: PloneAnswer) -> list[dict[str, Any]]:
    """Return the document of an answer that must be a list of objects."""
    if not isinstance(said.document, list) or not all(isinstance(each, dict) for each in said.document):
        raise PloneError(502, "Plone's answer is not the list that it should be.")
    return cast("list[dict[str, Any]]", said.document)


def summary(item: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a Summary."""
    url = str(item.get("@id", ""))
    return {
        "path": path_of(url) or "/",
        "url": url,
        "id": item.get("id"),
        "uid": item.get("UID"),
        "type": item.get("@type"),
        "title": item.get("title"),
        "description": item.get("description"),
        "state": item.get("review_state") or None,
        "is_folderish": item.get("is_folderish"),
        "subjects": item.get("Subject") or item.get("subjects") or [],
        "created": item.get("created"),
        "modified": item.get("modified"),
    }


def content(item: dict[str, Any]) -> Content:
    """Return the item that Plone serialised."""
    parent = (item.get("parent") or {}).get("@id")
    fields = {name: value for name, value in item.items() if name not in _PROMOTED}
    return made(Content, {**summary(item), "parent": (path_of(parent) or "/") if parent else None, "fields": fields})


def page(kind: type[_Model], request: Request, caller: Caller, offset: int, limit: int, said: PloneAnswer) -> _Model:
    """Return a page of Plone's batch, with links to its neighbours."""
    document = mapping(said)
    total = document.get("items_total", 0)
    items = [made(Summary, summary(item)) for item in document.get("items", [])]
    before = max(0, min(offset - limit, total - 1 - (total - 1) % limit)) if offset and total else None
    values: dict[str, Any] = {
        "items": items, "total": total, "offset": offset, "limit": limit,
        "next": link(request, caller, offset + limit) if offset + limit < total else None,
        "previous": None if before is None else link(request, caller, before),
    }  # fmt: skip
    return made(kind, values)


def counted(request: Request, caller: Caller, found: int, offset: int, limit: int) -> dict[str, Any]:
    """Return whether and where a list goes on of which Plone gave the first `found`: one more than is shown, if any."""
    more = found > offset + limit
    return {"more": more, "next": link(request, caller, offset + limit) if more else None}


def link(request: Request, caller: Caller, offset: int) -> str:
    """Return the URL of the same request from another `offset` on."""
    query = [pair for pair in request.query_params.multi_items() if pair[0] != "offset"]
    return f"{caller.origin}{request.url.path}?{urlencode([*query, ('offset', str(offset))])}"


def user(said: dict[str, Any]) -> User:
    """Return the user that Plone serialised."""
    return made(User, {**said, "groups": _items(said.get("groups"))})


def group_summary(said: dict[str, Any]) -> GroupSummary:
    """Return the group that Plone listed."""
    return made(GroupSummary, said)


def group(said: dict[str, Any]) -> Group:
    """Return the group that Plone serialised."""
    members = said.get("members") or {}
    return made(Group, {**said, "members": _items(members), "members_total": members.get("items_total", 0)})


def _items(batch: Optional[dict[str, Any]]) -> Any:
    return (batch or {}).get("items", [])
