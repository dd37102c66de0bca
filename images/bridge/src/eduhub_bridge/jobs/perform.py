"""Carries out one operation so that a repetition writes nothing twice.

Plone's silence, a 5xx and a crash of ours say nothing about what was written: then it is looked for first.

| operation | how it is known to have been written                                                        |
|-----------|----------------------------------------------------------------------------------------------|
| create    | the id is chosen before: Plone refuses a second item of one id, and the item is found by it   |
| change    | every field that was sent has the value that was sent; otherwise it is set again              |
| delete    | the item is gone                                                                              |
| move      | the item with the UID noted before is in its new container                                    |
| publish   | the last entry of the item's history is this transition                                       |
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Awaitable, Callable, Dict, Mapping, Optional, Union
from urllib.parse import urlencode

from eduhub_bridge.jobs.operations import (
    ChangeOperation,
    CreateOperation,
    MoveOperation,
    Operation,
    PublishOperation,
    child,
    chosen_id,
)
from eduhub_bridge.plone.answers import Reply, complaint
from eduhub_bridge.plone.client import Site
from eduhub_bridge.upstream.addresses import path_of
from eduhub_bridge.upstream.limits import UpstreamError
from eduhub_bridge.upstream.request_kind import turned_away

Keep = Callable[[Mapping[str, Any]], Awaitable[None]]

_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0
# Those before Plone answer with statuses that no standard knows, as 499 and 520.
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
# A Plone that restarts is back by then; one that is not is waited for outside of the operation.
SITE_DOWN_SECONDS = 90.0


class SiteDownError(Exception):
    """Plone was not reached at all for SITE_DOWN_SECONDS: nothing was written by this operation."""


class HeldError(Exception):
    """Maintenance is on: nothing was sent by this operation."""


@dataclass(frozen=True)
class Outcome:
    """What an operation came to. `doubt`: it failed, and may have been written all the same."""

    status: int
    path: str = ""
    doubt: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status < 400


def refusal(status: int, detail: str, path: str = "", doubt: bool = False, **more: Any) -> Outcome:
    """Return the outcome of an operation that failed, with a problem's members."""
    title = _PHRASES.get(status, "Refused")
    return Outcome(status, path, doubt, {"title": title, "detail": detail, **more})


def tells(reply: Reply) -> bool:
    """Return whether an answer about an item says something about it: that it is there, or not, or not for this user.

    Any other is of what stands before Plone, or of a Plone that has failed: a rate limit, a login, a page of errors.
    """
    if reply.status in (401, 403):
        return "type" in complaint(reply.document())
    return reply.status in (200, 404)


class _Step:
    """An operation as questions to Plone."""

    # Whether `before` has to have been noted for a repetition to find out what happened.
    needs_note = False
    # Whether a refusal with 400 can come from an earlier write of our own.
    refused_if_written = False

    def __init__(self, site: Site, path: str) -> None:
        self.site, self.path = site, path
        self.note: Mapping[str, Any] = {}

    async def before(self) -> Union[Dict[str, Any], Outcome]:
        """Return what has to be noted before the write; or the outcome, if that is clear already."""
        return {}

    async def look(self) -> Optional[Outcome]:
        """Return the outcome if the operation was written, else None."""
        raise NotImplementedError

    async def write(self) -> Reply:
        raise NotImplementedError

    def written(self, reply: Reply) -> Optional[Outcome]:
        """Return the outcome of a good answer; None if the answer shows that nothing was written."""
        return Outcome(reply.status, self.path)

    async def _get(self, path: str, service: str = "", query: str = "") -> Reply:
        reply = await self.site.ask("GET", path, service, query=query)
        if reply.status == 301:  # it has moved, unless a proxy has another spelling of the address in mind
            place = path_of(reply.fields.get("location", ""))
            if place and place.rstrip("/") != path.rstrip("/"):
                return Reply(404, reply.fields, b"")
        if not tells(reply):
            status = reply.status if reply.status >= 400 else 502
            said = "failed" if reply.status >= 500 else f"answered {reply.status} when it was asked for the item"
            raise UpstreamError("refused", status, f"Plone {said}.")
        return reply


class _Create(_Step):
    def __init__(self, site: Site, operation: CreateOperation, scope: str) -> None:
        self.operation, self.name = operation, chosen_id(operation, scope)
        self.needs_note = "id" in operation.item
        self.refused_if_written = not self.needs_note
        super().__init__(site, child(operation.path, self.name))

    async def before(self) -> Union[Dict[str, Any], Outcome]:
        if not self.needs_note:  # no other writer chooses that id
            return {}
        if (await self._get(self.path, query="include_items=false")).status == 404:
            return {"absent": True}
        return refusal(409, f"There is an item {self.path} already.", self.path)

    async def look(self) -> Optional[Outcome]:
        reply = await self._get(self.path, query="include_items=false")
        if reply.status == 404:
            return None
        document = reply.document() if reply.status == 200 else {}
        if document and document.get("@type") != self.operation.item["@type"]:
            return refusal(409, f"There is another item {self.path}.", self.path)
        return Outcome(200, self.path, more={"found": True, **_shown(document)})

    async def write(self) -> Reply:
        return await self.site.ask("POST", self.operation.path, document={**self.operation.item, "id": self.name})

    def written(self, reply: Reply) -> Optional[Outcome]:
        path = path_of(reply.fields.get("location", "")) or self.path
        return Outcome(201, path, more=_shown(reply.document()))


class _Change(_Step):
    def __init__(self, site: Site, operation: ChangeOperation) -> None:
        self.fields = operation.item
        super().__init__(site, operation.path)

    async def look(self) -> Optional[Outcome]:
        reply = await self._get(self.path, query="include_items=false")
        document = reply.document() if reply.status == 200 else None
        if isinstance(document, dict) and all(_same(value, document.get(name)) for name, value in self.fields.items()):
            return Outcome(200, self.path, more={"found": True})
        return None

    async def write(self) -> Reply:
        return await self.site.ask("PATCH", self.path, document=self.fields)


class _Delete(_Step):
    async def look(self) -> Optional[Outcome]:
        reply = await self._get(self.path, query="include_items=false")
        return Outcome(200, self.path, more={"found": True}) if reply.status == 404 else None

    async def write(self) -> Reply:
        return await self.site.ask("DELETE", self.path)


class _Move(_Step):
    needs_note = True

    def __init__(self, site: Site, operation: MoveOperation) -> None:
        self.to = operation.to
        super().__init__(site, operation.path)

    async def before(self) -> Union[Dict[str, Any], Outcome]:
        reply = await self._get(self.path, query="include_items=false")
        uid = (reply.document() or {}).get("UID") if reply.status == 200 else None
        if not uid:
            return _failed(reply, self.path) if reply.status >= 400 else refusal(409, "Only items with a UID move.")
        return {"uid": uid}

    async def look(self) -> Optional[Outcome]:
        reply = await self._get("/", "/@search", urlencode({"UID": self.note["uid"], "show_inactive": "true"}))
        items = (reply.document() or {}).get("items") or []
        path = path_of(items[0]["@id"]) if items else None
        if path and path != self.path and path.rpartition("/")[0] == self.to.rstrip("/"):
            return Outcome(200, path, more={"found": True})
        return None

    async def write(self) -> Reply:
        return await self.site.ask("POST", self.to, "/@move", document={"source": [self.path]})

    def written(self, reply: Reply) -> Optional[Outcome]:
        moved = reply.document()
        if not isinstance(moved, list) or not moved:
            return None
        return Outcome(200, path_of(moved[0]["target"]) or self.path)


class _Publish(_Step):
    def __init__(self, site: Site, operation: PublishOperation) -> None:
        self.operation = operation
        super().__init__(site, operation.path)

    async def look(self) -> Optional[Outcome]:
        reply = await self._get(self.path, "/@workflow")
        history = (reply.document() or {}).get("history") or []
        if history and history[-1].get("action") == self.operation.transition:
            return Outcome(200, self.path, more={"found": True, "review_state": history[-1].get("review_state")})
        return None

    async def write(self) -> Reply:
        document = {"comment": self.operation.comment} if self.operation.comment else {}
        return await self.site.ask("POST", self.path, f"/@workflow/{self.operation.transition}", document=document)

    def written(self, reply: Reply) -> Optional[Outcome]:
        return Outcome(200, self.path, more={"review_state": (reply.document() or {}).get("review_state")})


def _step(site: Site, operation: Operation, scope: str) -> _Step:
    if isinstance(operation, CreateOperation):
        return _Create(site, operation, scope)
    if isinstance(operation, ChangeOperation):
        return _Change(site, operation)
    if isinstance(operation, MoveOperation):
        return _Move(site, operation)
    if isinstance(operation, PublishOperation):
        return _Publish(site, operation)
    return _Delete(site, operation.path)


async def perform(
    site: Site, operation: Operation, scope: str, *, again: bool, note: Optional[Mapping[str, Any]], keep: Keep,
    held: Callable[[], bool],
) -> Outcome:  # fmt: skip
    """Return what the operation came to; raise SiteDownError when Plone cannot be reached, HeldError while `held`.

    `scope` tells operations apart that say the same, and is the same for a repetition. `again`: it was begun before,
    with `note` kept. `keep` stores a note durably; it is awaited before anything is sent.
    """
    step = _step(site, operation, scope)
    # What needs a note and has none was never sent.
    doubt = again and (note is not None or not step.needs_note)
    step.note = note or {}
    attempts = _Attempts()
    noted = note is not None or doubt
    exhausted = False
    while True:
        try:
            outcome = None
            if not noted:
                outcome = await _prepare(step, keep)
                noted = True
            if doubt:
                outcome = await step.look()
            if outcome or not exhausted:
                return outcome or await _write(step, doubt, held)
        except _SentError as sent:
            doubt, last = True, sent.error
        except UpstreamError as error:  # to a look, or to a write that was not sent
            last = error
        if exhausted:
            return refusal(last.status, str(last), step.path, doubt=doubt, uncertain=doubt)
        exhausted = await attempts.over(last)


async def _prepare(step: _Step, keep: Keep) -> Optional[Outcome]:
    told = await step.before()
    if isinstance(told, Outcome):
        return told
    step.note = told
    if step.needs_note:
        await keep(told)
    return None


class _SentError(Exception):
    """A write may have reached Plone, and no answer says so."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(str(error))
        self.error = error


async def _write(step: _Step, doubt: bool, held: Callable[[], bool]) -> Outcome:
    if held():
        raise HeldError
    try:
        reply = await step.write()
    except UpstreamError as error:
        if error.sent:
            raise _SentError(error) from error
        raise
    if turned_away(reply.status, reply.fields):
        raise UpstreamError("turned_away", reply.status, "Nothing can be written to Plone at the moment.")
    if reply.status >= 500:
        said = str(complaint(reply.document()).get("message") or "Plone failed.")
        raise _SentError(UpstreamError("refused", reply.status, said))
    outcome = step.written(reply) if reply.status < 300 else None
    if outcome is None and (doubt or (step.refused_if_written and reply.status == 400)):
        outcome = await step.look()
    return outcome or _failed(reply, step.path)


class _Attempts:
    """Counts what failed and waits in between: longer each time, a little by chance."""

    def __init__(self) -> None:
        self._failures = 0
        self._pause = _FIRST_PAUSE_SECONDS
        self._until = asyncio.get_running_loop().time() + SITE_DOWN_SECONDS

    async def over(self, error: UpstreamError) -> bool:
        """Wait for the next attempt; return whether it may only look. Raise SiteDownError after SITE_DOWN_SECONDS."""
        if not error.sent:
            if asyncio.get_running_loop().time() > self._until:
                raise SiteDownError(str(error))
        else:
            self._failures += 1
            if self._failures >= _ATTEMPTS:
                return True
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        return False


def _failed(reply: Reply, path: str) -> Outcome:
    status = reply.status if 400 <= reply.status < 500 else 502
    said = complaint(reply.document())
    detail = str(said.get("message") or f"Plone answered {reply.status} and did nothing.")
    more: Dict[str, Any] = {"plone": said} if said else {}
    return refusal(status, detail, path, **more)


def _shown(document: Any) -> Dict[str, Any]:
    document = document if isinstance(document, dict) else {}
    return {name: document[name] for name in ("@id", "UID", "modified") if name in document}


def _same(sent: Any, kept: Any) -> bool:
    """Return whether a field has the value that was sent; a text with a type is the same when its data is."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        return all(_same(value, kept.get(name)) for name, value in sent.items())
    if isinstance(sent, str) and isinstance(kept, dict):
        return bool(kept.get("token", kept.get("data")) == sent)
    if isinstance(sent, list) and isinstance(kept, list):
        return len(sent) == len(kept) and all(map(_same, sent, kept))
    return bool(sent == kept)
