"""What a request says of its client: where it calls from, and as whom."""

from __future__ import annotations

from typing import Optional

from starlette.requests import HTTPConnection
from starlette.responses import Response

from eduhub_bridge.plone.client import Feature, PloneClient, Site
from eduhub_bridge.plone.identity import Identities, UnknownUserError
from eduhub_bridge.upstream.addresses import RefusedError
from eduhub_bridge.upstream.limits import UpstreamError
from eduhub_bridge.web.problems import problem


class ProblemError(Exception):
    """An answer to be given instead of the one that was asked for."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Clients:
    """Makes, of a request, the Plone that its client sees."""

    def __init__(self, plone: PloneClient, feature: Feature, identities: Identities) -> None:
        self.identities = identities
        self._plone, self._feature = plone, feature

    def site(self, connection: HTTPConnection, authorization: Optional[str] = None) -> Site:
        """Return Plone with the client's own credential; raise ProblemError for a request that contradicts itself."""
        try:
            return Site(self._plone, self._plone.caller(connection, self._feature, authorization))
        except RefusedError as refusal:
            raise ProblemError(problem(400, str(refusal))) from None

    async def user(self, site: Site) -> str:
        """Return who the client is; raise ProblemError if it is no user, or Plone does not answer."""
        try:
            return await self.identities.user(site)
        except UnknownUserError as error:
            challenge = {"www-authenticate": 'Bearer realm="plone", Basic realm="plone"'}
            raise ProblemError(problem(401, str(error), challenge)) from None
        except UpstreamError as error:
            again = {"retry-after": "1"} if error.status == 503 else {}
            raise ProblemError(problem(error.status, str(error), again)) from None
