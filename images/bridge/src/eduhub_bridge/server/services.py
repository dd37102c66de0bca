"""The services that both slots share, put together: the store, the jobs in it, the events in it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Optional

from fastapi import FastAPI
from starlette.types import Scope

from eduhub_bridge.jobs import openapi, routes
from eduhub_bridge.jobs.maintenance import Maintenance
from eduhub_bridge.jobs.seal import Seal
from eduhub_bridge.jobs.service import Limits, Service
from eduhub_bridge.live import routes as live
from eduhub_bridge.live.changes import OPERATIONS, Change, changes
from eduhub_bridge.live.hub import Hub
from eduhub_bridge.plone.client import JOBS, LIVE, Answered, Caller, PloneClient, Site
from eduhub_bridge.plone.identity import Identities, UnknownUserError
from eduhub_bridge.settings import Settings
from eduhub_bridge.store.database import Database, Sqlite
from eduhub_bridge.store.events import Events
from eduhub_bridge.store.jobs import Jobs
from eduhub_bridge.telemetry.logs import say
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream import headers
from eduhub_bridge.upstream.limits import UpstreamError
from eduhub_bridge.web import routers
from eduhub_bridge.web.clients import Clients
from eduhub_bridge.web.disconnect import at_most

# An event waits no longer for Plone to say whose it is.
_WHOSE_SECONDS = 5.0


class Services:
    """Lives as long as the application; raises StoreError when the store cannot be opened."""

    streamed = (*openapi.STREAMED, *live.STREAMED)
    """Models of what the endpoints take and give in streams."""

    def __init__(self, settings: Settings, plone: PloneClient, metrics: Metrics) -> None:
        self._settings, self._plone = settings, plone
        self._temporary: Optional[tempfile.TemporaryDirectory[str]] = None
        self._database = self._open()
        self._database.told = metrics.stored
        self._identities = identities = Identities()
        self._clients = Clients(plone, JOBS, identities)
        self._listening = Clients(plone, LIVE, identities)
        limits = Limits(
            settings.jobs, settings.jobs + 6, settings.job_lease_seconds,
            settings.job_keep_seconds,
        )  # fmt: skip
        seal = Seal(settings.state_key)
        lost = metrics.listeners_lost.inc
        self._hub = Hub(Events(self._database), identities, settings.live_poll_seconds, lost)
        maintenance = Maintenance(settings.maintenance_file)
        self._jobs = Service(Jobs(self._database), seal, plone, identities, limits, self._operated, maintenance)
        metrics.watch_shared(
            self.works, self._jobs.running, self._jobs.queued, maintenance.on, self._hub.listeners
        )

    def works(self) -> bool:
        """Return whether the store does; jobs look into it every second."""
        return self._database.trouble is None

    def _operated(self, operation: str, path: str, old_path: str, author: str) -> None:
        self._hub.wrote([Change(OPERATIONS[operation], path, old_path)], author)

    def passed(self, scope: Scope, status: int, location: str, body: bytes) -> None:
        """Tell listeners of a write that was passed to Plone, and its good answer; `body` counts where `says_where`."""
        answered = Answered(scope["method"], scope["raw_path"], status, location, body)
        self.wrote(answered, self._plone.asks_alone(scope))

    def wrote(self, answered: Answered, caller: Optional[Caller]) -> None:
        """Tell listeners of a write that Plone has answered; with the user's id, if Plone knows `caller`."""
        found = changes(answered.method, answered.raw_path, answered.status, answered.location, answered.body)
        if found:
            self._hub.wrote(found, self._whose(caller) if caller is not None and caller.authorization else "")

    def user(self, scope: Scope) -> str:
        """Return the id of the user behind a request if Plone has confirmed it lately, else nothing; asks no Plone."""
        authorization = headers.alone(scope["headers"])
        return self._identities.known(authorization) if authorization else ""

    async def _whose(self, caller: Caller) -> str:
        """Return the id of the user that Plone confirms; empty for a credential that it does not accept by itself.

        That Plone has accepted the write says nothing: it may have gone by another field of the request.
        """
        site = Site(self._plone, self._plone.again(caller.context(), caller.authorization, LIVE))
        try:
            return await at_most(_WHOSE_SECONDS, self._identities.user(site))
        except (UnknownUserError, UpstreamError, asyncio.TimeoutError):
            return ""

    def _open(self) -> Database:
        if self._settings.state_dsn is not None:
            from eduhub_bridge.store.postgres import Postgres  # noqa: PLC0415 - a library that others need not load

            postgres = Postgres(self._settings.state_dsn)
            postgres.open()
            return postgres
        folder = self._settings.state_dir
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="eduhub-bridge-")
            folder = Path(self._temporary.name)
            say("state_is_temporary", level="warning", detail="Jobs end with this process: give EDUHUB_STATE_DIR.")
        database = Sqlite(folder, self._settings.state_mb)
        database.open()
        return database

    def install(self, api: FastAPI) -> None:
        """Add the routes."""
        for router in (
            live.router(self._hub, self._listening),
            routes.router(self._jobs, self._clients, self._settings.bulk_mb * 1024 * 1024),
        ):
            routers.add(api, router)

    def start(self) -> None:
        """Begin to work, in the loop that runs now."""
        self._jobs.start()
        self._hub.start()

    def drain(self, grace_seconds: float) -> None:
        """Begin to end; called from a signal handler."""
        self._jobs.drain(grace_seconds)
        self._hub.drain()

    async def stop(self) -> None:
        """End what is going on, within what is left of the grace."""
        await self._jobs.stop()
        await self._hub.stop()
        self._database.close()
        if self._temporary is not None:
            self._temporary.cleanup()
