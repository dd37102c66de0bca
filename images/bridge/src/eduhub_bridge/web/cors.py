"""CORS for the typed endpoints: which pages of other sites may call them from a browser (the Fetch standard).

A page sends its user's token in `Authorization`. What a browser remembers by itself, cookies and passwords, is not
asked for: no answer allows credentials, and no origin stands for all of them.
"""

from __future__ import annotations

from typing import Optional, Sequence

from starlette.responses import Response
from starlette.types import Scope

from eduhub_bridge.web.problems import problem
from eduhub_bridge.web.routers import MOUNT

ALLOWED = "eduhub.origin_allowed"
"""The member of a scope that says that the page which sent the request may write."""
_BELOW = f"{MOUNT}/"
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = b"ETag, Location, Retry-After, X-Request-ID, Cache-Status, Content-Disposition, Preference-Applied"
_SECONDS = "600"


class Cors:
    """The origins that may call; with none of them, nothing is said about any."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def asked(self, scope: Scope) -> Optional[Response]:
        """Note in `scope` whether its origin is allowed; return the answer to a preflight request, else None."""
        if not self._origins or not scope["path"].startswith(_BELOW):
            return None
        named = dict(scope["headers"])
        scope[ALLOWED] = named.get(b"origin") in self._origins
        if scope["method"] != "OPTIONS" or b"origin" not in named or b"access-control-request-method" not in named:
            return None
        if not scope[ALLOWED]:
            return problem(403, "Pages of this origin may not call: EDUHUB_CORS_ORIGINS does not name it.")
        fields = {
            "cache-control": "no-store", "access-control-allow-methods": _METHODS,
            "access-control-max-age": _SECONDS,
        }  # fmt: skip
        # Which fields are known is the endpoints' business; whose pages may send them is decided.
        wanted = named.get(b"access-control-request-headers", b"").decode("latin-1")
        if wanted:
            fields["access-control-allow-headers"] = wanted
        return Response(status_code=204, headers=fields)

    def fields(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Return the fields for the answer to a request that went through `asked`."""
        if ALLOWED not in scope:
            return []
        varies = (b"vary", b"origin")
        if not scope[ALLOWED]:
            return [varies]
        origin = dict(scope["headers"])[b"origin"]
        return [varies, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]
