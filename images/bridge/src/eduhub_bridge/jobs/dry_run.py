"""A dry run: what would become of an operation, as far as Plone tells without writing."""

from __future__ import annotations

from typing import Awaitable, Callable, Union

from eduhub_bridge.jobs.operations import (
    CreateOperation,
    DeleteOperation,
    MoveOperation,
    Operation,
    PublishOperation,
    child,
    chosen_id,
)
from eduhub_bridge.jobs.perform import Outcome, refusal, tells
from eduhub_bridge.plone.answers import Reply, complaint
from eduhub_bridge.plone.client import Site

# Whether an earlier operation of the same request would make the item at a path.
Planned = Callable[[str], Awaitable[bool]]

_MAY = {"change": ("object", "edit"), "delete": ("object_buttons", "delete"), "move": ("object_buttons", "cut")}


async def rehearse(site: Site, operation: Operation, scope: str, planned: Planned) -> Outcome:
    """Return status 200 with `would`, or the refusal to expect; raise UpstreamError."""
    if isinstance(operation, CreateOperation):
        return await _create(site, operation, scope, planned)
    if await planned(operation.path):
        return Outcome(200, operation.path, more={"would": operation.op})
    if isinstance(operation, PublishOperation):
        return await _publish(site, operation)
    wrong = await _may(site, operation)
    if wrong is None and isinstance(operation, MoveOperation) and not await planned(operation.to):
        reply = await site.ask("GET", operation.to, query="include_items=false")
        wrong = None if reply.status == 200 else _as(reply, operation.to)
    if wrong is None and isinstance(operation, MoveOperation):
        name = operation.path.rpartition("/")[2]
        return Outcome(200, child(operation.to, name), more={"would": operation.op})
    return wrong or Outcome(200, operation.path, more={"would": operation.op})


async def _create(site: Site, operation: CreateOperation, scope: str, planned: Planned) -> Outcome:
    path = child(operation.path, chosen_id(operation, scope))
    if await planned(path):
        return refusal(409, f"An earlier line makes {path} already.", path)
    if not await planned(operation.path):
        reply = await site.ask("GET", operation.path, "/@types")
        if reply.status != 200:
            return _as(reply, path)
        types = reply.document()
        wanted = operation.item["@type"]
        names = {each["@id"].rpartition("/")[2] for each in types if each.get("addable")} if types else set()
        if wanted not in names:
            return refusal(403, f"{wanted!r} cannot be added to {operation.path}.", path)
        reply = await site.ask("GET", path, query="include_items=false")
        if reply.status != 404:
            there = refusal(409, f"There is an item {path} already.", path)
            return there if tells(reply) else _as(reply, path)
    return Outcome(200, path, more={"would": "create"})


async def _publish(site: Site, operation: PublishOperation) -> Outcome:
    reply = await site.ask("GET", operation.path, "/@workflow")
    if reply.status != 200:
        return _as(reply, operation.path)
    offered = [each["@id"].rpartition("/")[2] for each in (reply.document() or {}).get("transitions", [])]
    if operation.transition not in offered:
        names = ", ".join(offered) or "none"
        return refusal(400, f"Its workflow does not offer {operation.transition!r} now, but {names}.", operation.path)
    return Outcome(200, operation.path, more={"would": operation.op})


async def _may(site: Site, operation: Operation) -> Union[Outcome, None]:
    reply = await site.ask("GET", operation.path, "/@actions")
    if reply.status != 200:
        return _as(reply, operation.path)
    there = await site.ask("GET", operation.path, query="include_items=false")
    if there.status != 200:
        return _as(there, operation.path)
    category, action = _MAY[operation.op]
    offered = [each.get("id") for each in (reply.document() or {}).get(category, [])]
    if action not in offered:
        what = "delete" if isinstance(operation, DeleteOperation) else operation.op
        return refusal(403, f"This user may not {what} {operation.path}.", operation.path)
    return None


def _as(reply: Reply, path: str) -> Outcome:
    said = complaint(reply.document())
    status = reply.status if 400 <= reply.status < 500 else 502
    return refusal(status, str(said.get("message") or f"Plone answered {reply.status}."), path)
