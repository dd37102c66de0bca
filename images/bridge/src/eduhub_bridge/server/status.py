"""The bridge's own pages: index, what clients look for at the top of a site, health and metrics."""

from __future__ import annotations

import platform
import time
from typing import Any, Callable

import orjson
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from eduhub_bridge import __version__
from eduhub_bridge.server.readiness import Readiness
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream import addresses
from eduhub_bridge.web import openapi
from eduhub_bridge.web.problems import problem

_READ = ["GET", "HEAD"]


def _json(document: Any) -> Response:
    return Response(orjson.dumps(document), headers={"cache-control": "no-store"}, media_type="application/json")


def router(readiness: Readiness, metrics: Metrics, store_works: Callable[[], bool]) -> APIRouter:
    """Return the routes; they answer from what they are given and call Plone only through `readiness`.

    `store_works` says whether the store does. Readiness does not depend on it: without its store a
    bridge passes requests on, and only jobs and live changes are refused.
    """
    routes = APIRouter()
    started = time.monotonic()

    @routes.api_route("/", methods=_READ)
    async def index() -> Response:
        links = {"plone": f"{addresses.MOUNT}/", "api": openapi.URL, "health": "/health"}
        return _json({"name": "EduHub bridge", "version": __version__, "links": links})

    # Clients ask for them at the top only (RFC 9309: and follow a redirect), and Plone has them below its site.
    @routes.api_route("/robots.txt", methods=_READ)
    @routes.api_route("/favicon.ico", methods=_READ)
    async def of_the_site(request: Request) -> Response:
        return RedirectResponse(addresses.MOUNT + request.url.path, headers={"cache-control": "max-age=3600"})

    @routes.api_route("/health/live", methods=_READ)
    async def live() -> Response:
        return _json({"status": "live"})

    @routes.api_route("/health/ready", methods=_READ)
    async def ready() -> Response:
        verdict = await readiness.verdict()
        if verdict.ready:
            return _json({"status": "ready"})
        return problem(503, verdict.why or "Plone does not answer.", {"retry-after": "1"})

    @routes.api_route("/health", methods=_READ)
    async def health() -> Response:
        verdict, stored = await readiness.verdict(), store_works()
        return _json(
            {
                "status": "ready" if verdict.ready and stored else "degraded",
                "version": __version__,
                "python": platform.python_version(),
                "uptime_seconds": round(time.monotonic() - started, 1),
                "plone": {"ready": verdict.ready, "why": verdict.why},
                # Not why: that may name a host and a user, which are for the log.
                "store": {"ready": stored},
            }
        )

    @routes.api_route("/metrics", methods=_READ)
    async def prometheus(request: Request) -> Response:
        readiness.look()  # else the gauge would stay what it was when somebody last asked /health/ready
        text, content_type = metrics.text(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    return routes
