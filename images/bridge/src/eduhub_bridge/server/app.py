"""The application: the pass-through beside FastAPI, both under one measuring layer."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any, AsyncIterator, List, MutableMapping, Optional, Sequence, Tuple

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eduhub_bridge import __version__, api
from eduhub_bridge.cache.anonymous import BY_METHOD, BYPASS
from eduhub_bridge.live.changes import says_where
from eduhub_bridge.passthrough import ROUTE, PassThrough
from eduhub_bridge.plone.client import PloneClient
from eduhub_bridge.server import status
from eduhub_bridge.server.readiness import Readiness
from eduhub_bridge.server.services import Services
from eduhub_bridge.settings import Settings
from eduhub_bridge.store.database import StoreError
from eduhub_bridge.telemetry.logs import say
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream import addresses, headers
from eduhub_bridge.upstream.limits import Upstream
from eduhub_bridge.web import problems, routers
from eduhub_bridge.web.cors import Cors

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
# In the Cache-Status of an answer that took nothing of Plone's time (RFC 9211).
_STORED = "; hit"
# In that of one that was given once Plone had not answered.
_WAITED = "stale-if-error"
# What a move of thousands of items says at most; of a longer answer only the folder is told.
_BODY_BYTES = 1024 * 1024
_CLOSE = (b"connection", b"close")


class Bridge:
    """The ASGI application. `draining` is set when the server stops: each answer then says that it is the last.

    `registry` is what Prometheus is told from, `api` all but the pass-through.
    """

    def __init__(
        self, api: FastAPI, pass_through: ASGIApp, metrics: Metrics, services: Services, origins: Sequence[str] = ()
    ) -> None:
        self.draining = False
        self._cors = Cors(origins)
        self.registry = metrics.registry
        self._services = services
        self.api, self._pass_through, self._metrics = api, pass_through, metrics

    def drain(self, grace_seconds: float) -> None:
        """The server stops within `grace_seconds`: begin to end what is going on."""
        self.draining = True
        self._services.drain(grace_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, problems.refusing(scope, receive, send))
            return
        # By the path as sent: what is decoded first cannot be told from what it pretends to be.
        passes = addresses.is_ours(scope["raw_path"])
        write = _Write(self._services, scope) if passes and scope["method"] not in _READS else None
        status, cache = 0, ""
        preflight = None if passes else self._cors.asked(scope)

        async def observed(message: Message) -> None:
            nonlocal status, cache
            if write:
                write.answered(message)
            if message["type"] == "http.response.start":
                status, cache = message["status"], _field(message, b"cache-status")
                message["headers"].extend(self._cors.fields(scope))
                self._head(message["headers"])
            await send(message)

        started = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            if not passes and scope["path"].endswith("\n"):  # routes end with "$", which is before a line's end too
                await problems.problem(404, problems.NOTHING)(scope, receive, observed)
                return
            if preflight is not None:
                await preflight(scope, receive, observed)
                return
            await (self._pass_through if passes else self.api)(scope, receive, observed)
        except Exception:
            if not status:
                await problems.problem(500, problems.BUG)(scope, receive, observed)
            raise  # to the server, which writes it down
        finally:
            if write:
                write.tell()
            self._metrics.in_flight.dec()
            route = ROUTE if passes else getattr(scope.get("route"), "path", "unknown")
            seconds = time.perf_counter() - started
            self._metrics.answered(route, scope["method"], status, _stored(cache), seconds)
            self._log(scope, route, status, cache, seconds)

    def _log(self, scope: Scope, route: str, status: int, cache: str, seconds: float) -> None:
        """Write a line for what the edge asked, but for a stored page: the edge's own line says that it was one."""
        request = headers.request_id(scope["headers"])
        if request is None or _STORED in cache:
            return
        more = {"cache": cache, "user": self._services.user(scope)}
        told = {name: value for name, value in more.items() if value}
        say(
            "request", request=request, method=scope["method"], route=route, status=status,
            ms=round(seconds * 1000), **told,
        )  # fmt: skip

    def _head(self, fields: List[Tuple[bytes, bytes]]) -> None:
        if not any(name == b"date" for name, _ in fields):
            fields.append((b"date", formatdate(usegmt=True).encode()))
        if self.draining:
            fields.append(_CLOSE)


class _Write:
    """A request that is passed on and may write: told once, when enough of a good answer is there, or no more comes."""

    def __init__(self, services: Services, scope: Scope) -> None:
        self._services, self._scope = services, scope
        self._head: Optional[Message] = None
        self._body: Optional[bytearray] = bytearray() if says_where(scope["method"], scope["raw_path"]) else None

    def answered(self, message: Message) -> None:
        """Note a part of the answer, before the client has it."""
        if message["type"] == "http.response.start":
            self._head = message if message["status"] < 300 else None
        elif self._body is not None and len(self._body) <= _BODY_BYTES:
            self._body += message.get("body", b"")
        if self._body is None or not message.get("more_body", message["type"] == "http.response.start"):
            self.tell()

    def tell(self) -> None:
        """Tell it, unless it is told or there was no good answer."""
        head, self._head = self._head, None
        if head is not None:
            location = _field(head, b"location")
            self._services.passed(self._scope, head["status"], location, bytes(self._body or b""))


def _stored(cache: str) -> str:
    """Return what a stored page did for a request, by its Cache-Status: `none` where none could do anything."""
    if _STORED in cache and _WAITED not in cache:
        return "hit"
    return "none" if not cache or cache.encode() in {BYPASS, BY_METHOD} else "miss"


def _field(said: MutableMapping[str, Any], wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in said["headers"] if name == wanted), "")


def create_app(settings: Settings) -> Bridge:
    """Return the application. Its connections to Plone live from startup to shutdown of its lifespan.

    Raises StoreError when what it shares with the other slot cannot be opened.
    """
    metrics = Metrics()
    try:
        upstream = Upstream(settings, metrics)
    except OSError as error:
        raise StoreError(f"EDUHUB_STATE_DIR {str(settings.state_dir)!r} takes no files: {error.strerror}.") from None
    pass_through = PassThrough(settings, upstream, metrics)
    plone = PloneClient(settings, upstream, metrics, pass_through.anonymous)
    services = Services(settings, plone, metrics)
    plone.wrote, plone.says_where = services.wrote, says_where
    readiness = Readiness(upstream.probe, metrics.ready.set)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await upstream.open()
        services.start()
        try:
            yield
        finally:
            readiness.stop()
            await services.stop()
            await pass_through.close()
            await upstream.close()

    app = FastAPI(
        title="EduHub bridge", version=__version__, lifespan=lifespan, redirect_slashes=False,
        openapi_url=None, docs_url=None, redoc_url=None,
    )  # fmt: skip
    problems.install(app)
    routers.add(app, status.router(readiness, metrics, services.works))
    api.install(app, plone, settings, services.streamed)
    services.install(app)
    return Bridge(app, pass_through, metrics, services, settings.cors_origins)
