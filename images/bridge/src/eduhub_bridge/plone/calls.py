"""The seam to Plone for everything that is not passed through: one small question, one whole answer.

`Caller` is all that jobs and live events know; who stands behind it decides about lanes, breakers and caches.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Protocol, Tuple
from urllib.parse import quote

import aiohttp
import orjson

from eduhub_bridge.upstream import addresses
from eduhub_bridge.upstream.limits import Upstream, UpstreamError

_MOST_BYTES = 32 * 1024 * 1024
# After these nothing can have reached Plone.
_NOT_SENT = frozenset({"connect", "connect_timeout"})
_PLAIN = "/-._~!$&'()*+,;=:@"


class NoAnswerError(Exception):
    """Plone gave no whole answer. `sent` is false if it cannot have got the question either."""

    def __init__(self, sent: bool, status: int, detail: str) -> None:
        super().__init__(detail)
        self.sent, self.status = sent, status


@dataclass(frozen=True)
class Reply:
    """A whole answer; names of fields are in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    def document(self) -> Any:
        """Return the JSON in it, or None."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class Caller(Protocol):
    """Asks Plone; `path` goes out as it is. Raises NoAnswerError."""

    async def call(
        self, method: str, path: str, fields: List[Tuple[str, str]], body: Optional[bytes] = None
    ) -> Reply: ...


class UpstreamCaller:
    """The Caller over Upstream."""

    def __init__(self, upstream: Upstream, feature: str) -> None:
        self._upstream, self._feature = upstream, feature

    async def call(self, method: str, path: str, fields: List[Tuple[str, str]], body: Optional[bytes] = None) -> Reply:
        """Ask and read the answer to its end."""
        if body is not None:
            fields = [*fields, ("content-length", str(len(body)))]
        try:
            answer = await self._upstream.fetch(method, path, fields, body, feature=self._feature)
        except UpstreamError as error:
            # 503 is the bridge's own word for "not now": a full lane, an open breaker.
            sent = error.kind not in _NOT_SENT and error.status != 503
            raise NoAnswerError(sent, error.status, str(error)) from error
        try:
            whole = bytearray()
            async for chunk in answer.content.iter_chunked(65536):
                whole += chunk
                if len(whole) > _MOST_BYTES:
                    raise NoAnswerError(True, 502, "Plone's answer is too long.")
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            raise NoAnswerError(True, 502, "Plone's answer broke off.") from error
        finally:
            answer.close()
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, named, bytes(whole))


@dataclass(frozen=True)
class Origin:
    """Where the client believes Plone to be, so that links in answers are its own."""

    scheme: str
    host: str


class Site:
    """Plone as one client sees it: its own authority, its own links. Paths begin with / at the site's root."""

    def __init__(self, caller: Caller, site_path: str, origin: Origin, authorization: Optional[str]) -> None:
        self._caller, self.authorization = caller, authorization
        self._prefix = addresses.prefix(origin.scheme, origin.host, site_path)

    async def ask(self, method: str, path: str, document: Any = None, query: str = "") -> Reply:
        """Ask for JSON; raise NoAnswerError."""
        fields = [("accept", "application/json"), ("via", "1.1 eduhub-bridge")]
        if self.authorization:
            fields.append(("authorization", self.authorization))
        body = None
        if document is not None:
            fields.append(("content-type", "application/json"))
            body = orjson.dumps(document)
        target = self._prefix + quote(path, safe=_PLAIN) + (f"?{query}" if query else "")
        return await self._caller.call(method, target, fields, body)


def complaint(reply: Reply) -> Dict[str, Any]:
    """Return what Plone says is wrong, without the traceback it shows to managers."""
    document = reply.document()
    inner = document.get("error", document) if isinstance(document, dict) else {}
    inner = inner if isinstance(inner, dict) else {"message": inner}
    return {name: inner[name] for name in ("type", "message") if inner.get(name)}
