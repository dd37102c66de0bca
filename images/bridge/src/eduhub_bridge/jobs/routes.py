"""`/api/v1/bulk`, `/api/v1/exports` and `/api/v1/jobs`."""

from __future__ import annotations

import contextlib
import re
import time
from datetime import datetime, timezone
from typing import Any, AsyncGenerator, AsyncIterator, Dict, Optional

import orjson
from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError
from starlette.responses import Response
from typing_extensions import Annotated

from eduhub_bridge.jobs import exports, models, openapi
from eduhub_bridge.jobs.models import Export, Jobs
from eduhub_bridge.jobs.receive import TooLargeError, receive
from eduhub_bridge.jobs.service import OTHERS_SECONDS, RECEIVE_SECONDS, Service
from eduhub_bridge.store import jobs as states
from eduhub_bridge.store.database import StoreError, StoreFullError
from eduhub_bridge.store.jobs import Job, NotReceivingError, TooManyError
from eduhub_bridge.web.clients import Clients, ProblemError
from eduhub_bridge.web.disconnect import ClientDisconnect, body
from eduhub_bridge.web.openapi import only_users
from eduhub_bridge.web.problems import problem
from eduhub_bridge.web.routers import MOUNT, router_of
from eduhub_bridge.web.streams import NDJSON, AnswerCutError, Stream
from eduhub_bridge.web.strict import route_class

_NDJSON_TYPES = frozenset({NDJSON, "application/ndjson", "application/jsonl", "application/x-jsonlines"})
# draft-ietf-httpapi-idempotency-key-header: a quoted string; without the quotes it is understood all the same.
_KEY = re.compile(r'"(?P<quoted>[!#-~ ]{1,255})"|(?P<plain>[!#-+.-~-]{1,255})')
_ASYNC = re.compile(r"(^|,)\s*respond-async\s*(,|;|$)", re.IGNORECASE)
# What a job keeps of its request to ask Plone like it; not for its client.
_CONTEXT = frozenset({"scheme", "host", "fields"})
_MOST_UNFINISHED = 20
_MOST_LISTED = 100
_EXPORT_BYTES = 65536
# Before a value, where JSON allows it: an empty line would end those clients that read each line as JSON.
_HEARTBEAT = b" "
_ID = re.compile(r"[0-9a-f]{32}")
_Id = Annotated[str, Path(alias="job", description="The job's id.", json_schema_extra=openapi.ID)]


class _Gone(Response):
    """The client has left: there is no answer to send."""

    async def __call__(self, *_: Any) -> None:
        return


def router(service: Service, clients: Clients, most_bytes: int) -> APIRouter:
    """Return the routes; `most_bytes` bounds the body of a bulk request."""
    routes = router_of("jobs", route_class(most_bytes))
    endpoints = _Endpoints(service, clients, most_bytes)

    @routes.post(
        "/bulk", response_class=openapi.Lines,
        **openapi.streams("A line for each operation as it ends, and the job.", openapi.RESULTS, 415),
        openapi_extra=only_users(
            requestBody={"required": True, "description": "One operation a line.", "content": openapi.OPERATIONS},
            parameters=[openapi.PREFER, openapi.IDEMPOTENCY],
        ),
    )  # fmt: skip
    async def bulk(
        request: Request,
        dry_run: Annotated[bool, Query(description="Say what would be done, and write nothing.")] = False,
        stop_on_error: Annotated[bool, Query(description="Leave the rest undone after a failure.")] = False,
        concurrency: Annotated[
            int, Query(ge=1, le=8, description="Above 1 the order is free: for operations that do not build on others.")
        ] = 1,
    ) -> Response:
        """Carry out many operations.

        Nothing is done before the whole request is here; a failed operation does not stop the rest. The last line is
        the job itself: an answer without it was cut, and the same request with its `Idempotency-Key` goes on. While no
        operation ends, a space comes every 15 seconds, before the next line.
        """
        options = {"dry_run": dry_run, "stop_on_error": stop_on_error, "concurrency": concurrency}
        return await _answered(endpoints.bulk(request, options))

    @routes.post(
        "/exports", response_class=openapi.Lines,
        **openapi.streams("An item a line, as Plone's catalogue knows it, and the job.", openapi.ITEMS),
        openapi_extra=only_users(
            requestBody={"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Export"}}}},
            parameters=[openapi.PREFER, openapi.IDEMPOTENCY],
        ),
    )  # fmt: skip
    async def export(request: Request) -> Response:
        """Export what a search finds.

        Every item that it finds, each once, in no order.
        """
        return await _answered(endpoints.export(request))

    @routes.get("/jobs", **openapi.told(Jobs, "Newest first."), openapi_extra=only_users())
    async def jobs(request: Request) -> Response:
        """List the newest jobs of this user."""
        return await _answered(endpoints.list(request))

    @routes.get("/jobs/{job}", **openapi.told(models.Job, "The job."), openapi_extra=only_users())
    async def job(request: Request, job: _Id) -> Response:
        """Read how far a job is."""
        return await _answered(endpoints.show(request, job))

    @routes.get(
        "/jobs/{job}/results", response_class=openapi.Lines,
        **openapi.told(None, "Its lines.", lines=openapi.RESULTS), openapi_extra=only_users(),
    )  # fmt: skip
    async def results(
        request: Request,
        job: _Id,
        after: Annotated[int, Query(ge=0, le=10**9, description="How many lines are known already.")] = 0,
        follow: Annotated[bool, Query(description="Stay until the job ends.")] = False,
    ) -> Response:
        """Read what came of a job, without the line that is the job."""
        return await _answered(endpoints.results(request, job, after, follow=follow))

    @routes.post(
        "/jobs/{job}/resume", **openapi.told(models.Job, "It goes on.", status=202, Location="Where to look"),
        openapi_extra=only_users(),
    )  # fmt: skip
    async def resume(request: Request, job: _Id) -> Response:
        """Let a waiting job go on, with this request's credential; 409 for one that does not wait."""
        return await _answered(endpoints.resume(request, job))

    @routes.delete("/jobs/{job}", **openapi.cancelled(), openapi_extra=only_users())
    async def cancel(request: Request, job: _Id) -> Response:
        """Cancel a job, or forget one that has ended."""
        return await _answered(endpoints.cancel(request, job))

    return routes


class _Endpoints:
    def __init__(self, service: Service, clients: Clients, most_bytes: int) -> None:
        self._service, self._clients, self._most_bytes = service, clients, most_bytes
        self._store = service.store

    async def bulk(self, request: Request, options: Dict[str, Any]) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _NDJSON_TYPES:
            raise ProblemError(problem(415, f"Send operations as {NDJSON}, one JSON object a line."))
        if int(request.headers.get("content-length") or 0) > self._most_bytes:
            raise ProblemError(problem(413, f"At most {self._most_bytes} bytes: send several requests."))
        return await self._submit(request, "bulk", options, body(request.receive))

    async def export(self, request: Request) -> Response:
        text = bytearray()
        async for chunk in body(request.receive):
            text += chunk
            if len(text) > _EXPORT_BYTES:
                raise ProblemError(problem(413, f"At most {_EXPORT_BYTES} bytes say what to export."))
        try:
            wanted = Export.model_validate_json(bytes(text) or b"{}")
        except ValidationError as error:
            wrong = [
                {"where": ".".join(str(part) for part in each["loc"]), "what": each["msg"]} for each in error.errors()
            ]
            raise ProblemError(problem(422, "The request does not say what to export.", errors=wrong)) from None
        taken = exports.reserved(wanted.query)
        if taken:
            raise ProblemError(problem(422, f"The export itself decides about {', '.join(taken)}: leave it out."))
        return await self._submit(request, "export", {"query": wanted.query}, None)

    async def _submit(
        self, request: Request, kind: str, options: Dict[str, Any], chunks: Optional[AsyncIterator[bytes]]
    ) -> Response:
        site = self._clients.site(request)
        owner = await self._clients.user(site)
        authorization = site.authorization or ""
        background = bool(_ASYNC.search(", ".join(request.headers.getlist("prefer"))))
        key = _key(request)
        if not background and self._service.full() and not await self._has_ended(owner, key):
            wait = {"retry-after": "5"}
            raise ProblemError(problem(503, "Too much is going on: come back, or send Prefer: respond-async.", wait))
        salt = orjson.dumps([kind, options], option=orjson.OPT_SORT_KEYS)
        options = {**options, **site.caller.context()}
        job = self._service.new(kind, owner, key, options, authorization, attached=not background)
        try:
            kept = await self._store.create(job, _MOST_UNFINISHED)
        except TooManyError:
            words = f"There are {_MOST_UNFINISHED} unfinished jobs of this user: resume or cancel some of /api/v1/jobs."
            raise ProblemError(problem(429, words)) from None
        if kept.id == job.id:
            await self._receive(job, chunks, salt)
        else:
            await self._same(kept, chunks, salt)
            if kept.state == states.WAITING:
                await self._service.resume(kept, authorization, attached=not background)
        self._service.wake()
        applied = {"preference-applied": "respond-async"} if background else {}
        if background:
            return await self._told(kept.id, 202, {"location": _address(kept.id), **applied})
        return self._stream(kept.id, 0, authorization)

    async def _has_ended(self, owner: str, key: Optional[str]) -> bool:
        """Return whether the request was carried out before: to tell that again takes no room."""
        found = await self._store.with_key(owner, key) if key else None
        return found is not None and found.state in states.ENDED

    async def _receive(self, job: Job, chunks: Optional[AsyncIterator[bytes]], salt: bytes) -> None:
        async def keep(lines: "list[tuple[int, bytes]]") -> None:
            await self._store.add(job.id, lines, time.time() + RECEIVE_SECONDS)

        try:
            count, digest = await receive(chunks or _nothing(), keep, self._most_bytes, salt)
            if chunks is None or count:
                now = time.time()
                others = 0.0 if job.attached else now + OTHERS_SECONDS
                await self._store.received(job.id, None if chunks is None else count, digest, now, others)
        except NotReceivingError:
            await self._store.remove(job.id)
            raise ProblemError(problem(409, "The job was cancelled before all of it was here.")) from None
        except BaseException:
            await self._store.remove(job.id)
            raise
        if chunks is not None and not count:
            await self._store.remove(job.id)
            raise ProblemError(problem(422, "There is no operation in the request."))
        if not job.attached:
            await self._service.received(job.id)

    async def _same(self, kept: Job, chunks: Optional[AsyncIterator[bytes]], salt: bytes) -> None:
        if kept.state == states.RECEIVING:
            raise ProblemError(problem(409, "The same request is being received now.", {"retry-after": "1"}))

        async def drop(_: object) -> None:
            return

        _, digest = await receive(chunks or _nothing(), drop, self._most_bytes, salt)
        if digest != kept.fingerprint:
            raise ProblemError(problem(422, "This Idempotency-Key was given with another request before."))

    def _stream(self, job: str, after: int, attached: Optional[str]) -> Response:
        async def lines() -> AsyncGenerator[bytes, None]:
            following = self._service.follow(job, after, attached)
            try:
                async for line in following:
                    yield _HEARTBEAT if line is None else line + b"\n"
            finally:
                await following.aclose()  # at once: left() asks who still follows
            if attached:
                yield orjson.dumps(_document(await self._get(job))) + b"\n"

        async def left() -> None:
            with contextlib.suppress(StoreError):  # then it stops at its next step, for the same reason
                await self._service.left(job)

        return Stream(_whole_or_cut(lines()), NDJSON, left if attached else None, {"x-eduhub-job": job})

    async def _get(self, job: str) -> Job:
        found = await self._store.get(job)
        if found is None:
            raise ProblemError(problem(404, "There is no such job, or it is kept no longer."))
        return found

    async def _own(self, request: Request, job: str) -> Job:
        """Return the job if it is this user's; another user's is reported as missing."""
        owner = await self._clients.user(self._clients.site(request))
        found = await self._store.get(job) if _ID.fullmatch(job) else None
        if found is None or found.owner != owner:
            raise ProblemError(problem(404, "There is no such job, or it is kept no longer."))
        return found

    async def _told(self, job: str, status: int, fields: Dict[str, str]) -> Response:
        return _json(_document(await self._get(job)), status, fields)

    async def list(self, request: Request) -> Response:
        owner = await self._clients.user(self._clients.site(request))
        return _json({"items": [_document(each) for each in await self._store.of(owner, _MOST_LISTED)]})

    async def show(self, request: Request, job: str) -> Response:
        found = await self._own(request, job)
        unfinished = found.state in (states.QUEUED, states.RUNNING, states.RECEIVING)
        return _json(_document(found), 200, {"retry-after": "1"} if unfinished else {})

    async def results(self, request: Request, job: str, after: int, *, follow: bool) -> Response:
        found = await self._own(request, job)
        if follow:
            return self._stream(job, after, None)

        async def lines() -> AsyncGenerator[bytes, None]:
            at = after
            while at < found.done:
                page = await self._store.results(job, at, 200)
                if not page:
                    return
                at += len(page)
                yield b"\n".join(page) + b"\n"

        return Stream(_whole_or_cut(lines()), NDJSON)

    async def resume(self, request: Request, job: str) -> Response:
        found = await self._own(request, job)
        if found.state != states.WAITING:
            raise ProblemError(problem(409, f"The job does not wait, it is {found.state}."))
        await self._service.resume(found, request.headers["authorization"], attached=False)
        return await self._told(job, 202, {"location": _address(job)})

    async def cancel(self, request: Request, job: str) -> Response:
        found = await self._own(request, job)
        if found.state in states.ENDED:
            await self._store.remove(job)
            return Response(status_code=204)
        await self._service.order(job, "cancel")
        return await self._told(job, 202, {})


async def _answered(answer: Any) -> Response:
    try:
        response: Response = await answer
    except ProblemError as error:
        return error.response
    except TooLargeError as error:
        return problem(413, str(error))
    except ClientDisconnect:
        return _Gone()
    except StoreFullError:
        return problem(507, "The bridge's store is full.")
    except StoreError:
        return problem(503, "The bridge's store fails.", {"retry-after": "5"})
    return response


async def _whole_or_cut(lines: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """Yield the lines; raise AnswerCutError where the store fails, so that no client takes a part for all."""
    try:
        async for line in lines:
            yield line
    except (StoreError, ProblemError) as error:
        raise AnswerCutError from error
    finally:
        await lines.aclose()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _key(request: Request) -> Optional[str]:
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    match = _KEY.fullmatch(given[0].strip()) if len(given) == 1 else None
    if match is None:
        raise ProblemError(problem(400, 'Idempotency-Key is one quoted string of at most 255 letters, as in "7f3a".'))
    return match["quoted"] or match["plain"]


def _address(job: str) -> str:
    return f"{MOUNT}/jobs/{job}"


def _json(document: Any, status: int = 200, fields: Optional[Dict[str, str]] = None) -> Response:
    named = {"cache-control": "no-store", **(fields or {})}
    return Response(orjson.dumps(document), status, named, media_type="application/json")


def _document(job: Job) -> Dict[str, Any]:
    return {
        "job": job.id,
        "kind": job.kind,
        "state": job.state,
        **({"why": job.why} if job.why else {}),
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "created": _moment(job.created),
        "changed": _moment(job.changed),
        "options": {name: value for name, value in job.options.items() if name not in _CONTEXT},
        "links": {"self": _address(job.id), "results": f"{_address(job.id)}/results"},
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
