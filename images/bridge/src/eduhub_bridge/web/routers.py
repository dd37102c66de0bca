"""Routers of typed endpoints, all below one mount, and how routes come into the application."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

MOUNT = "/api/v1"


def router_of(tag: str, routes: type[APIRoute], below: str = "") -> APIRouter:
    """Return a router for endpoints `below` the mount, of the class `routes`, documented as `tag`."""
    return APIRouter(prefix=MOUNT + below, tags=[tag], route_class=routes, generate_unique_id_function=operation_id)


def operation_id(route: APIRoute) -> str:
    """Return what generated clients call the operation: `content_read`, `files_upload`."""
    return f"{route.tags[0]}_{route.name}" if route.tags else route.name


def add(app: FastAPI, router: APIRouter) -> None:
    """Add the routes of `router`, each with its whole path.

    `include_router` of later releases of FastAPI adds one route for them all, which tells no path and no methods.
    """
    app.router.routes.extend(router.routes)
