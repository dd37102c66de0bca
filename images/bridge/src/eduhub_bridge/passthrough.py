"""`/plone/…`: what goes to Plone and back, streamed both ways, nothing rewritten; anonymous reads from stored pages."""

from __future__ import annotations

import asyncio
from typing import Optional, Union

import aiohttp
from starlette.types import Receive, Scope, Send

from eduhub_bridge.cache.anonymous import BY_METHOD, BYPASS, MISS, Alone, AnonymousReads, Found, Target
from eduhub_bridge.cache.freshness import Asked
from eduhub_bridge.settings import Settings
from eduhub_bridge.telemetry.logs import Seldom
from eduhub_bridge.telemetry.metrics import Metrics
from eduhub_bridge.upstream import addresses, forms, headers, request_kind
from eduhub_bridge.upstream.limits import Upstream, UpstreamError
from eduhub_bridge.web.disconnect import ClientDisconnect, ClientWatch
from eduhub_bridge.web.problems import problem
from eduhub_bridge.web.streams import AnswerCutError, forward

ROUTE = f"{addresses.MOUNT}/{{path}}"


class PassThrough:
    """The ASGI application for everything below the mount."""

    def __init__(self, settings: Settings, upstream: Upstream, metrics: Metrics) -> None:
        self._site_path = settings.plone_path
        self._upstream, self._metrics = upstream, metrics
        self.anonymous: Optional[AnonymousReads] = None
        """The stored pages, None if there are to be none; a scope that asks for one is a GET below the mount."""
        if settings.cache_seconds:
            self.anonymous = AnonymousReads(settings, upstream, metrics, lambda scope: self._target(scope)[0])
        self._log = Seldom()

    async def close(self) -> None:
        """Stop what goes on for no client; the connections to Plone are closed after this."""
        if self.anonymous:
            await self.anonymous.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raise AnswerCutError when the answer breaks off after its head was sent."""
        try:
            status = BY_METHOD
            # Not HEAD: Plone's services know GET and answer 404 to it.
            if scope["method"] == "GET":
                status = BYPASS
                reads = self.anonymous
                asked = reads.asked(scope) if reads else None
                if reads and asked:
                    status = MISS
                    if await self._answered(reads, asked, scope, receive, send):
                        return
            await self._pass(scope, receive, send, status)
        except addresses.RefusedError as refusal:
            await problem(400, str(refusal))(scope, receive, send)
        except UpstreamError as error:
            if error.kind != "breaker_open":  # said once, when it opened
                request = headers.request_id(scope["headers"])
                self._log.say("plone_failed", kind=error.kind, detail=str(error), request=request)
            await problem(error.status, str(error), error.headers)(scope, receive, send)

    def _target(self, scope: Scope) -> tuple[Target, headers.Request]:
        if scope["method"] == "CONNECT":  # it would name Plone's own address, past the site's
            raise addresses.RefusedError("CONNECT asks for a tunnel, and the bridge digs none.")
        request = headers.request(scope["headers"], scope["scheme"])
        prefix = addresses.prefix(request.scheme, request.host, self._site_path)
        return Target(prefix + addresses.rest(scope["raw_path"], scope["query_string"]), request.fields), request

    async def _answered(
        self, reads: AnonymousReads, asked: Asked, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Answer an anonymous read and return True, or return False: then it has to be passed on."""
        found: Union[Found, Alone, None] = reads.at_hand(asked, scope)
        if found is None:
            found = await reads.fetch(asked, scope)
        if isinstance(found, Found):
            await _send_page(found, asked, send)
            return True
        answer = found.take() if found is not None else None
        if found is None or answer is None:
            return False
        client = ClientWatch(receive, has_body=False)
        try:
            await self._relay(answer, send, MISS, found.begun)
        except asyncio.CancelledError:
            if not client.gone:
                raise
        finally:
            client.forget()
        return True

    async def _pass(self, scope: Scope, receive: Receive, send: Send, status: bytes) -> None:
        target, request = self._target(scope)
        form = _form(scope["method"], target) if request.has_body else None
        client = ClientWatch(receive, request.has_body)
        body = client.body() if request.has_body else None
        if body and form:
            body = forms.read_along(body, form)
        try:
            answer = await self._upstream.fetch(scope["method"], target.path, target.fields, body, begins=client.hold)
            client.let_go()
            if client.gone:
                answer.close()
            else:
                await self._relay(answer, send, status)
        except UpstreamError:
            if not client.gone:
                raise
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            if not client.gone:
                raise
        finally:
            client.forget()

    async def _relay(self, answer: aiohttp.ClientResponse, send: Send, status: bytes, begun: bytes = b"") -> None:
        try:
            fields = headers.response(answer.raw_headers, answer.status)
            fields.append((b"cache-status", status))
            await send({"type": "http.response.start", "status": answer.status, "headers": fields})
            if begun:
                await send({"type": "http.response.body", "body": begun, "more_body": True})
            await forward(answer.content, send)
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            self._metrics.plone_errors.labels("cut").inc()
            self._log.say("plone_answer_cut", detail=str(error) or type(error).__name__)
            raise AnswerCutError from error
        finally:
            # A connection whose answer was read to its end is back in the pool already.
            answer.close()


def _form(method: str, target: Target) -> Optional[forms.Form]:
    """Return what reads the form that is to be passed on, None if the body is none."""
    content_type = next((value for name, value in target.fields if name == "content-type"), "")
    # What a login or a search is taken for, it has to be.
    plain = request_kind.kind(method, target.path, content_type) is not request_kind.Kind.WRITE
    return forms.form(method, content_type, plain=plain)


async def _send_page(found: Found, asked: Asked, send: Send) -> None:
    page = found.page
    if page.unchanged(asked):
        status, fields, body = 304, page.fields_304, b""
    else:
        status, fields, body = page.status, page.fields, page.body
    fields = [*fields, (b"age", b"%d" % found.age), (b"cache-status", found.status)]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
