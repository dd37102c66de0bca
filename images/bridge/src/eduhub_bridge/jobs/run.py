"""One job on its way: from where it stopped to its end, or to where somebody else goes on."""

from __future__ import annotations

import asyncio
import time
from typing import Any, AsyncIterator, Awaitable, Callable, Mapping, Optional, Tuple

import orjson

from eduhub_bridge.jobs.dry_run import rehearse
from eduhub_bridge.jobs.exports import pages
from eduhub_bridge.jobs.operations import InvalidOperationError, MoveOperation, Operation, fingerprint, parse
from eduhub_bridge.jobs.perform import HeldError, Outcome, SiteDownError, perform, refusal
from eduhub_bridge.patterns.bulk import bulk
from eduhub_bridge.plone.client import Site
from eduhub_bridge.plone.identity import Identities, UnknownUserError
from eduhub_bridge.store import jobs as states
from eduhub_bridge.store.database import StoreError
from eduhub_bridge.store.jobs import Begun, Job, Jobs, Line
from eduhub_bridge.upstream.limits import UpstreamError

# Told of every write: operation, path, path before, user.
Told = Callable[[str, str, str, str], None]

_PAGE, _PAGE_BYTES = 100, 1 << 20
_BUSY_PAUSE_SECONDS, _BUSY_SECONDS = 0.2, 300.0
_DOWN_SECONDS = 2.0


class _CredentialError(Exception):
    """Plone does not accept the job's credential any more."""


class _RefusedError(Exception):
    """Plone will not do what the whole job is about."""


class Run:
    """Carries out one claimed job. `stop` ends it after the operation in hand: "pause", "cancel" or "hand over"."""

    def __init__(
        self, store: Jobs, job: Job, worker: str, site: Site, identities: Identities, told: Told,
        held: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.job, self.worker = job, worker
        self.stop = job.orders
        self.progress = asyncio.Event()
        self._store, self._site, self._identities, self._told, self._held = store, site, identities, told, held
        self._done, self._began = 0, time.monotonic()
        self._failed_at: Optional[int] = None
        self._is_held = False

    def seconds_left(self) -> float:
        """Return how long the rest takes at the pace so far; infinity if there is none yet."""
        if not self._done or self.job.total is None:
            return float("inf")
        pace = (time.monotonic() - self._began) / self._done
        return max(0, self.job.total - self.job.done - self._done) * pace

    async def go(self) -> None:
        """Work until the end or a stop, and give the job back; raise LeaseLostError or StoreError."""
        # The default for an unexpected end: a part of the results is not taken for all.
        state, why, not_before = states.FAILED, "The bridge failed over it; its log says more.", 0.0
        try:
            await (self._export() if self.job.kind == "export" else self._bulk())
            state, why = self._stopped()
        except asyncio.CancelledError:
            state, why = states.QUEUED, "Handed over in the middle of an operation."
            raise
        except SiteDownError as error:
            state, why, not_before = states.QUEUED, f"Waiting for Plone: {error}", time.time() + _DOWN_SECONDS
        except HeldError:
            state, why, not_before = states.QUEUED, states.HELD, time.time() + _DOWN_SECONDS
        except StoreError:
            state, why, not_before = states.QUEUED, "Waiting for the bridge's store.", time.time() + _DOWN_SECONDS
            raise
        except _RefusedError as error:
            state, why = states.FAILED, str(error)
        except _CredentialError:
            state, why = states.WAITING, "Plone does not accept the credential any more; resume it with a fresh one."
        finally:
            if state == states.QUEUED and self.job.attached and not not_before:
                state, why = states.WAITING, states.DIED
            await asyncio.shield(
                self._store.let_go(self.job.id, self.worker, state, why, time.time(), not_before=not_before)
            )
            self.progress.set()

    def _stopped(self) -> Tuple[str, str]:
        """Return the state after work that came to its end, or was told to stop, and why."""
        if self._failed_at is not None:
            return states.FAILED, f"Stopped at the first failure, operation {self._failed_at}."
        if self.stop == "cancel":
            return states.CANCELLED, ""
        if self.stop == "pause":
            return states.WAITING, states.LEFT
        return (states.QUEUED if self.stop else states.DONE), ""

    async def _bulk(self) -> None:
        limit = int(self.job.options.get("concurrency", 1))
        async for _ in bulk(self._lines(), self._one, limit):
            self._done += 1
            self.progress.set()
        if self._is_held and not self.stop and self._failed_at is None:
            raise HeldError

    async def _lines(self) -> AsyncIterator[Line]:
        after = -1
        while True:
            page = await self._store.waiting_lines(self.job.id, after, _PAGE, _PAGE_BYTES)
            if not page:
                return
            for line in page:
                if self.stop or self._is_held or self._failed_at is not None:
                    return
                after = line.seq
                yield line

    async def _one(self, line: Line) -> None:
        told: Mapping[str, Any] = {"seq": line.seq}
        try:
            operation = parse(line.body)
        except InvalidOperationError as error:
            await self._end(line, told, refusal(422, str(error), errors=error.wrong))
            return
        told = {"seq": line.seq, "op": operation.op, **({"key": operation.key} if operation.key else {})}
        if self.job.options.get("dry_run"):
            await self._end(line, told, await self._rehearsed(operation, line.seq))
            return
        mark = fingerprint(operation)
        begun = await self._begun(line.seq, operation.key, mark)
        if begun.what == "replay":
            earlier = orjson.loads(begun.result or b"{}")
            await self._record(line.seq, {**earlier, **told, "replayed": True}, ok=True, doubt=False, ref="")
        elif begun.what == "clash":
            await self._end(line, told, refusal(422, "This key was given with another operation before."))
        elif begun.what == "busy":
            await self._end(line, told, refusal(409, "Another request carries out the operation with this key now."))
        else:
            try:
                outcome = await self._performed(operation, line.seq, begun)
            except HeldError:  # others in hand end first
                self._is_held = True
                return
            await self._end(line, told, outcome, operation)

    async def _begun(self, seq: int, key: Optional[str], mark: str) -> Begun:
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            begun = await self._store.begin(self.job, self.worker, seq, key, mark, time.time())
            if begun.what != "busy" or self.stop or time.monotonic() > until:
                return begun
            await asyncio.sleep(_BUSY_PAUSE_SECONDS)

    async def _performed(self, operation: Operation, seq: int, begun: Begun) -> Outcome:
        async def keep(note: Mapping[str, Any]) -> None:
            await self._store.note(self.job.id, self.worker, seq, note)

        outcome = await perform(
            self._site, operation, self._scope(operation, seq), again=begun.again, note=begun.note, keep=keep,
            held=self._held,
        )
        if outcome.status == 401:
            # Plone says 401 to a user who may not, too: only an unknown one stops the job.
            await self._still_known()
        return outcome

    async def _rehearsed(self, operation: Operation, seq: int) -> Outcome:
        async def planned(path: str) -> bool:
            return await self._store.planned(self.job.id, path)

        scope = self._scope(operation, seq)
        outcome: Outcome = await self._patiently(lambda: rehearse(self._site, operation, scope, planned))
        return outcome

    async def _patiently(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask what writes nothing until there is an answer; raise SiteDownError."""
        for pause in (0.5, 1.0, 2.0, 4.0, None):
            try:
                return await ask()
            except UpstreamError as error:
                if pause is None:
                    raise SiteDownError(str(error)) from error
            await asyncio.sleep(pause)
        raise AssertionError  # the last pause is None

    async def _still_known(self) -> None:
        self._identities.forget(self._site.authorization or "")
        try:
            await self._patiently(lambda: self._identities.user(self._site))
        except UnknownUserError:
            raise _CredentialError from None

    def _scope(self, operation: Operation, seq: int) -> str:
        """Return what makes this operation another than an equal one, and the same as its repetition."""
        job = self.job
        if operation.key:
            return f"{job.owner}\0operation\0{operation.key}"
        return f"{job.owner}\0request\0{job.key}\0{seq}" if job.key else f"{job.id}\0{seq}"

    async def _end(
        self, line: Line, told: Mapping[str, Any], outcome: Outcome, operation: Optional[Operation] = None
    ) -> None:
        document = {**told, "ok": outcome.ok, "status": outcome.status}
        if outcome.path:
            document["path"] = outcome.path
        if not outcome.ok and self.job.options.get("stop_on_error") and self._failed_at is None:
            self._failed_at = line.seq
        # Where there will be an item: a dry run asks for what earlier operations would have made.
        ref = outcome.path if told.get("op") in ("create", "move") else ""
        await self._record(line.seq, {**document, **outcome.more}, ok=outcome.ok, doubt=outcome.doubt, ref=ref)
        if operation is not None and (outcome.ok or outcome.doubt):
            before = operation.path if isinstance(operation, MoveOperation) else ""
            self._told(operation.op, outcome.path, before, self.job.owner)

    async def _record(self, seq: int, document: Mapping[str, Any], *, ok: bool, doubt: bool, ref: str) -> None:
        line = orjson.dumps(document)
        await self._store.end(self.job.id, self.worker, seq, line, time.time(), ok=ok, doubt=doubt, ref=ref)

    async def _export(self) -> None:
        query = self.job.options["query"]
        place = self.job.place

        async def ask(text: str) -> Any:
            return await self._patiently(lambda: self._site.ask("GET", "/", "/@search", query=text))

        async for page in pages(ask, query, place):
            if page.refused:
                await self._still_known()
                raise _RefusedError(page.refused)
            await self._store.found(self.job.id, self.worker, page.items, page.place, page.total, time.time())
            self._done += len(page.items)
            self.progress.set()
            if self.stop:
                return
