"""Which requests a stored page may answer, which answers may be stored, and for how long (RFC 9111, RFC 5861). Pure.

Only what an anonymous client reads is stored: GET, without credentials. Two requests share a page only if they are
equal in everything that could change the answer: an unknown field of the request keeps pages apart rather than mixing
them. What is known to mean nothing for a page is no part of its key, and is not sent to Plone either when the answer
is for everybody: then it cannot change the page whatever Plone does with it. See `for_everybody`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Iterable, Iterator, Optional, Tuple
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from eduhub_bridge.cache.negotiation import Rules, accepted, encoding, languages
from eduhub_bridge.upstream import directives

# They say who asks, or ask for something else than the page: such a request goes to Plone, and its answer is not kept.
_PERSONAL = frozenset(
    {b"authorization", b"proxy-authorization", b"cgi-authorization", b"if-match", b"if-unmodified-since"}
    | {b"range", b"if-range"}
    | {b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"x-http-method-override"}
)
# They mean something to us.
_OWN = frozenset({b"connection", b"cache-control", b"pragma", b"if-none-match", b"if-modified-since", b"referer"})
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})
# Stands for the parameters that Plone was not sent, among the names of fields that it was not: no field has this name.
PARAMETERS = b"?"
# They are in the key as what they come to: see negotiation.
_NEGOTIATED = frozenset({b"accept", b"accept-encoding", b"accept-language", b"cookie"})
# A script says by it that it is one; what shows pages inside of an Android app says which app that is.
_REQUESTED_WITH = b"x-requested-with"
_APP = re.compile(rb"[A-Za-z]\w*(?:\.[A-Za-z]\w*)+")
_REDUCED = _NEGOTIATED | {_REQUESTED_WITH}
# They are no part of a page. An answer that names one of them in Vary is not stored.
_MEANINGLESS = frozenset(
    {b"user-agent", b"via", b"priority", b"dnt", b"save-data", b"from", b"purpose", b"x-purpose", b"x-wap-profile"}
    | {b"keep-alive", b"te", b"max-forwards", b"proxy-connection", b"early-data", b"upgrade-insecure-requests"}
    | {b"forwarded", b"x-forwarded-for", b"x-forwarded-port", b"x-forwarded-server", b"x-original-forwarded-for"}
    | {b"x-real-ip", b"true-client-ip", b"client-ip", b"x-client-ip", b"x-cluster-client-ip", b"fastly-client-ip"}
    | {b"x-request-id", b"x-correlation-id", b"x-trace-id", b"request-id", b"traceparent", b"tracestate", b"baggage"}
    | {b"x-cloud-trace-context", b"b3", b"uber-trace-id", b"x-varnish", b"cdn-loop", b"x-unique-id"}
    | {b"sentry-trace", b"newrelic", b"x-honeycomb-trace", b"grpc-trace-bin", b"jaeger-baggage", b"x-ot-span-context"}
    | {b"x-trace", b"correlation-context", b"request-context", b"x-edge-request-id", b"x-request-start"}
    | {b"x-queue-start", b"x-middleware-start", b"x-timer", b"x-arr-log-id", b"x-appengine-request-log-id"}
    | {b"x-vercel-id", b"x-vercel-forwarded-for", b"x-vercel-proxied-for", b"x-nf-request-id", b"fly-request-id"}
    | {b"fastly-ff", b"fastly-ssl", b"fastly-client", b"fastly-temp-xff", b"fastly-orig-accept-encoding"}
    | {b"incap-client-ip", b"x-sucuri-clientip", b"fly-client-ip", b"do-connecting-ip", b"x-appengine-user-ip"}
    | {b"x-nf-client-connection-ip", b"x-client-port", b"x-real-port", b"true-client-port"}
    | {b"device-memory", b"dpr", b"viewport-width", b"width", b"downlink", b"ect", b"rtt"}
)
# The same, by how their names begin: browsers' hints and what networks in front of a site add.
_MEANINGLESS_BEGINNINGS = (
    b"sec-", b"cf-", b"x-amzn-", b"x-amz-cf-", b"x-azure-", b"x-b3-", b"x-datadog-", b"x-envoy-", b"akamai-",
    b"x-akamai-", b"cloudfront-", b"cdn-", b"ot-tracer-", b"elastic-apm-", b"x-newrelic-", b"x-instana-",
    b"x-dynatrace", b"uberctx-", b"x-ms-request-", b"x-vercel-ip-",
)  # fmt: skip
# Not these: a network that signs users on, or checks their certificates, says by them who asks. So do X-ARR-ClientCert
# and X-AppEngine-User-Email, whose neighbours are therefore listed above by their whole names.
_IDENTITIES = (
    b"cf-access-", b"cf-cert-", b"cf-client-cert-", b"cloudfront-viewer-cert-", b"x-amzn-oidc-", b"x-amzn-mtls-",
    b"x-amzn-lattice-identity",
)  # fmt: skip
# A longer name is taken to mean something: it is no client's, and what it means is not to be remembered.
_LONGEST_NAME = 64
# A page's text knows nothing of them, but the lines of Plone's logs may.
_FOR_LOGS = frozenset({b"x-request-id", b"traceparent", b"tracestate"})
# Plone reads a Referer in few places: where a login or a logout returns to, an author's page, an image's, and a form
# that is filled in by its address, which it leaves empty for those who come from another site.
_READS_REFERER = re.compile(
    rb"/(?:@@)?(?:[^/]*login[^/]*|[^/]*logged[^/]*|logout|author|image_view_fullscreen|content_status_history)(?:/|$)"
)
_FORM = re.compile(rb"(?:^|&)form[._%]")
_JSON = b"application/json"
# What Connection may name beside: TE says how a body may travel, which ends at our own server.
_NEUTRAL_CONNECTIONS = frozenset({b"keep-alive", b"close", b"te", b""})
_BRIEF = frozenset({301, 308, 404, 410})
_ENTITY_TAG = re.compile(rb'(?:W/)?("[^"]*")')
# A query that logs in (Plone takes these from a form as from a cookie), or that proves who asks (plone.protect).
_PERSONAL_QUERY = re.compile(rb"(?:^|[&;])_(?:_ac|authenticator)")
_DIGITS = re.compile(rb"[0-9]+")
# As long as anything lives (RFC 9111, section 1.2.2).
_EVER = 2**31
_DIRECTIVE = re.compile(r'([a-z-]+)(?:="?([^",]*)"?)?')
# What Plone's layout says of every page for which no caching is decided (plone.app.layout, httpheaders).
_BLANKET_EXPIRES = (b"sat, 1 jan 2000 00:00:00 gmt", b"sat, 01 jan 2000 00:00:00 gmt")
# What a 304 says (RFC 9110, section 15.4.5): everything but what describes the body it does not have.
_OF_THE_BODY = frozenset(
    {b"content-length", b"content-type", b"content-encoding", b"content-language", b"content-range", b"last-modified"}
)

Fields = Iterable["tuple[bytes, bytes]"]
Key = Tuple[Any, ...]


class Asked:
    """A request that a stored page may answer. `again` says that the client wants to hear it from Plone, `trimmed`
    that its query has parameters which are no part of the key.
    """

    __slots__ = ("again", "key", "none_match", "since", "trimmed")

    def __init__(
        self, key: Key, none_match: Optional[bytes], since: Optional[bytes], again: bool, trimmed: bool = False
    ) -> None:
        self.key, self.none_match, self.since, self.again, self.trimmed = key, none_match, since, again, trimmed

    def answered_by(self, status: int) -> bool:
        """Return whether an answer to all who ask for the key answers this one: a redirect repeats a whole query."""
        return not (self.trimmed and 300 <= status < 400)


@dataclass(frozen=True)
class Limits:
    """What the operator allows, in seconds: fresh, then stale while Plone is asked, then stale while it fails.

    `blanket` says whether the Expires that Plone gives every page, for want of a rule, is a statement about the page.
    """

    fresh: float
    stale: float
    error: float
    blanket: bool = False


@dataclass(frozen=True)
class Life:
    """Seconds from the asking for which a page is fresh, is good enough while Plone is asked, and while Plone fails."""

    fresh: float
    stale: float
    error: float


@lru_cache(maxsize=4096)
def _meaningless(name: bytes) -> bool:
    """Return whether a field is no part of any site's page."""
    return name in _MEANINGLESS or (name.startswith(_MEANINGLESS_BEGINNINGS) and not name.startswith(_IDENTITIES))


def asked(scope: Scope, rules: Rules) -> Optional[Asked]:
    """Return what a GET asks for; None if it is for Plone alone to answer."""
    if scope["query_string"] and _is_personal(scope["query_string"]):
        return None
    telling: list[tuple[bytes, bytes]] = []
    own: dict[bytes, bytes] = {}
    ignored = rules.ignored
    for field in scope["headers"]:
        name, value = field
        if len(name) <= _LONGEST_NAME and _meaningless(name):
            continue
        if ignored is not None and ignored.fullmatch(name) and not name.startswith(_IDENTITIES):
            continue
        if name in _PERSONAL:
            return None
        if name in _OWN or name in _REDUCED:
            own[name] = own[name] + (b"; " if name == b"cookie" else b", ") + value if name in own else value
        else:
            telling.append(field)
    wishes = _wishes(own)
    language = rules.language_of(own[b"cookie"]) if b"cookie" in own else b""
    if "no-store" in wishes or language is None or not _is_neutral(own.get(b"connection", b"close")):
        return None
    if language:
        telling.append((b"cookie", language))
    telling += _preferences(own, rules)
    if b"referer" in own and _reads_referer(scope, own.get(b"accept", b"")):
        telling.append((b"referer", own[b"referer"]))
    telling.sort(key=itemgetter(0))  # by name only: the order of repeated fields has a meaning
    query = rules.trimmed(scope["query_string"])
    key = (scope["raw_path"], query, scope["scheme"], *telling)
    again = "no-cache" in wishes or ("max-age" in wishes and not seconds(wishes["max-age"].encode("latin-1")))
    trimmed = query != scope["query_string"]
    return Asked(key, own.get(b"if-none-match"), own.get(b"if-modified-since"), again, trimmed)


def _is_neutral(connection: bytes) -> bool:
    """Return whether a connection names no field that counts."""
    return _NEUTRAL_CONNECTIONS.issuperset(each.strip() for each in connection.lower().split(b","))


def _is_personal(query: bytes) -> bool:
    """Return whether a query logs in, proves who asks, or calls another method than the address says."""
    plain = unquote_to_bytes(query) if b"%" in query else query
    return bool(_PERSONAL_QUERY.search(plain)) or directives.named(query)


def _wishes(own: dict[bytes, bytes]) -> dict[str, str]:
    """Return the directives of a request."""
    if b"cache-control" not in own and b"pragma" not in own:
        return {}
    text = own.get(b"cache-control", b"") + b"," + own.get(b"pragma", b"")
    return dict(_DIRECTIVE.findall(text.decode("latin-1").lower()))


def _preferences(own: dict[bytes, bytes], rules: Rules) -> Iterator[tuple[bytes, bytes]]:
    """Yield the fields by which a reader chooses among answers, as they are in a key."""
    if b"accept" in own:
        yield b"accept", accepted(own[b"accept"])
    if b"accept-encoding" in own and (coding := encoding(own[b"accept-encoding"])):
        yield b"accept-encoding", coding
    if b"accept-language" in own and (tongues := languages(own[b"accept-language"], rules.languages)):
        yield b"accept-language", tongues
    if _REQUESTED_WITH in own and not _APP.fullmatch(own[_REQUESTED_WITH]):
        yield _REQUESTED_WITH, own[_REQUESTED_WITH]


def _reads_referer(scope: Scope, accept: bytes) -> bool:
    if _JSON in accept:
        return False
    return bool(_READS_REFERER.search(scope["raw_path"]) or _FORM.search(scope["query_string"]))


def for_everybody(key: Key, fields: Fields) -> list[tuple[bytes, bytes]]:
    """Return what of the `fields` of one client's request goes to Plone for an answer to all who ask for `key`.

    Nothing that tells one client's page from another's may reach Plone and not be in the key. So that is what is in
    the key, as it stands there, and what only ties the lines of logs together.
    """
    told = {name for name, _ in key[3:] if name not in _REDUCED} | _FOR_LOGS
    reduced = [field for field in key[3:] if field[0] in _REDUCED]
    return [*(field for field in fields if field[0] in told), *reduced]


def unheard(status: int, fields: Fields, *, shared: bool) -> frozenset[bytes]:
    """Return the names of what Plone was not sent for an answer to everybody, and would have answered differently with.

    `shared` says whether the answer is for everybody indeed. A failure does not depend on the client.
    """
    if status >= 500:
        return frozenset()
    if shared:
        return _CONDITIONS
    varies = {each for each in _varies(_named(fields)) if each in _OWN or _meaningless(each)}
    return _CONDITIONS | {b"cookie", PARAMETERS} | varies


def life(status: int, fields: Fields, limits: Limits) -> Optional[Life]:
    """Return how long an answer to an anonymous GET may be used, None if not at all.

    What Plone says about it only ever shortens what `limits` allow.
    """
    named = _named(fields)
    directives = dict(_DIRECTIVE.findall(named.get(b"cache-control", b"").decode("latin-1").lower()))
    if (status != 200 and status not in _BRIEF) or _personal(named, directives):
        return None
    fresh, stale, error = limits.fresh, limits.fresh + limits.stale, limits.fresh + limits.error
    said = _said(named, directives, limits)
    if said is not None:
        fresh, stale = min(fresh, said), min(stale, said)
    if not directives.keys().isdisjoint(("must-revalidate", "proxy-revalidate", "s-maxage")):
        # Never shown once it is stale: without a number of Plone's own, that is what the operator calls fresh.
        until = fresh if said is None else said
        stale, error = min(stale, until), min(error, until)
    if status in _BRIEF:
        stale = error = fresh
    return Life(fresh, stale, error)


def _named(fields: Fields) -> dict[bytes, bytes]:
    """Return each field with all that is said under its name."""
    named: dict[bytes, bytes] = {}
    for name, value in fields:
        named[name] = named[name] + b"," + value if name in named else value
    return named


def _varies(named: dict[bytes, bytes]) -> list[bytes]:
    return [each.strip() for each in named.get(b"vary", b"").lower().split(b",")]


def _personal(named: dict[bytes, bytes], directives: dict[str, str]) -> bool:
    """Return whether an answer is for one client only, or for one moment."""
    return (
        b"set-cookie" in named
        or named.get(b"content-type", b"").startswith(b"text/event-stream")
        or any(each == b"*" or each in _OWN or _meaningless(each) for each in _varies(named))
        or not directives.keys().isdisjoint(("no-store", "private", "no-cache"))
    )


def _said(named: dict[bytes, bytes], directives: dict[str, str], limits: Limits) -> Optional[float]:
    """Return for how many seconds more Plone calls it fresh (RFC 9111, section 4.2); None if it does not say."""
    for name in ("s-maxage", "max-age"):
        if name in directives:
            lifetime = float(seconds(directives[name].encode("latin-1")))
            break
    else:
        expires = named.get(b"expires")
        if expires is None:
            return None
        if not limits.blanket and b"cache-control" not in named and expires.strip().lower() in _BLANKET_EXPIRES:
            return None
        try:
            until = parsedate_to_datetime(expires.decode("latin-1"))
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
