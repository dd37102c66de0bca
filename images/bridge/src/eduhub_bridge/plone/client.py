"""Plone's REST API as the typed endpoints call it: one question, one answer or one PloneError.

Every call of the typed endpoints passes `Plone.send`, the one place that knows `Upstream`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Callable, Mapping, Optional, Sequence, Union
from urllib.parse import unquote

import aiohttp
import orjson
from starlette.requests import Request
from starlette.types import Scope

from eduhub_bridge.cache import freshness
from eduhub_bridge.cache.anonymous import BYPASS, MISS, AnonymousReads, Found
from eduhub_bridge.settings import Settings
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream import addresses, headers
from eduhub_bridge.upstream.limits import Upstream, promise

# Whose request it is, in which language, and what ties log lines together. Cookies stay out: a typed endpoint that
# took a browser's cookie could be called from any page that the browser shows.
_FROM_CALLER = frozenset({"authorization", "accept-language", "x-forwarded-for", "traceparent", "x-request-id", "via"})
# What a stored page depends on, beside its address: see freshness. Conditions are about our answers, not Plone's.
_OF_A_PAGE = _FROM_CALLER | {"host", "x-forwarded-host", "x-forwarded-proto", "cache-control", "pragma"}
_ACCEPT = (b"accept", b"application/json")
# Where a request's scope says what a stored page did for it: a value of Cache-Status.
CACHE_STATUS = "eduhub.cache_status"
# Answers are read whole before they are checked; content is texts, files travel by other means.
_ANSWER_BYTES = 32 * 1024 * 1024
_KEPT = frozenset({400, 401, 403, 404, 409, 413, 501, 503})
_READS = frozenset({"GET", "HEAD"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_WORDS = {
    401: "Plone wants other credentials for this.",
    403: "Plone does not allow this.",
    404: "Plone has nothing here.",
}
# What Plone 6.0 raises, and answers with 500, for input that it cannot make sense of.
_BAD_INPUT = frozenset({"CopyError", "ParseError", "QueryError", "ValueError"})
# Zope answers 503 to these mistakes of its own code, and means no overload.
_NO_OUTAGE = frozenset({"KeyError", "NameError"})

Query = Sequence["tuple[str, str]"]
# Method, path below the mount as in `/plone/…`, status, Location, Authorization.
Wrote = Callable[[str, bytes, int, str, str], None]


class PloneError(Exception):
    """What the caller is told instead of an answer; the text is Plone's own where it had one.

    `plone` is Plone's status, type and message, if it was Plone who objected. `moved_to` is where Plone says that
    the content is now: a path if it is in this site, else a URL.
    """

    def __init__(
        self, status: int, detail: str, plone: Optional[dict[str, Any]] = None, moved_to: Optional[str] = None
    ) -> None:
        super().__init__(detail)
        self.status, self.plone, self.moved_to = status, plone, moved_to


@dataclass(frozen=True)
class Caller:
    """On whose behalf Plone is called. Never kept longer than the request, never logged."""

    origin: str
    prefix: str
    fields: list[tuple[str, str]]
    reads: Optional[Scope] = field(default=None, repr=False)
    """The request itself, if it is one that only reads, without a credential: then stored pages may answer."""


@dataclass(frozen=True)
class PloneAnswer:
    """A good answer: `document` is the parsed JSON, None where there was no body."""

    status: int
    headers: Mapping[str, str]
    document: Any


class Plone:
    """Calls Plone for a caller. Paths are those of content below the site, decoded: `/courses/tür`."""

    def __init__(
        self, settings: Settings, upstream: Upstream, metrics: Metrics, anonymous: Optional[AnonymousReads]
    ) -> None:
        self._site_path = settings.plone_path
        self._upstream, self._metrics, self._anonymous = upstream, metrics, anonymous
        self.wrote: Wrote = lambda *_: None
        """Called after every write that Plone has accepted."""

    def caller(self, request: Union[Request, Scope]) -> Caller:
        """Return who calls, from the request's header section; raise RefusedError for one that contradicts itself."""
        scope = request.scope if isinstance(request, Request) else request
        said = headers.request(scope["headers"], scope["scheme"])
        prefix = addresses.prefix(said.scheme, said.host, self._site_path)
        fields = [field for field in said.fields if field[0] in _FROM_CALLER]
        reads = scope["method"] in _READS and not any(name == "authorization" for name, _ in fields)
        return Caller(f"{said.scheme}://{said.host.lower()}", prefix, fields, scope if reads else None)

    async def call(
        self, caller: Caller, method: str, path: str = "/", service: str = "", *, query: Query = (), json: Any = None,
        fields: Query = (),
    ) -> PloneAnswer:  # fmt: skip
        """Return Plone's answer to one request; raise PloneError, UpstreamError or RefusedError.

        `service` is what follows the content's address, percent-encoded already, such as `/@search`.
        """
        if method == "GET" and caller.reads is not None and not fields:
            stored = await self._stored(caller.reads, addresses.address(path, service, query), service)
            if stored is not None:
                return stored
        said = [("accept", "application/json"), *fields]
        body: Optional[bytes] = None
        if json is not None:
            body = orjson.dumps(json)
            said += [("content-type", "application/json"), ("content-length", str(len(body)))]
        answer = await self.send(caller, method, path, service, query, said, None if body is None else _once(body))
        try:
            text = await self._whole(answer)
        finally:
            self.done(answer)
        return _answer(answer.status, answer.headers, text, service)

    async def _stored(self, scope: Scope, target: str, service: str) -> Optional[PloneAnswer]:
        """Return what everybody is answered, from a stored page or from Plone once for all who ask at a time.

        None if the caller has to ask for itself. These are the pages of `/plone/…`, by the same rules: see anonymous.
        """
        if self._anonymous is None:
            return None
        raw_path, _, query = (addresses.MOUNT + target).encode("ascii").partition(b"?")
        sent = [each for each in scope["headers"] if each[0].decode("latin-1") in _OF_A_PAGE]
        asks = {"method": "GET", "raw_path": raw_path, "query_string": query, "headers": [*sent, _ACCEPT]}
        page: Scope = {**scope, **asks}
        asked = freshness.asked(page)
        if asked is None:
            self._anonymous.count_bypass()
            scope[CACHE_STATUS] = BYPASS
            return None
        scope[CACHE_STATUS] = MISS
        found = self._anonymous.at_hand(asked, page) or await self._anonymous.fetch(asked, page)
        if isinstance(found, Found):
            scope[CACHE_STATUS] = found.status
            fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.page.fields}
            return _answer(found.page.status, fields, found.page.body, service)
        said = found.take() if found is not None else None
        if found is None or said is None:
            return None
        try:
            text = await self._whole(said, found.begun)
        finally:
            self.done(said)
        return _answer(said.status, said.headers, text, service)

    async def send(
        self, caller: Caller, method: str, path: str, service: str, query: Query, fields: Query,
        body: Optional[AsyncIterator[bytes]],
    ) -> aiohttp.ClientResponse:  # fmt: skip
        """Return Plone's answer, whatever its status, its body unread; raise UpstreamError or RefusedError.

        Give the answer back with `done`, read to its end or not.
        """
        target = caller.prefix + addresses.address(path, service, query)
        sent = [*caller.fields, *fields]
        answer = await self._upstream.fetch(method, target, sent, body, begins=promise, feature="api")
        if method not in _READS and answer.status < 300:
            credential = next((value for name, value in caller.fields if name == "authorization"), "")
            raw = (addresses.MOUNT + addresses.address(path, service)).encode("ascii")
            self.wrote(method, raw, answer.status, answer.headers.get("location", ""), credential)
        return answer

    def done(self, answer: aiohttp.ClientResponse) -> None:
        """Give an answer back."""
        answer.close()

    async def refusal(self, answer: aiohttp.ClientResponse, service: str) -> PloneError:
        """Read an answer of `send` that is not the one hoped for, give it back, and return what it says."""
        try:
            if answer.status in _REDIRECTS:
                return _moved(answer.headers.get("location", ""), service)
            if answer.status < 400:
                return PloneError(502, f"Plone answers {answer.status}, of which the bridge can make nothing.")
            return said_no(answer.status, _parsed(answer.content_type, await self._whole(answer)))
        finally:
            self.done(answer)

    async def _whole(self, answer: aiohttp.ClientResponse, begun: bytes = b"") -> bytes:
        parts, length = [begun], len(begun)
        try:
            while not answer.content.at_eof():
                part = await answer.content.readany()
                length += len(part)
                if length > _ANSWER_BYTES:
                    raise PloneError(502, f"Plone's answer is longer than {_ANSWER_BYTES} bytes.")
                parts.append(part)
        except (aiohttp.ClientError, asyncio.TimeoutError):
            self._metrics.plone_errors.labels("cut").inc()
            raise PloneError(502, "Plone's answer broke off before its end.") from None
        return b"".join(parts)


def _answer(status: int, fields: Mapping[str, str], text: bytes, service: str) -> PloneAnswer:
    """Return the good answer; raise PloneError for every other. `fields` finds names in lower case."""
    if status in _REDIRECTS:
        raise _moved(fields.get("location", ""), service)
    kind = fields.get("content-type", "").partition(";")[0].strip().lower()
    return PloneAnswer(status, fields, understood(status, kind, text, service))


def understood(status: int, content_type: str, text: bytes, service: str = "") -> Any:
    """Return the document of a good answer; raise PloneError for every other. Pure."""
    if status >= 400:
        raise said_no(status, _parsed(content_type, text))
    if not text:
        return None
    if content_type != "application/json":
        # Plone shows a page of its own under that name, say its sitemap: nothing that has fields.
        raise PloneError(502 if service else 404, "Plone has a page here, but no content.")
    try:
        return orjson.loads(text)
    except ValueError:
        raise PloneError(502, "Plone's answer is not the JSON that it claims to be.") from None


def said_no(status: int, document: Any) -> PloneError:
    """Return what an answer of 400 and more means for the caller. Pure.

    Plone has three forms for it: {type, message}, {error: {type, message}}, and no words at all.
    """
    said = document if isinstance(document, dict) else {}
    if isinstance(said.get("error"), dict):
        said = said["error"]
    kind, message = (str(said[key]) if said.get(key) else None for key in ("type", "message"))
    plone = {"status": status, "type": kind, "message": message}
    if status >= 500 and kind in _BAD_INPUT:
        return PloneError(400, message or "Plone cannot read this.", plone)
    mapped = status if status in _KEPT else 400 if status < 500 else 502
    if kind in _NO_OUTAGE:
        mapped = 502
    if status >= 500:
        words = f"Plone failed: {message}" if message else f"Plone failed with status {status} and no words."
    else:
        words = message or _NO_WORDS.get(status) or f"Plone refuses this with status {status} and no words."
    return PloneError(mapped, words, plone)


def _parsed(content_type: str, text: bytes) -> Any:
    try:
        return orjson.loads(text) if content_type == "application/json" else None
    except ValueError:
        return None


def _moved(location: str, service: str) -> PloneError:
    path = addresses.path_of(location) or ""
    if service and path.endswith(unquote(service)):
        path = path[: -len(unquote(service))]
    return PloneError(404, "Plone says that this has moved.", None, path or location)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
