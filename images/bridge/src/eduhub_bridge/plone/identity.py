"""Who asks: the user that a credential belongs to, confirmed by Plone itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
from collections import OrderedDict
from typing import Callable, Optional, Tuple

import orjson

from eduhub_bridge.plone.client import Site
from eduhub_bridge.plone.content_paths import quoted_name
from eduhub_bridge.upstream.addresses import RefusedError

# How long Plone's word counts. A user who was locked out is known here that much longer, and can write nothing more.
FRESH_SECONDS = 60.0
_MOST = 4096


class UnknownUserError(Exception):
    """No credential, or one that Plone does not accept; the text is for the client."""


def claimed(authorization: str) -> Optional[Tuple[str, str]]:
    """Return what a credential says of itself: ("id", user id) of a token, ("login", name) of a password."""
    scheme, _, rest = authorization.partition(" ")
    try:
        if scheme.lower() == "basic":
            name, colon, _ = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
            return ("login", name) if colon and name else None
        if scheme.lower() == "bearer":
            payload = rest.strip().split(".")[1]
            name = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]
            return ("id", name) if isinstance(name, str) and name else None
    except (binascii.Error, UnicodeDecodeError, orjson.JSONDecodeError, IndexError, KeyError, TypeError, ValueError):
        pass
    return None


class Identities:
    """Remembers whom Plone knows, for FRESH_SECONDS; keeps hashes of credentials, never one itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._salt = secrets.token_bytes(16)
        self._known: OrderedDict[bytes, Tuple[str, float]] = OrderedDict()

    def digest(self, authorization: str) -> bytes:
        """Return a name for a credential that means nothing outside this process."""
        scheme, _, rest = authorization.strip().partition(" ")
        same = f"{scheme.lower()} {rest.strip()}"  # however it is spelt (RFC 9110, section 11.1)
        return hashlib.blake2b(same.encode(), digest_size=16, key=self._salt).digest()

    async def user(self, site: Site) -> str:
        """Return the id of the user behind the site's credential; raise UnknownUserError, or UpstreamError."""
        if not site.authorization:
            raise UnknownUserError("This needs the credential of a Plone user: Authorization: Bearer … or Basic ….")
        if known := self.known(site.authorization):
            return known
        digest = self.digest(site.authorization)
        name = await _confirmed(site)
        self._known[digest] = (name, self._clock() + FRESH_SECONDS)
        self._known.move_to_end(digest)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return name

    def known(self, authorization: str) -> str:
        """Return the id of the user whom Plone has confirmed for a credential lately; empty otherwise."""
        name, until = self._known.get(self.digest(authorization), ("", 0.0))
        return name if until > self._clock() else ""

    def forget(self, authorization: str) -> None:
        """Ask Plone again next time."""
        self._known.pop(self.digest(authorization), None)


async def _confirmed(site: Site) -> str:
    who = claimed(site.authorization or "")
    try:
        service = f"/@users/{quoted_name(who[1])}" if who else ""
    except RefusedError:
        service = ""
    if who is None or not service:
        raise UnknownUserError("The credential is neither a token of Plone's @login nor a user name with a password.")
    # A user may always read its own record, under its id; of all others only a manager's credential opens it.
    reply = await site.ask("GET", "/", service)
    document = reply.document() if reply.status == 200 else None
    if not isinstance(document, dict) or document.get("id" if who[0] == "id" else "username") != who[1]:
        raise UnknownUserError(
            "Plone does not accept this credential. Where user names differ from user ids (e-mail login), "
            "use a token from @login."
        )
    return str(document["id"])
