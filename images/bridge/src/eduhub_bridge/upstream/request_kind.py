"""What a request does to Plone: the one question that decides how it is queued, repeated and cached. Pure."""

from __future__ import annotations

from enum import Enum

# Safe by their definition (RFC 9110, section 9.2.1), and plone.restapi keeps to it. PROPFIND and its like are safe
# too, but rare: they queue with the writes.
READING = frozenset({"GET", "HEAD", "OPTIONS"})
# But the classic interface publishes, cuts and pastes with a GET. Such a link brings the proof that no other site has
# sent the user, without which Plone writes nothing (plone.protect).
_PROOF = "_authenticator="
# plone.restapi services that answer a POST and change nothing: the query is too long for an address.
_READING_POSTS = ("@querystring-search",)
# These write, but no content: the time of a login, a token.
_SESSION_POSTS = ("@login", "@login-renew", "@logout")


class Kind(Enum):
    """READ changes nothing, SESSION writes nothing that an anonymous reader could see, WRITE may change anything."""

    READ = "read"
    SESSION = "session"
    WRITE = "write"


def kind(method: str, path: str) -> Kind:
    """Return what a request with this method and path, as sent to Plone, does; WRITE for what is not known."""
    if method in READING:
        return Kind.WRITE if _PROOF in path else Kind.READ
    if method == "POST":
        service = path.partition("?")[0].rpartition("/")[2]
        if service in _READING_POSTS:
            return Kind.READ
        if service in _SESSION_POSTS:
            return Kind.SESSION
    return Kind.WRITE
