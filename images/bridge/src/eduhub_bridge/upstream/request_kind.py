"""What a request does to Plone: the one question that decides how it is queued, repeated and cached. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Iterable, Optional
from urllib.parse import unquote

from eduhub_bridge.upstream import directives

# Safe by their definition (RFC 9110, section 9.2.1; RFC 4918, section 9.1), and plone.restapi keeps to it.
READING = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "TRACE"})
# But the classic interface publishes, cuts and pastes with a GET. Such a link brings the proof that no other site has
# sent the user, without which Plone writes nothing (plone.protect).
_PROOF = re.compile(r"(?:^|[&;])_authenticator(?:[:=&;]|$)")
# plone.restapi services that answer a POST and change nothing: the query is too long for an address.
_READING_POSTS = ("@querystring-search",)
# These write, but no content: the time of a login, a token.
_SESSION_POSTS = ("@login", "@login-renew", "@logout")
# The same by the classic interface's forms. With JSON, a POST to such an address would make content in a folder.
_SESSION_FORMS = ("login", "login_form", "failsafe_login", "failsafe_login_form", "logout")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
# A call of XML-RPC, whose body names the method.
_XML_RPC = "text/xml"
# What clients and our edge send that says nothing of who asks; so do browsers' fields that begin with sec-.
_OF_EVERYBODY = frozenset(
    {"host", "user-agent", "accept", "accept-encoding", "accept-language", "accept-charset", "referer", "connection"}
    | {"cache-control", "pragma", "dnt", "priority", "te", "upgrade-insecure-requests", "keep-alive", "via", "from"}
    | {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id", "origin", "save-data"}
)
# Answers of a Plone that has refused a request, and with that its whole transaction. Not 400 or 409: some services
# report what went wrong in their middle so.
_REFUSALS = frozenset({401, 403, 404, 405})
# They answer 404 also when only one of several user folders knows how to delete.
_HALF_DONE = ("/@users", "/@groups")

Fields = Iterable["tuple[str, str]"]


class Kind(Enum):
    """READ changes nothing, SESSION writes nothing that an anonymous reader could see, WRITE may change anything."""

    READ = "read"
    SESSION = "session"
    WRITE = "write"


def kind(method: str, path: str, content_type: str = "", fields: Optional[Fields] = None) -> Kind:
    """Return what a request with this method and path, as sent to Plone, does; WRITE for what is not known.

    A link that writes does nothing for a client of whom its `fields` say nothing: it takes no place of those who write.
    """
    target, _, query = path.partition("?")
    calls = bool(query) and directives.named(query.encode("latin-1", "replace"))  # another service than it seems
    if method in READING:
        writes = query and (calls or _proves(query))
        return Kind.WRITE if writes and (fields is None or _may_be_known(fields, query)) else Kind.READ
    if calls:
        return Kind.WRITE
    if method == "POST" and _XML_RPC not in content_type.lower():
        service = target.rpartition("/")[2]
        if service in _READING_POSTS:
            return Kind.READ
        if service in _SESSION_POSTS:
            return Kind.SESSION
        if service.removeprefix("@@") in _SESSION_FORMS and content_type.lower().startswith(_FORMS):
            return Kind.SESSION
    return Kind.WRITE


def _proves(query: str) -> bool:
    """Return whether a query has the proof, in any spelling that Zope takes for its name."""
    return bool(_PROOF.search(unquote(query, "latin-1").lower() if "%" in query else query.lower()))


def _may_be_known(fields: Fields, query: str) -> bool:
    """Return whether Plone may know who asks: by credentials, or by any field that not every browser sends."""
    return "__ac" in unquote(query, "latin-1") or any(
        name not in _OF_EVERYBODY and not name.startswith("sec-") for name, _ in fields
    )


def refused(path: str, status: int) -> bool:
    """Return whether a write that was answered so has changed nothing."""
    return status in _REFUSALS and not any(service in path for service in _HALF_DONE)


def turned_away(status: int, fields: Mapping[str, str]) -> bool:
    """Return whether the endpoint before our Plone takes no writes for now, and has not given it this one.

    So it is while Plone is upgraded: reads go on. It says so itself: what stands before another Plone may answer 503
    after Plone has done what was asked.
    """
    return status == 503 and fields.get("eduhub-writes") == "closed"


def may_write(fields: list[tuple[str, str]]) -> bool:
    """Return whether a request that reads by its method has the token with which Plone writes too.

    Scripts of the classic interface send it with all that a signed-in editor asks for, so it is no sign of a write.
    """
    return any(name == "x-csrf-token" for name, _ in fields)
