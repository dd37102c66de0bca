"""Which requests a stored page may answer, which answers may be stored, and for how long (RFC 9111, RFC 5861). Pure.

Only what an anonymous client reads is stored: GET, without credentials and without cookies. Two requests share a page
only if they are equal in everything that could change the answer. That is every field of the request but those listed
here as meaningless to Plone, so an unknown field keeps pages apart rather than mixing them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from operator import itemgetter
from typing import Any, Iterable, Optional, Tuple

from starlette.types import Scope

# They say who asks, or ask for something else than the page: such a request goes to Plone, and its answer is not kept.
_PERSONAL = frozenset(
    {b"authorization", b"cookie", b"proxy-authorization", b"range", b"if-range", b"if-match", b"if-unmodified-since"}
    | {b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"x-http-method-override"}
)
# They change no answer of Plone's. An answer that names one of them in Vary is not stored.
_MEANINGLESS = frozenset(
    {b"user-agent", b"via", b"x-forwarded-for", b"x-real-ip", b"priority", b"dnt", b"save-data", b"from"}
    | {b"x-request-id", b"x-correlation-id", b"traceparent", b"tracestate", b"baggage", b"upgrade-insecure-requests"}
    | {b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"sec-fetch-user", b"sec-gpc", b"keep-alive", b"te"}
    | {b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"cache-control", b"pragma", b"connection"}
    | {b"if-none-match", b"if-modified-since"}
)
# They mean something to us.
_OWN = frozenset({b"connection", b"cache-control", b"pragma", b"if-none-match", b"if-modified-since", b"referer"})
_JSON = b"application/json"
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
_NEUTRAL_CONNECTIONS = frozenset({b"keep-alive", b"close"})
_PLAIN = _MEANINGLESS - _OWN
_BRIEF = frozenset({301, 308, 404, 410})
_ENTITY_TAG = re.compile(rb'(?:W/)?("[^"]*")')
# A query that logs in (Plone takes these from a form as from a cookie), or that proves who asks (plone.protect).
_PERSONAL_QUERY = re.compile(rb"(?:^|&)_(?:_ac|authenticator)")
_DIGITS = re.compile(rb"[0-9]+")
# As long as anything lives (RFC 9111, section 1.2.2).
_EVER = 2**31
_DIRECTIVE = re.compile(r'([a-z-]+)(?:="?([^",]*)"?)?')
# What a 304 says (RFC 9110, section 15.4.5): everything but what describes the body it does not have.
_OF_THE_BODY = frozenset(
    {b"content-length", b"content-type", b"content-encoding", b"content-language", b"content-range", b"last-modified"}
)

Fields = Iterable["tuple[bytes, bytes]"]
Key = Tuple[Any, ...]


class Asked:
    """A request that a stored page may answer. `again` says that the client wants to hear it from Plone."""

    __slots__ = ("again", "key", "none_match", "since")

    def __init__(self, key: Key, none_match: Optional[bytes], since: Optional[bytes], again: bool) -> None:
        self.key, self.none_match, self.since, self.again = key, none_match, since, again


@dataclass(frozen=True)
class Limits:
    """What the operator allows, in seconds: fresh, then stale while Plone is asked, then stale while it fails."""

    fresh: float
    stale: float
    error: float


@dataclass(frozen=True)
class Life:
    """Seconds from the asking for which a page is fresh, is good enough while Plone is asked, and while Plone fails."""

    fresh: float
    stale: float
    error: float


def asked(scope: Scope) -> Optional[Asked]:
    """Return what a GET asks for; None if it is for Plone alone to answer."""
    if _PERSONAL_QUERY.search(scope["query_string"]):
        return None
    telling: list[tuple[bytes, bytes]] = []
    own: dict[bytes, bytes] = {}
    for field in scope["headers"]:
        name = field[0]
        if name in _PLAIN:
            continue
        if name in _PERSONAL:
            return None
        if name in _OWN:
            own[name] = own[name] + b"," + field[1] if name in own else field[1]
        else:
            telling.append(field)
    again = False
    if own:
        wishes = own.get(b"cache-control", b"") + own.get(b"pragma", b"")
        if b"no-store" in wishes or own.get(b"connection", b"close").lower() not in _NEUTRAL_CONNECTIONS:
            return None
        again = b"no-cache" in wishes or b"max-age=0" in wishes
        if b"referer" in own and not any(name == b"accept" and _JSON in value for name, value in telling):
            telling.append((b"referer", own[b"referer"]))  # the login form remembers it, JSON does not
    telling.sort(key=itemgetter(0))  # by name only: the order of repeated fields has a meaning
    key = (scope["raw_path"], scope["query_string"], scope["scheme"], *telling)
    return Asked(key, own.get(b"if-none-match"), own.get(b"if-modified-since"), again)


def for_everybody(key: Key, fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return `fields` without the client's own conditions, and without a Referer that is not in `key`.

    Nothing that tells one client's page from another's may reach Plone and not be in the key.
    """
    dropped = _CONDITIONS if any(part[0] == b"referer" for part in key[3:]) else _CONDITIONS | {"referer"}
    return [field for field in fields if field[0] not in dropped]


def life(status: int, fields: Fields, limits: Limits) -> Optional[Life]:
    """Return how long an answer to an anonymous GET may be used, None if not at all.

    What Plone says about it only ever shortens what `limits` allow.
    """
    named: dict[bytes, bytes] = {}
    for name, value in fields:
        named[name] = named[name] + b"," + value if name in named else value
    directives = dict(_DIRECTIVE.findall(named.get(b"cache-control", b"").decode("latin-1").lower()))
    if (status != 200 and status not in _BRIEF) or _personal(named, directives):
        return None
    fresh, stale, error = limits.fresh, limits.fresh + limits.stale, limits.fresh + limits.error
    said = _said(named, directives)
    if said is not None:
        fresh, stale = min(fresh, said), min(stale, said)
        if not directives.keys().isdisjoint(("must-revalidate", "proxy-revalidate", "s-maxage")):
            error = min(error, said)
    if status in _BRIEF:
        stale = error = fresh
    return Life(fresh, stale, error)


def _personal(named: dict[bytes, bytes], directives: dict[str, str]) -> bool:
    """Return whether an answer is for one client only, or for one moment."""
    varies = {each.strip() for each in named.get(b"vary", b"").lower().split(b",")}
    return (
        b"set-cookie" in named
        or named.get(b"content-type", b"").startswith(b"text/event-stream")
        or b"*" in varies
        or not varies.isdisjoint(_MEANINGLESS)
        or not directives.keys().isdisjoint(("no-store", "private", "no-cache"))
    )


def _said(named: dict[bytes, bytes], directives: dict[str, str]) -> Optional[float]:
    """Return for how many seconds more Plone calls it fresh (RFC 9111, section 4.2); None if it does not say."""
    for name in ("s-maxage", "max-age"):
        if name in directives:
            lifetime = float(seconds(directives[name].encode("latin-1")))
            break
    else:
        if b"expires" not in named:
            return None
        try:
            until = parsedate_to_datetime(named[b"expires"].decode("latin-1"))
            since = parsedate_to_datetime(named.get(b"date", b"").decode("latin-1"))
            lifetime = (until - since).total_seconds()
        except (TypeError, ValueError, IndexError, OverflowError):
            lifetime = 0.0  # "0" and other nonsense mean the past
    return max(0.0, lifetime - seconds(named.get(b"age", b"")))


def seconds(text: bytes) -> int:
    """Return a number of seconds as fields give it (RFC 9111, section 1.2.2); 0 for what is none."""
    if not _DIGITS.fullmatch(text):
        return 0
    return _EVER if len(text) > len(str(_EVER)) else min(int(text), _EVER)


def unchanged(asked: Asked, etag: Optional[bytes], modified: Optional[bytes]) -> bool:
    """Return whether the client has this page already, by its own condition (RFC 9110, section 13.2.2)."""
    if asked.none_match is not None:
        if asked.none_match.strip() == b"*":
            return True
        if etag is None:
            return False
        # Compared weakly, as for every GET: W/"a" and "a" are the same page.
        return etag[etag.find(b'"') :] in _ENTITY_TAG.findall(asked.none_match)
    # By its letters: a client repeats the date that it was given.
    return asked.since is not None and asked.since == modified


def of_unchanged(fields: Fields) -> list[tuple[bytes, bytes]]:
    """Return the fields of a 304 for a page with `fields`."""
    return [field for field in fields if field[0] not in _OF_THE_BODY]
