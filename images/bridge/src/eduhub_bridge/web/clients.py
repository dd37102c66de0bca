"""What an API request says of its client: where it calls from, as whom, and whether it is still there."""

from __future__ import annotations

from typing import Optional

from starlette.requests import HTTPConnection
from starlette.responses import Response

from eduhub_bridge.plone.calls import Caller, NoAnswerError, Origin, Site
from eduhub_bridge.plone.identity import Identities, UnknownUserError
from eduhub_bridge.upstream import addresses, headers
from eduhub_bridge.web.problems import problem


class ProblemError(Exception):
    """An answer to be given instead of the one that was asked for."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Clients:
    """Makes, of a request, the Plone that its client sees."""

    def __init__(self, caller: Caller, site_path: str, identities: Identities) -> None:
        self.caller, self.identities = caller, identities
        self._site_path = site_path

    def site(self, connection: HTTPConnection, authorization: Optional[str] = None) -> Site:
        """Return Plone with the client's own authority; raise ProblemError for a request that contradicts itself."""
        given = authorization or connection.headers.get("authorization")
        if authorization is None and connection.scope["type"] == "websocket":
            # No script can set this field, so it is the browser's idea; one of our own site could ask all the same.
            given = None if headers.foreign(connection.scope["headers"]) else given
        return Site(self.caller, self._site_path, self.origin(connection), given)

    def origin(self, connection: HTTPConnection) -> Origin:
        """Return where the client believes to be; raise ProblemError."""
        try:
            scheme = {"ws": "http", "wss": "https"}.get(connection.url.scheme, connection.url.scheme)
            request = headers.request(connection.scope["headers"], scheme)
            addresses.prefix(request.scheme, request.host, self._site_path)
        except addresses.RefusedError as refusal:
            raise ProblemError(problem(400, str(refusal))) from None
        return Origin(request.scheme, request.host)

    async def user(self, site: Site) -> str:
        """Return who the client is; raise ProblemError if it is nobody, or cannot be told."""
        try:
            return await self.identities.user(site)
        except UnknownUserError as error:
            challenge = {"www-authenticate": 'Bearer realm="plone", Basic realm="plone"'}
            raise ProblemError(problem(401, str(error), challenge)) from None
        except NoAnswerError as error:
            again = {"retry-after": "1"} if error.status == 503 else {}
            raise ProblemError(problem(error.status, str(error), again)) from None
