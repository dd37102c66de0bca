"""What Plone's REST API answers, and what an answer that is no success means for a client. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional
from urllib.parse import unquote

import orjson

from eduhub_bridge.plone import documents
from eduhub_bridge.upstream.addresses import path_of

_KEPT = frozenset({400, 401, 403, 404, 409, 413, 501, 503})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_WORDS = {
    401: "Plone wants other credentials for this.",
    403: "Plone does not allow this.",
    404: "Plone has nothing here.",
}
# What Plone 6.0 raises, and answers with 500, for input that it cannot make sense of.
_BAD_INPUT = frozenset({"CopyError", "ParseError", "QueryError", "ValueError"})
# Zope answers 503 to these mistakes of its own code, and means no overload.
_NO_OUTAGE = frozenset({"KeyError", "NameError"})


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
class Reply:
    """A whole answer, whatever its status; names of fields are in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    def document(self) -> Any:
        """Return the JSON in it, or None."""
        try:
            return documents.read(self.body)
        except orjson.JSONDecodeError:
            return None


@dataclass(frozen=True)
class PloneAnswer:
    """A good answer: `document` is the parsed JSON, None where there was no body."""

    status: int
    headers: Mapping[str, str]
    document: Any


def good(reply: Reply, service: str) -> PloneAnswer:
    """Return a reply as a good answer; raise PloneError for every other."""
    if reply.status in REDIRECTS:
        raise moved(reply.fields.get("location", ""), service)
    kind = reply.fields.get("content-type", "").partition(";")[0].strip().lower()
    return PloneAnswer(reply.status, reply.fields, understood(reply.status, kind, reply.body, service))


def understood(status: int, content_type: str, text: bytes, service: str = "") -> Any:
    """Return the document of a good answer; raise PloneError for every other. Pure."""
    if status >= 400:
        raise said_no(status, parsed(content_type, text))
    if not text:
        return None
    if content_type != "application/json":
        # Plone shows a page of its own under that name, say its sitemap: nothing that has fields.
        raise PloneError(502 if service else 404, "Plone has a page here, but no content.")
    try:
        return documents.read(text)
    except ValueError:
        raise PloneError(502, "Plone's answer is not the JSON that it claims to be.") from None


def said_no(status: int, document: Any) -> PloneError:
    """Return what an answer of 400 and more means for the caller. Pure."""
    said = complaint(document)
    kind, message = (str(said[key]) if key in said else None for key in ("type", "message"))
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


def parsed(content_type: str, text: bytes) -> Any:
    try:
        return documents.read(text) if content_type == "application/json" else None
    except ValueError:
        return None


def moved(location: str, service: str) -> PloneError:
    path = path_of(location) or ""
    if service and path.endswith(unquote(service)):
        path = path[: -len(unquote(service))]
    return PloneError(404, "Plone says that this has moved.", None, path or location)


def complaint(document: Any) -> Dict[str, Any]:
    """Return what Plone says is wrong, type and message, without the traceback that it shows to managers. Pure.

    Plone has three forms for it: {type, message}, {error: {type, message}}, and no words at all.
    """
    inner = document.get("error", document) if isinstance(document, dict) else {}
    inner = inner if isinstance(inner, dict) else {"message": inner}
    return {name: inner[name] for name in ("type", "message") if inner.get(name)}
