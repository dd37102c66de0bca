"""`/api/v1/events` (server-sent events) and `/api/v1/live` (WebSocket)."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from typing import Any, AsyncIterator, Dict, Literal, Optional, Union

import orjson
from fastapi import APIRouter, Query, Request, WebSocket, WebSocketDisconnect
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from typing_extensions import Annotated

from eduhub_bridge.live.audience import Audience
from eduhub_bridge.live.hub import CrowdedError, Hub
from eduhub_bridge.live.listener import Listener, message
from eduhub_bridge.live.models import LiveMessage
from eduhub_bridge.plone.client import Site
from eduhub_bridge.plone.identity import UnknownUserError
from eduhub_bridge.store.database import StoreError
from eduhub_bridge.upstream import headers
from eduhub_bridge.upstream.limits import UpstreamError
from eduhub_bridge.web.clients import Clients, ProblemError
from eduhub_bridge.web.models import Place, is_path
from eduhub_bridge.web.openapi import answers, header, lines
from eduhub_bridge.web.problems import problem
from eduhub_bridge.web.routers import router_of
from eduhub_bridge.web.streams import HEARTBEAT_SECONDS, Stream
from eduhub_bridge.web.strict import route_class

_ID = re.compile(r"[0-9]{1,18}")
# RFC 6455, section 7.4.1, and IANA's registry of close codes.
_CODES = {"stopping": 1012, "moved": 1012, "slow": 1013, "unknown user": 1008}
_WHY = {
    "stopping": "The bridge stops: connect again.",
    "moved": "Another release serves now: connect again.",
    "slow": "Messages were not taken fast enough: connect again with the last id.",
    "unknown user": "Plone does not accept the credential any more.",
}
_CROWDED = "Too many listen here already: come back later."


STREAMED = (LiveMessage,)
"""Models of what is given in streams."""
_FRAMES = lines(
    "text/event-stream", "LiveMessage",
    'id: 122\nevent: changed\ndata: {"type": "changed", "id": 122, "path": "/courses/algebra", "by": "ada"}\n\n',
)  # fmt: skip


class _Events(Response):
    media_type = "text/event-stream"


class _Authenticate(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["authenticate"]
    authorization: Annotated[str, Field(max_length=8192, pattern=r"^[!-~]+ [!-~ ]+$")]


class _Join(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["join"]
    path: Place
    mode: Literal["viewing", "editing"] = "editing"


class _Leave(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["leave"]
    path: Place


_Said = Annotated[Union[_Authenticate, _Join, _Leave], Field(discriminator="type")]
_SAID: TypeAdapter[Union[_Authenticate, _Join, _Leave]] = TypeAdapter(_Said)
_Path = Annotated[str, Query(description="Only changes of this item and what is below it."), AfterValidator(is_path)]


def router(hub: Hub, clients: Clients) -> APIRouter:
    """Return the routes."""
    # No HEAD: there is no end at which it could be answered.
    routes = router_of("live", route_class(0, head=False))
    described = answers(None, says="Changes as they happen.")
    described["responses"][200]["content"] = _FRAMES

    @routes.get(
        "/events", response_class=_Events, **described,
        openapi_extra={"parameters": [header("Last-Event-ID", "`id` of the last event that the client has.")]},
    )  # fmt: skip
    async def events(request: Request, path: _Path = "/") -> Response:
        """Follow changes as server-sent events.

        Those that this client may know of; without a credential, what everybody may see. With `Last-Event-ID` those it
        missed come first, or an event `reset` if they are not known any more. A comment comes every 15 seconds.
        """
        client = headers.client(request.scope["headers"])
        listener = Listener(path, _last(request.headers.get("last-event-id")), client)
        try:
            site = clients.site(request)
            user = await clients.user(site) if site.authorization else ""
            await hub.join(site, user, listener)
        except ProblemError as error:
            return error.response
        except CrowdedError:
            return problem(503, _CROWDED, {"retry-after": "10"})
        except StoreError:
            return problem(503, "The bridge's store fails.", {"retry-after": "5"})
        task = asyncio.current_task()
        listener.cut = task.cancel if task else listener.cut
        return Stream(_sse(hub, listener), "text/event-stream")

    @routes.post("/live/goodbye", include_in_schema=False)
    async def goodbye(request: Request) -> Response:
        """Send listeners to the slot that traffic has moved to. Not for the public, whom the edge always names."""
        if "x-forwarded-for" in request.headers:
            raise HTTPException(404)
        return Response(orjson.dumps({"listeners": hub.goodbye()}), media_type="application/json")

    @routes.websocket("/live")
    async def live(socket: WebSocket, path: _Path = "/", last_event_id: Optional[str] = None) -> None:
        listener = Listener(path, _last(last_event_id), headers.client(socket.scope["headers"]))
        await _Conversation(hub, clients, socket, listener).hold()

    return routes


async def _sse(hub: Hub, listener: Listener) -> AsyncIterator[bytes]:
    """Yield the frames (WHATWG HTML, section 9.2)."""
    try:
        yield b"retry: 1000\n: welcome\n\n"
        while True:
            heard = await listener.get(HEARTBEAT_SECONDS)
            if heard is not None:
                number = b"id: %d\n" % heard.id if heard.id else b""
                yield number + b"event: %s\ndata: %s\n\n" % (heard.kind.encode(), heard.data)
            elif listener.ended:
                yield b"event: bye\ndata: %s\n\n" % orjson.dumps({"type": "bye", "why": _WHY[listener.ended]})
                return
            else:
                yield b": heartbeat\n\n"
    finally:
        hub.leave(listener)


class _Conversation:
    """A WebSocket from its handshake to its end."""

    def __init__(self, hub: Hub, clients: Clients, socket: WebSocket, listener: Listener) -> None:
        self._hub, self._clients, self._socket, self._listener = hub, clients, socket, listener
        self._session = uuid.uuid4().hex
        self._audience: Optional[Audience] = None

    async def hold(self) -> None:
        await self._socket.accept()
        task = asyncio.current_task()
        self._listener.cut = task.cancel if task else self._listener.cut
        hearing: Optional[asyncio.Task[None]] = None
        try:
            if await self._enter(None):
                hearing = asyncio.ensure_future(self._hear())
                await self._speak(hearing)
        except (WebSocketDisconnect, RuntimeError, asyncio.CancelledError):
            pass  # it is gone, or was cut
        finally:
            if hearing:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)
            self._hub.leave(self._listener)
            with contextlib.suppress(StoreError):
                await self._hub.presence.gone(self._session)

    async def _enter(self, authorization: Optional[str]) -> bool:
        """Listen with this authority instead of the one before; return False if the conversation is over."""
        try:
            site = self._clients.site(self._socket, authorization)
            user = await self._clients.identities.user(site) if site.authorization else ""
            await self._as(site, user)
        except UnknownUserError as error:
            return await self._over(1008, str(error))
        except ProblemError:
            return await self._over(1008, "Host or X-Forwarded-Proto is none.")
        except (UpstreamError, StoreError, CrowdedError) as error:
            return await self._over(1013, str(error) or _CROWDED)
        self._listener.put(message("hello", user=user or None))
        return True

    async def _as(self, site: Site, user: str) -> None:
        self._hub.leave(self._listener)
        await self._hub.presence.gone(self._session)
        self._audience = await self._hub.join(site, user, self._listener)

    async def _over(self, code: int, why: str) -> bool:
        await self._say({"type": "bye", "why": why})
        await self._socket.close(code)
        return False

    async def _say(self, document: Dict[str, Any]) -> None:
        await self._socket.send_text(orjson.dumps(document).decode())

    async def _speak(self, hearing: "asyncio.Task[None]") -> None:
        while not hearing.done():
            heard = await self._next(hearing)
            if heard is not None:
                await self._socket.send_text(heard.decode())
            elif self._listener.ended:
                await self._over(_CODES[self._listener.ended], _WHY[self._listener.ended])
                return

    async def _next(self, hearing: "asyncio.Task[None]") -> Optional[bytes]:
        getting = asyncio.ensure_future(self._listener.get(HEARTBEAT_SECONDS))
        try:
            await asyncio.wait({getting, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                return None
            heard = getting.result()
        finally:
            getting.cancel()
        if heard is not None:
            return heard.data
        return None if self._listener.ended else b'{"type":"heartbeat"}'

    async def _hear(self) -> None:
        """Answer what the client says, one thing after the other: who says much waits."""
        while True:
            heard = await self._socket.receive()
            if heard["type"] == "websocket.disconnect":
                return
            text = heard.get("text")
            if text is None:
                await self._over(1003, "Only text is understood.")
                return
            try:
                said = _SAID.validate_json(text)
            except ValidationError as error:
                self._listener.put(message("error", detail=f"Not understood: {error.errors()[0]['msg']}."))
                continue
            try:
                if isinstance(said, _Authenticate):
                    if not await self._enter(said.authorization):
                        return
                elif isinstance(said, _Join):
                    await self._join(said)
                else:
                    await self._hub.presence.leave(self._session, said.path)
            except (UpstreamError, StoreError) as error:
                self._listener.put(message("error", detail=str(error)))

    async def _join(self, said: _Join) -> None:
        """Only a user may be present, and only where he may look: names are not for everybody."""
        audience = self._audience
        if audience is None or not audience.user:
            self._listener.put(message("error", detail="Only users can be present: authenticate first."))
        elif not await audience.sees(said.path):
            self._listener.put(message("error", detail=f"There is no item {said.path} for you."))
        elif not await self._hub.presence.join(self._session, self._listener, said.path, audience.user, said.mode):
            self._listener.put(message("error", detail="You are at too many items already: leave one."))


def _last(text: Optional[str]) -> Optional[int]:
    return int(text) if text and _ID.fullmatch(text.strip()) else None
