"""The one client of Plone's REST API, for typed endpoints, jobs and live changes alike.

Every request carries who asks, in which language, and what ties log lines together (trace context). All of them pass
`PloneClient.send`, the one place that knows `Upstream`; pages for everybody come from the cache.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Union

import aiohttp
import orjson
from starlette.requests import HTTPConnection
from starlette.types import Scope

from eduhub_bridge.cache.anonymous import BYPASS, MISS, AnonymousReads, Found
from eduhub_bridge.plone.answers import REDIRECTS, PloneAnswer, PloneError, Reply, good, moved, parsed, said_no
from eduhub_bridge.settings import Settings
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream import addresses, headers
from eduhub_bridge.upstream.addresses import Query
from eduhub_bridge.upstream.limits import Body, Upstream, UpstreamError, promise

# In which language, and what ties log lines together: what a job keeps of its request, too.
_CONTEXT = frozenset({"accept-language", "traceparent", "x-request-id"})
# Whose request it is. Cookies stay out: a typed endpoint that took a browser's cookie could be called from any page
# that the browser shows.
_FROM_CLIENT = _CONTEXT | {"authorization", "via"}
# What a stored page depends on, beside its address: see freshness. Conditions are about our answers, not Plone's.
_OF_A_PAGE = _FROM_CLIENT | {
    "host", "x-forwarded-host", "x-forwarded-proto", "cache-control", "pragma"
}  # fmt: skip
_ACCEPT = (b"accept", b"application/json")
# Where a request's scope says what a stored page did for it: a value of Cache-Status.
CACHE_STATUS = "eduhub.cache_status"
# Answers are read whole before they are checked; content is texts, files travel by other means.
_ANSWER_BYTES = 32 * 1024 * 1024
_READS = frozenset({"GET", "HEAD"})

Fields = Sequence["tuple[str, str]"]


@dataclass(frozen=True)
class Feature:
    """A part of the bridge that asks Plone. `name` is for the metrics.

    `cancels`: its requests may be cancelled while Plone works on them. `relays`: it works while its client waits, so
    that the client's address goes along, stored pages may answer, and `wrote` is called for its writes; what does not
    relay works in the background and lets others pass.
    """

    name: str
    cancels: bool
    relays: bool


@dataclass(frozen=True)
class Answered:
    """A write that Plone has accepted: its path below the mount as in `/plone/…`, and what answered it."""

    method: str
    raw_path: bytes
    status: int
    location: str
    body: bytes = b""


API = Feature("api", cancels=False, relays=True)
JOBS = Feature("jobs", cancels=True, relays=False)
LIVE = Feature("live", cancels=True, relays=False)


@dataclass(frozen=True)
class Caller:
    """On whose behalf Plone is called. Never logged."""

    feature: Feature
    scheme: str
    host: str
    prefix: str
    fields: list[tuple[str, str]] = field(repr=False)
    reads: Optional[Scope] = field(default=None, repr=False)
    """The request itself, if it is one that only reads, without a credential: then stored pages may answer."""
    queues: Optional[list[tuple[str, str]]] = field(default=None, repr=False)
    """By which fields its requests are queued, where those that Plone gets do not tell the client's address."""

    @property
    def origin(self) -> str:
        """Return the beginning of the bridge's own URLs, as the client knows it."""
        return f"{self.scheme}://{self.host.lower()}"

    @property
    def authorization(self) -> Optional[str]:
        """Return the credential, or None."""
        return next((value for name, value in self.fields if name == "authorization"), None)

    def context(self) -> Dict[str, Any]:
        """Return, as JSON, what `PloneClient.again` needs beside the credential."""
        kept = [pair for pair in self.fields if pair[0] in _CONTEXT]
        return {"scheme": self.scheme, "host": self.host, "fields": kept}


class PloneClient:
    """Calls Plone for a caller. Paths are those of content below the site, decoded: `/courses/tür`."""

    def __init__(
        self, settings: Settings, upstream: Upstream, metrics: Metrics, anonymous: Optional[AnonymousReads]
    ) -> None:
        self._site_path = settings.plone_path
        self._upstream, self._metrics, self._anonymous = upstream, metrics, anonymous
        self.wrote: Callable[[Answered, Optional[Caller]], None] = lambda *_: None
        """Called after every write of a feature that relays which Plone has accepted, with who asked for it."""
        self.says_where: Callable[[str, bytes], bool] = lambda *_: False
        """Whether `wrote` needs the body of the answer to a request."""

    def caller(
        self, connection: Union[HTTPConnection, Scope], feature: Feature = API, authorization: Optional[str] = None
    ) -> Caller:
        """Return who calls, from the header section; raise RefusedError for one that contradicts itself.

        With `authorization`, that is the credential; a WebSocket that a page of another site opened has none else.
        """
        scope = connection.scope if isinstance(connection, HTTPConnection) else connection
        said = headers.request(scope["headers"], scope["scheme"])
        prefix = addresses.prefix(said.scheme, said.host, self._site_path)
        taken = _FROM_CLIENT | ({"x-forwarded-for"} if feature.relays else set())
        if authorization is not None or (scope["type"] == "websocket" and headers.foreign(scope["headers"])):
            # No script can set this field on a WebSocket, so it is the browser's idea.
            taken -= {"authorization"}
        fields = [pair for pair in said.fields if pair[0] in taken]
        if authorization:
            fields.append(("authorization", authorization))
        reads = (
            feature.relays and scope["method"] in _READS and not any(name == "authorization" for name, _ in fields)
        )
        queues = None
        if not feature.relays:  # what a client claims to be must bring it no more turns than its address has
            queues = [*headers.forwarded(scope["headers"]), *fields]
        return Caller(feature, said.scheme, said.host, prefix, fields, scope if reads else None, queues)

    def asks_alone(self, scope: Scope) -> Optional[Caller]:
        """Return the caller of a request if its Authorization alone says who it is; None otherwise.

        Raises RefusedError as `caller` does.
        """
        return self.caller(scope, LIVE) if headers.alone(scope["headers"]) else None

    def again(self, context: Mapping[str, Any], authorization: Optional[str], feature: Feature) -> Caller:
        """Return the caller that gave this `context`, with the credential that it has now."""
        prefix = addresses.prefix(context["scheme"], context["host"], self._site_path)
        fields = [(name, value) for name, value in context.get("fields", ())]
        fields.append(headers.VIA)
        if authorization:
            fields.append(("authorization", authorization))
        return Caller(feature, context["scheme"], context["host"], prefix, fields)

    async def call(
        self, caller: Caller, method: str, path: str = "/", service: str = "", *, query: Query = (), json: Any = None,
        fields: Fields = (),
    ) -> PloneAnswer:  # fmt: skip
        """Return Plone's good answer to one request; raise PloneError, UpstreamError or RefusedError.

        `service` is what follows the content's address, percent-encoded already, such as `/@search`.
        """
        if method == "GET" and caller.reads is not None and not fields:
            stored = await self._stored(caller.reads, addresses.address(path, service, query), service)
            if stored is not None:
                return stored
        return good(await self.ask(caller, method, path, service, query=query, json=json, fields=fields), service)

    async def ask(
        self, caller: Caller, method: str, path: str = "/", service: str = "", *, query: Query = (), json: Any = None,
        fields: Fields = (),
    ) -> Reply:  # fmt: skip
        """Return Plone's whole answer to one request, whatever its status; raise UpstreamError or RefusedError."""
        said = [("accept", "application/json"), *fields]
        body: Optional[bytes] = None
        if json is not None:
            body = orjson.dumps(json)
            said += [("content-type", "application/json"), ("content-length", str(len(body)))]
        answer = await self.send(caller, method, path, service, query, said, body)
        reply = await self._whole(answer)
        raw = self._written(caller, method, path, service, reply.status)
        if raw is not None and self.says_where(method, raw):
            self.wrote(Answered(method, raw, reply.status, "", reply.body), caller)
        return reply

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
        asked = self._anonymous.asked(page)
        if asked is None:
            scope[CACHE_STATUS] = BYPASS
            return None
        scope[CACHE_STATUS] = MISS
        found = self._anonymous.at_hand(asked, page) or await self._anonymous.fetch(asked, page)
        if isinstance(found, Found):
            scope[CACHE_STATUS] = found.status
            fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.page.fields}
            return good(Reply(found.page.status, fields, found.page.body), service)
        answer = found.take() if found is not None else None
        if found is None or answer is None:
            return None
        return good(await self._whole(answer, found.begun), service)

    async def send(
        self, caller: Caller, method: str, path: str, service: str, query: Query, fields: Fields, body: Body
    ) -> aiohttp.ClientResponse:
        """Return Plone's answer, whatever its status, its body unread; raise UpstreamError or RefusedError.

        Close the answer, read to its end or not.
        """
        target = caller.prefix + addresses.address(path, service, query)
        feature = caller.feature
        begins = None if feature.cancels else promise
        sent = [*caller.fields, *fields]
        answer = await self._upstream.fetch(
            method, target, sent, body, begins=begins, feature=feature.name, background=not feature.relays,
            whose=caller.queues,
        )  # fmt: skip
        raw = self._written(caller, method, path, service, answer.status)
        if raw is not None and not self.says_where(method, raw):
            self.wrote(Answered(method, raw, answer.status, answer.headers.get("location", "")), caller)
        return answer

    @staticmethod
    def _written(caller: Caller, method: str, path: str, service: str, status: int) -> Optional[bytes]:
        """Return the path of a write to be told, as a client would send it; None if it is none."""
        if not caller.feature.relays or method in _READS or status >= 300:
            return None
        return (addresses.MOUNT + addresses.address(path, service)).encode("ascii")

    async def refusal(self, answer: aiohttp.ClientResponse, service: str) -> PloneError:
        """Read an answer of `send` that is not the one hoped for, close it, and return what it says."""
        if answer.status in REDIRECTS:
            answer.close()
            return moved(answer.headers.get("location", ""), service)
        if answer.status < 400:
            answer.close()
            return PloneError(502, f"Plone answers {answer.status}, of which the bridge can make nothing.")
        return said_no(answer.status, parsed(answer.content_type, (await self._whole(answer)).body))

    async def _whole(self, answer: aiohttp.ClientResponse, begun: bytes = b"") -> Reply:
        """Read an answer to its end and close it; raise UpstreamError if it breaks off or is too long."""
        parts, length = [begun], len(begun)
        try:
            while not answer.content.at_eof():
                part = await answer.content.readany()
                length += len(part)
                if length > _ANSWER_BYTES:
                    raise UpstreamError("too_long", 502, f"Plone's answer is longer than {_ANSWER_BYTES} bytes.")
                parts.append(part)
        except (aiohttp.ClientError, asyncio.TimeoutError):
            self._metrics.plone_errors.labels("cut").inc()
            raise UpstreamError("cut", 502, "Plone's answer broke off before its end.") from None
        finally:
            answer.close()
        fields = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, fields, b"".join(parts))


class Site:
    """Plone as one caller sees it: its own credential, its own links."""

    def __init__(self, client: PloneClient, caller: Caller) -> None:
        self._client, self.caller = client, caller

    @property
    def authorization(self) -> Optional[str]:
        """Return the caller's credential, or None."""
        return self.caller.authorization

    async def ask(
        self, method: str, path: str = "/", service: str = "", *, document: Any = None, query: Query = ()
    ) -> Reply:
        """Return Plone's whole answer, whatever its status; raise UpstreamError."""
        return await self._client.ask(self.caller, method, path, service, query=query, json=document)
