"""Jobs in the store: who may work on one, how far it is, what each of its operations came to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from eduhub_bridge.store.database import Database, Row, Transaction

RECEIVING, QUEUED, RUNNING, WAITING = "receiving", "queued", "running", "waiting"
DONE, CANCELLED, FAILED = "done", "cancelled", "failed"
ENDED = frozenset({DONE, CANCELLED, FAILED})
# A credential that is no longer needed is erased.
_NO_MORE = ", sealed=NULL, seal=''"
# Why a job waits, where the same client coming back is all that it takes.
LEFT, DIED = "Its client left; resume it.", "The process that carried it out ended; resume it."

# Why it does not go on at once: it does by itself.
HELD = "Waiting for the end of maintenance."

_COLUMNS = (
    "id, kind, owner, idempotency_key, fingerprint, state, why, options, place, sealed, seal, attached, total, done, "
    "failed, orders, worker, lease, created, changed"
)


class NotReceivingError(Exception):
    """The job was cancelled, or forgotten, before all of it was here."""


class TooManyError(Exception):
    """The owner has as many unfinished jobs as one may have."""


class LeaseLostError(Exception):
    """Another process works on this job now: whatever this one still does must not count."""


@dataclass(frozen=True)
class Job:
    """A row of jobs. Times are seconds since 1970; `sealed` is the encrypted credential."""

    id: str
    kind: str
    owner: str
    key: Optional[str]
    fingerprint: Optional[str]
    state: str
    why: str
    options: Mapping[str, Any]
    place: str
    sealed: Optional[bytes] = field(repr=False)
    seal: str
    attached: bool
    total: Optional[int]
    done: int
    failed: int
    orders: str
    worker: str
    lease: float
    created: float
    changed: float


@dataclass(frozen=True)
class Line:
    """An operation that has not ended."""

    seq: int
    body: bytes


@dataclass(frozen=True)
class Begun:
    """What is to be done with an operation: "go", "replay" `result`, refuse it as a "clash", wait as it is "busy".

    `again`: it was begun before and may have been written; `note` is what was known then.
    """

    what: str
    again: bool = False
    note: Optional[Mapping[str, Any]] = None
    result: Optional[bytes] = None


class Jobs:
    """Every method is one transaction; those of a worker raise LeaseLostError when the job is no longer its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def with_key(self, owner: str, key: str) -> Optional[Job]:
        """Return the job of this owner that has this key, if any."""

        def work(do: Transaction) -> Optional[Job]:
            row = do.one(f"SELECT {_COLUMNS} FROM jobs WHERE owner=? AND idempotency_key=?", owner, key)
            return _job(row) if row else None

        return await self._database.read(work)

    async def create(self, job: Job, most: Optional[int] = None) -> Job:
        """Keep a new job in state `receiving`; return the one that has its key already, if any.

        Raise TooManyError for a new one where its owner has `most` unfinished ones.
        """

        def work(do: Transaction) -> Job:
            row = do.one(f"SELECT {_COLUMNS} FROM jobs WHERE owner=? AND idempotency_key=?", job.owner, job.key)
            if row is not None and not (row[5] == RECEIVING and row[17] < job.created):
                return _job(row)
            _remove(do, [row[0]] if row else [])  # it was cut while it was being received
            unfinished = f"SELECT count(*) FROM jobs WHERE owner=? AND state NOT IN {_in(ENDED)}"
            count = do.one(unfinished, job.owner)
            if most is not None and count and int(count[0]) >= most:
                raise TooManyError
            do.change(
                f"INSERT INTO jobs ({_COLUMNS}) VALUES ({', '.join('?' * 20)})", job.id, job.kind, job.owner, job.key,
                job.fingerprint, RECEIVING, "", json.dumps(dict(job.options)), job.place, job.sealed, job.seal,
                int(job.attached), job.total, 0, 0, "", job.worker, job.lease, job.created, job.created,
            )  # fmt: skip
            return job

        return await self._database.write(work)

    async def queued(self) -> int:
        """Return how many jobs of all owners wait for a process to work on them."""

        def work(do: Transaction) -> int:
            row = do.one("SELECT count(*) FROM jobs WHERE state=?", QUEUED)
            return int(row[0]) if row else 0

        return await self._database.read(work)

    async def add(self, job: str, lines: Sequence[Tuple[int, bytes]], until: float) -> None:
        """Keep operations of a job that is being received, and wait for more `until` then; raise NotReceivingError."""

        def work(do: Transaction) -> None:
            if not do.change("UPDATE jobs SET lease=? WHERE id=? AND state=?", until, job, RECEIVING):
                raise NotReceivingError
            for seq, body in lines:
                do.change("INSERT INTO lines (job, seq, body) VALUES (?, ?, ?)", job, seq, body)

        await self._database.write(work)

    async def received(self, job: str, total: Optional[int], fingerprint: str, now: float, not_before: float) -> None:
        """The whole of it is here: it may be worked on, by others than this process from `not_before` on.

        Raises NotReceivingError.
        """

        def work(do: Transaction) -> None:
            if not do.change(
                "UPDATE jobs SET state=?, total=?, fingerprint=?, worker='', lease=0, not_before=?, changed=? "
                "WHERE id=? AND state=?", QUEUED, total, fingerprint, not_before, now, job, RECEIVING,
            ):  # fmt: skip
                raise NotReceivingError

        await self._database.write(work)

    async def get(self, job: str) -> Optional[Job]:
        """Return a job, or None."""

        def work(do: Transaction) -> Optional[Job]:
            row = do.one(f"SELECT {_COLUMNS} FROM jobs WHERE id=?", job)
            return _job(row) if row else None

        return await self._database.read(work)

    async def of(self, owner: str, limit: int) -> List[Job]:
        """Return the newest jobs of an owner."""

        def work(do: Transaction) -> List[Job]:
            rows = do.all(f"SELECT {_COLUMNS} FROM jobs WHERE owner=? ORDER BY created DESC LIMIT ?", owner, limit)
            return [_job(row) for row in rows]

        return await self._database.read(work)

    async def remove(self, job: str) -> None:
        """Forget a job with its operations, results and keys."""
        await self._database.write(lambda do: _remove(do, [job]))

    # Working on it

    async def claim(
        self,
        worker: str,
        seals: Sequence[str],
        now: float,
        lease: float,
        job: Optional[str] = None,
        *,
        first: bool = False,
    ) -> Optional[Job]:
        """Make a job this worker's until `now + lease`; without `job` the next in the background; None if none is free.

        Only jobs whose credential one of `seals` opens. The user with the fewest jobs running comes first.
        `first`: this process is the one that has received it, and need not wait for its `not_before`.
        """

        def work(do: Transaction) -> Optional[Job]:
            which, value = ("id=?", job) if job else ("attached=?", 0)
            row = do.one(
                f"SELECT {_COLUMNS} FROM jobs WHERE {which} AND state IN (?, ?) AND lease<? AND not_before<=? "
                f"AND seal IN ({', '.join('?' * len(seals))}) ORDER BY (SELECT count(*) FROM jobs AS other WHERE "
                "other.owner=jobs.owner AND other.lease>?), created LIMIT 1",
                value, QUEUED, RUNNING, now, 2 * now if first else now, *seals, now,
            )  # fmt: skip
            if row is None:
                return None
            do.change(
                "UPDATE jobs SET state=?, why='', worker=?, lease=?, changed=? WHERE id=?",
                RUNNING, worker, now + lease, now, row[0],
            )  # fmt: skip
            return _job(row)

        return await self._database.write(work)

    async def beat(self, job: str, worker: str, until: float) -> str:
        """Keep the lease; return the orders."""

        def work(do: Transaction) -> str:
            if not do.change("UPDATE jobs SET lease=? WHERE id=? AND worker=?", until, job, worker):
                raise LeaseLostError
            row = do.one("SELECT orders FROM jobs WHERE id=?", job)
            return str(row[0]) if row else ""

        return await self._database.write(work)

    async def let_go(self, job: str, worker: str, state: str, why: str, now: float, *, not_before: float = 0) -> None:
        """Give the job back in `state`; an ended one forgets its credential."""

        def work(do: Transaction) -> None:
            sealed = _NO_MORE if state in ENDED else ""
            if not do.change(
                f"UPDATE jobs SET state=?, why=?, worker='', lease=0, orders='', not_before=?, changed=?{sealed} "
                "WHERE id=? AND worker=?", state, why, not_before, now, job, worker,
            ):  # fmt: skip
                raise LeaseLostError

        await self._database.write(work)

    async def waiting_lines(self, job: str, after: int, limit: int, most_bytes: int) -> List[Line]:
        """Return operations that have not ended, in their order: at most `limit`, or about `most_bytes`."""

        def work(do: Transaction) -> List[Line]:
            which = "FROM lines WHERE job=? AND seq>? AND state<2"
            sizes = do.all(f"SELECT seq, length(body) {which} ORDER BY seq LIMIT ?", job, after, limit)
            last = total = 0
            for seq, size in sizes:
                if total and total + size > most_bytes:
                    break
                last, total = seq, total + size
            rows = do.all(f"SELECT seq, body {which} AND seq<=? ORDER BY seq", job, after, last) if sizes else []
            return [Line(seq, bytes(body)) for seq, body in rows]

        return await self._database.read(work)

    async def begin(self, job: Job, worker: str, seq: int, key: Optional[str], fingerprint: str, now: float) -> Begun:
        """Record, before anything is sent, that this operation is being carried out; say what to do with it."""

        def work(do: Transaction) -> Begun:
            _hold(do, job.id, worker)
            if key is not None:
                told = _keyed(do, job, seq, key, fingerprint, now)
                if told is not None:
                    return told
            row = do.one("SELECT state, note FROM lines WHERE job=? AND seq=?", job.id, seq)
            again, note = (bool(row[0]), row[1]) if row else (False, None)
            do.change("UPDATE lines SET state=1 WHERE job=? AND seq=? AND state=0", job.id, seq)
            return Begun("go", again, json.loads(note) if note else None)

        return await self._database.write(work)

    async def note(self, job: str, worker: str, seq: int, note: Mapping[str, Any]) -> None:
        """Keep what has to be known to find out later whether the operation was written."""

        def work(do: Transaction) -> None:
            _hold(do, job, worker)
            do.change("UPDATE lines SET note=? WHERE job=? AND seq=?", json.dumps(dict(note)), job, seq)

        await self._database.write(work)

    async def end(
        self, job: str, worker: str, seq: int, result: bytes, now: float, *, ok: bool, doubt: bool, ref: str
    ) -> None:
        """Keep the result of an operation. `doubt`: it failed, and may have been written all the same."""

        def work(do: Transaction) -> None:
            place = _count(do, job, worker, now, done=1, failed=int(not ok))
            do.change(
                "UPDATE lines SET state=2, ended=?, ok=?, doubt=?, ref=?, result=?, body=NULL WHERE job=? AND seq=?",
                place, int(ok), int(doubt), ref, result, job, seq,
            )  # fmt: skip

        await self._database.write(work)

    async def found(
        self, job: str, worker: str, items: Sequence[Tuple[str, bytes]], place: str, total: Optional[int], now: float
    ) -> None:
        """Keep results that no operation asked for, each `ref` once, and the place from which to go on."""

        def work(do: Transaction) -> None:
            _hold(do, job, worker)
            for ref, result in items:
                if do.one("SELECT 1 FROM lines WHERE job=? AND ref=?", job, ref) is None:
                    number = _count(do, job, worker, now, done=1, failed=0)
                    do.change(
                        "INSERT INTO lines (job, seq, state, ended, ok, ref, result) VALUES (?, ?, 2, ?, 1, ?, ?)",
                        job, number, number, ref, result,
                    )  # fmt: skip
            do.change("UPDATE jobs SET place=?, total=coalesce(total, ?) WHERE id=?", place, total, job)

        await self._database.write(work)

    async def planned(self, job: str, ref: str) -> bool:
        """Return whether an ended operation of this job was about `ref`."""
        sql = "SELECT 1 FROM lines WHERE job=? AND ref=? AND ok=1"
        return await self._database.read(lambda do: do.one(sql, job, ref) is not None)

    # Watching it, and giving orders

    async def results(self, job: str, after: int, limit: int) -> List[bytes]:
        """Return result lines in the order of their ends, without the first `after`."""

        def work(do: Transaction) -> List[bytes]:
            sql = "SELECT result FROM lines WHERE job=? AND ended>? ORDER BY ended LIMIT ?"
            return [bytes(row[0]) for row in do.all(sql, job, after, limit)]

        return await self._database.read(work)

    async def order(self, job: str, orders: str, now: float) -> None:
        """Tell the worker to `pause` or `cancel` after the operation in hand; do it at once if there is no worker."""
        state, why, sealed = (CANCELLED, "", _NO_MORE) if orders == "cancel" else (WAITING, LEFT, "")

        def work(do: Transaction) -> None:
            if not do.change("UPDATE jobs SET orders=? WHERE id=? AND state=? AND lease>?", orders, job, RUNNING, now):
                do.change(
                    f"UPDATE jobs SET state=?, why=?, worker='', lease=0, orders='', changed=?{sealed} WHERE id=? "
                    f"AND state NOT IN {_in(ENDED)}", state, why, now, job,
                )  # fmt: skip

        await self._database.write(work)

    async def resume(self, job: str, sealed: bytes, seal: str, now: float, *, attached: bool) -> None:
        """Let a job that waits go on, with a fresh credential."""

        def work(do: Transaction) -> None:
            do.change(
                "UPDATE jobs SET state=?, why='', orders='', sealed=?, seal=?, attached=?, not_before=0, changed=? "
                "WHERE id=? AND state=?", QUEUED, sealed, seal, int(attached), now, job, WAITING,
            )  # fmt: skip

        await self._database.write(work)

    async def tidy(self, now: float, keep: float, lease: float) -> None:
        """Forget what ended `keep` seconds ago; let jobs wait whose worker died and that no process can take over."""

        def work(do: Transaction) -> None:
            long_dead = now - 3 * lease
            do.change(
                "UPDATE jobs SET state=?, why=?, worker='', lease=0 WHERE state=? AND lease<? AND lease>0",
                WAITING, DIED, RUNNING, long_dead,
            )  # fmt: skip
            gone = do.all(f"SELECT id FROM jobs WHERE state IN {_in({*ENDED, WAITING})} AND changed<?", now - keep)
            gone += do.all("SELECT id FROM jobs WHERE state=? AND lease<?", RECEIVING, now)
            _remove(do, [row[0] for row in gone])

        await self._database.write(work)


def _keyed(do: Transaction, job: Job, seq: int, key: str, fingerprint: str, now: float) -> Optional[Begun]:
    """Make the key this line's, with what is known about it; return what to do instead, if anything."""
    row = do.one(
        "SELECT idempotency_keys.fingerprint, idempotency_keys.job, idempotency_keys.seq, lines.state, lines.ok, "
        "lines.doubt, lines.note, lines.result, jobs.lease, jobs.state FROM idempotency_keys "
        "JOIN lines ON lines.job=idempotency_keys.job AND lines.seq=idempotency_keys.seq "
        "JOIN jobs ON jobs.id=idempotency_keys.job WHERE idempotency_keys.owner=? AND name=?", job.owner, key,
    )  # fmt: skip
    if row is None:
        do.change("INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?)", job.owner, key, fingerprint, job.id, seq)
        return None
    theirs, other, other_seq, state, ok, doubt, note, result, lease, at = row
    if (other, other_seq) == (job.id, seq):
        return None
    if theirs != fingerprint:
        return Begun("clash")
    if state == 2 and ok:
        return Begun("replay", result=bytes(result))
    if state < 2 and at == RUNNING and lease > now:
        return Begun("busy")
    unknown = state == 1 or bool(doubt)
    do.change(
        "UPDATE lines SET state=?, note=? WHERE job=? AND seq=?", int(unknown), note if unknown else None, job.id, seq
    )
    do.change("UPDATE idempotency_keys SET job=?, seq=? WHERE owner=? AND name=?", job.id, seq, job.owner, key)
    return None


def _hold(do: Transaction, job: str, worker: str) -> None:
    if do.one("SELECT 1 FROM jobs WHERE id=? AND worker=?", job, worker) is None:
        raise LeaseLostError


def _count(do: Transaction, job: str, worker: str, now: float, *, done: int, failed: int) -> int:
    if not do.change(
        "UPDATE jobs SET done=done+?, failed=failed+?, changed=? WHERE id=? AND worker=?",
        done, failed, now, job, worker,
    ):  # fmt: skip
        raise LeaseLostError
    row = do.one("SELECT done FROM jobs WHERE id=?", job)
    return int(row[0]) if row else 0


def _remove(do: Transaction, jobs: Sequence[str]) -> None:
    for job in jobs:
        do.change("DELETE FROM lines WHERE job=?", job)
        do.change("DELETE FROM idempotency_keys WHERE job=?", job)
        do.change("DELETE FROM jobs WHERE id=?", job)


def _in(states: Any) -> str:
    return "(" + ", ".join(f"'{state}'" for state in sorted(states)) + ")"


def _job(row: Row) -> Job:
    values = list(row)
    values[7] = json.loads(values[7])
    values[9] = bytes(values[9]) if values[9] is not None else None
    values[11] = bool(values[11])
    return Job(*values)
