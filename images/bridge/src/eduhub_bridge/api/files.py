"""Files: streamed to the caller from Plone's `@@download`, and to Plone by its tus protocol, in flat memory."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Optional
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, Header, Query
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from eduhub_bridge.api.answers import HEADERS, answer, content, mapping
from eduhub_bridge.api.content import ETAG, IfMatch, created, unchanged
from eduhub_bridge.api.etags import etag, matches
from eduhub_bridge.api.models.content import Content
from eduhub_bridge.api.parameters import LONGEST, At
from eduhub_bridge.plone.answers import PloneError
from eduhub_bridge.plone.client import Caller, PloneClient
from eduhub_bridge.plone.content_paths import content_path, item_path, quoted_name
from eduhub_bridge.upstream import headers
from eduhub_bridge.upstream.addresses import path_of
from eduhub_bridge.upstream.limits import Body
from eduhub_bridge.web.models import NAME, SHAPE
from eduhub_bridge.web.openapi import answers, binary
from eduhub_bridge.web.routers import router_of
from eduhub_bridge.web.streams import Relay
from eduhub_bridge.web.strict import check_length

_TUS = [("tus-resumable", "1.0.0"), ("accept", "application/json")]
_FOR_CALLER = (
    "content-type", "content-length", "content-range", "content-disposition", "accept-ranges", "etag", "last-modified",
)  # fmt: skip
_BODY = "The file itself; `Content-Type` is kept as its media type, `Content-Length` is required."
Field = Annotated[
    Optional[str],
    Query(
        description="Field that holds it; the item's primary one without it.", pattern=r"^[a-zA-Z][a-zA-Z0-9_]{0,99}$"
    ),
]
Filename = Annotated[
    str,
    Query(
        description="Its name; Plone makes the id of it.", min_length=1, max_length=200, json_schema_extra=NAME,
        openapi_examples={"pdf": {"value": "essay.pdf"}},
    ),
]  # fmt: skip


def router(plone: PloneClient, routes: type[APIRoute], longest: int) -> APIRouter:
    """Return the routes; an uploaded file has at most `longest` bytes."""
    api = router_of("files", routes, "/files")
    good = answers(
        None, 304, 307, 412, says="The file.",
        Content_Disposition="Its name", ETag="Changes with the file, where Plone gives one",
    )  # fmt: skip
    good["responses"][200]["content"] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    good["responses"][206] = {**good["responses"][200], "description": "The part of it."}

    @api.get("", response_class=Response, **good)
    async def download(
        request: Request, path: At, field: Field = None,
        range: Annotated[Optional[str], Header(description="One part, as in `bytes=0-1023`.")] = None,  # noqa: A002
        if_range: Annotated[Optional[str], Header(description="The part only of the file with this `ETag`.")] = None,
        if_match: Annotated[Optional[str], Header(description="Only the file with this `ETag`.")] = None,
        if_none_match: Annotated[Optional[str], Header(description="An `ETag` that the caller has.")] = None,
        if_modified_since: Annotated[Optional[str], Header(description="Of when the caller's copy is.")] = None,
        if_unmodified_since: Annotated[Optional[str], Header(description="Only a file not changed since.")] = None,
    ) -> Response:  # fmt: skip
        """Download the file or image that an item holds.

        Plone 6.0 gives the whole file for a range that it cannot satisfy, for several at once and with `If-Range`. It
        gives no `ETag` of a file by itself, so that a condition holds only where its caching, or a proxy, gives one.
        """
        caller, service = plone.caller(request), "/@@download" + (f"/{field}" if field else "")
        asked = {
            "range": range, "if-range": if_range if range else None, "if-match": if_match,
            "if-none-match": if_none_match, "if-modified-since": if_modified_since,
            "if-unmodified-since": if_unmodified_since,
        }  # fmt: skip
        wanted = [("accept", "application/json"), *((name, value) for name, value in asked.items() if value)]
        said = await plone.send(caller, "GET", item_path(path), service, (), wanted, None)
        other = if_match and said.status < 300 and not matches(if_match, said.headers.get("etag", ""), weak=False)
        if other or said.status == 412:
            said.close()
            raise PloneError(412, "The file has changed since, or Plone gives nothing by which to tell.")
        if said.status not in (200, 206, 304):
            raise _no_file(await plone.refusal(said, service))
        passed = headers.response(said.raw_headers, said.status)
        fields = {name.decode(): value.decode("latin-1") for name, value in passed if name.decode() in _FOR_CALLER}
        fields.update({**HEADERS, "x-content-type-options": "nosniff"})
        if said.status == 304:
            said.close()
            return Response(status_code=304, headers=fields)
        return Relay(said, fields)

    @api.post(
        "", openapi_extra=binary(_BODY),
        **answers(Content, 411, status=201, says="The new item that holds it.", Location="Its address here", ETag=ETAG),
    )  # fmt: skip
    async def upload(
        request: Request,
        parent: Annotated[
            str, Query(description="Path of what shall hold it.", max_length=LONGEST, json_schema_extra=SHAPE)
        ],
        filename: Filename,
        type: Annotated[  # noqa: A002
            Optional[str],
            Query(description="Content type; without it Image for `image/…`, File for all others.", max_length=100),
        ] = None,
    ) -> Response:
        """Upload a file as a new item."""
        caller = plone.caller(request)
        # Left to itself, Plone makes a page of a text file, and then finds no place in it for the file.
        kind = type or ("Image" if request.headers.get("content-type", "").startswith("image/") else "File")
        metadata = {"filename": filename, "@type": kind}
        path = await _send(plone, request, caller, content_path(parent), "/@tus-upload", longest, metadata)
        return created(caller, await _item(plone, caller, path))

    @api.put(
        "", openapi_extra=binary(_BODY), **answers(Content, 307, 411, 412, says="The item that holds it.", ETag=ETAG)
    )
    async def replace(
        request: Request, path: At, filename: Filename, field: Field = None, if_match: IfMatch = None
    ) -> Response:
        """Replace the file that an item holds."""
        caller = plone.caller(request)
        await unchanged(plone, caller, item_path(path), if_match)
        metadata = {"filename": filename, **({"fieldname": field} if field else {})}
        item = await _item(
            plone, caller, await _send(plone, request, caller, item_path(path), "/@tus-replace", longest, metadata)
        )
        if field and field not in item.fields:  # Plone takes the file, drops it, and says that all is well
            raise PloneError(400, f"This item has no field {field!r}.")
        return answer(item, etag=etag(item))

    return api


def _no_file(error: PloneError) -> PloneError:
    # Plone 6.0 fails on an item or a field without a file in it.
    if error.plone and error.plone["status"] == 500 and error.plone["type"] in ("TypeError", "AttributeError"):
        return PloneError(404, "There is no file in this item, or not in this field.", error.plone)
    return error


async def _send(
    plone: PloneClient, request: Request, caller: Caller, path: str, service: str, longest: int,
    metadata: dict[str, str],
) -> str:  # fmt: skip
    """Send the request's body to Plone; return the path of the item that holds it."""
    length = _length(request, longest)
    quoted_name(metadata["filename"])
    metadata["content-type"] = request.headers.get("content-type") or "application/octet-stream"
    told = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in metadata.items())
    fields = [*_TUS, ("upload-length", str(length)), ("upload-metadata", told), ("content-length", "0")]
    begun = await _step(plone, caller, "POST", path, service, fields)
    upload = "/@tus-upload/" + quoted_name(unquote(urlsplit(begun.get("location", "")).path.rpartition("/")[2]))
    # Plone looks at permissions only now: before the file is sent, rather than after.
    await _step(plone, caller, "HEAD", path, upload, _TUS)
    fields = [*_TUS, ("upload-offset", "0"), ("content-type", "application/offset+octet-stream"),
              ("content-length", str(length))]  # fmt: skip
    ended = await _step(plone, caller, "PATCH", path, upload, fields, request.stream())
    if "location" not in ended:
        raise PloneError(400, "Plone has taken the bytes, and made no content of them.")
    return path_of(ended["location"]) or "/"


async def _step(
    plone: PloneClient, caller: Caller, method: str, path: str, service: str, fields: list[tuple[str, str]],
    body: Body = None,
) -> dict[str, str]:  # fmt: skip
    said = await plone.send(caller, method, path, service, (), fields, body)
    if said.status >= 300:
        raise await plone.refusal(said, service)
    said.close()
    return {name.lower(): value for name, value in said.headers.items()}


def _length(request: Request, longest: int) -> int:
    check_length(request, longest)
    said = request.headers.get("content-length", "")
    if not said.isdigit():
        raise HTTPException(411, "The length of the file must be given in Content-Length.")
    if int(said) == 0:
        raise PloneError(400, "The file is empty, which Plone's upload does not take.")
    return int(said)


async def _item(plone: PloneClient, caller: Caller, path: str) -> Content:
    return content(mapping(await plone.call(caller, "GET", path, query=[("include_items", "0")])))
