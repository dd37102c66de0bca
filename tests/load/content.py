"""What is sent besides plain GETs, and how a body is told from a wrong one. Pure, but for the pace of bodies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from tests.load.client import Exchange, FailedError, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PIECES = 50
# Plone answers as an API to those who ask for nothing but JSON.
API = {"Accept": "application/json"}
_JSON = {**API, "Content-Type": "application/json"}
# A query to Plone's catalogue; it only reads.
_QUERY = {
    "query": [{"i": "portal_type", "o": "plone.app.querystring.operation.selection.any", "v": ["News Item"]}],
    "b_size": 5,
}


def shape(exchange: Exchange) -> Any:
    """Return what an answer has in common with a later one of the same page; raise FailedError for a broken one."""
    if not exchange.body:
        raise FailedError("wrong_body", "the body is empty")
    if not exchange.content_type.endswith("json"):
        return exchange.content_type
    try:
        document = json.loads(exchange.body)
    except ValueError as error:
        raise FailedError("wrong_body", f"not JSON: {error}") from None
    if not isinstance(document, dict):
        return exchange.content_type, type(document).__name__
    # Plone names what an answer is about; other answers are known by their keys.
    return exchange.content_type, document.get("@id") or sorted(document)


def same_shape(exchange: Exchange, reference: Any) -> None:
    """Raise FailedError if the answer is about something else than the reference."""
    if (found := shape(exchange)) != reference:
        raise FailedError("wrong_body", f"{found} instead of {reference}")


def document_id(run: str, number: int) -> str:
    """Return the id of the run's document of that number."""
    return f"load-{run}-{number}"


def make_document(path: str, name: str, run: str, fields: dict[str, str]) -> Request:
    """Return the request that makes the document `name`; its title has the word `run`, for the audit to find."""
    document = {"@type": "Document", "id": name, "title": f"{name} load {run}"}
    return Request("POST", path, 201, {**fields, **_JSON}, json.dumps(document).encode())


def made(exchange: Exchange, name: str) -> None:
    """Raise FailedError unless the answer describes the document `name`."""
    try:
        found = json.loads(exchange.body)["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise FailedError("wrong_body", f"no description of the document: {error!r}") from None
    if found != name:
        raise FailedError("wrong_body", f"{found!r} was made instead of {name!r}")


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header fields of an API client with basic authentication."""
    return {**API, "Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def log_in(path: str, user: str, password: str) -> Request:
    """Return the request for a token, at the root that `path` is below."""
    root = "/" + path.split("/")[1]
    return Request("POST", f"{root}/@login", 200, _JSON, json.dumps({"login": user, "password": password}).encode())


def bearer(exchange: Exchange) -> dict[str, str]:
    """Return the header fields of an API client with the token in the answer; raise FailedError if there is none."""
    try:
        return {**API, "Authorization": "Bearer " + json.loads(exchange.body)["token"]}
    except (ValueError, KeyError, TypeError):
        raise FailedError("wrong_body", "the answer to the login holds no token") from None


def slowly(path: str, seconds: float) -> Request:
    """Return a request whose body takes `seconds` to send."""
    head, tail = json.dumps(_QUERY)[:-1].encode(), b"}"

    async def pieces() -> AsyncIterator[bytes]:
        yield head
        for _ in range(_PIECES):
            await asyncio.sleep(seconds / _PIECES)
            yield b" "
        yield tail

    length = len(head) + _PIECES + len(tail)
    return Request("POST", path, 200, {**_JSON, "Content-Length": str(length)}, pieces)


class Download:
    """Takes a file in, at a speed that makes `length` bytes last `seconds`, and knows it again by its digest."""

    def __init__(self, length: int = 0, seconds: float = 0.0) -> None:
        self._pace = seconds / length if length else 0.0
        self._begun = asyncio.get_running_loop().time()
        self._digest = hashlib.sha256()
        self.taken = 0

    def take(self, block: bytes) -> float:
        """Take one block in; return for how many seconds to read no further, since it came too early."""
        self._digest.update(block)
        self.taken += len(block)
        early = self.taken * self._pace - (asyncio.get_running_loop().time() - self._begun)
        return early if early > 0.02 else 0.0

    def identity(self) -> tuple[int, str]:
        """Return length and SHA-256 of what came so far."""
        return self.taken, self._digest.hexdigest()

    def is_like(self, reference: tuple[int, str]) -> None:
        """Raise FailedError unless the whole file came."""
        if self.identity() != reference:
            raise FailedError("wrong_body", f"{self.identity()} instead of {reference}")
