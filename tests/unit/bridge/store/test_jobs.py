"""The store keeps its promises to two processes at once."""

from __future__ import annotations

import asyncio
import sys
import textwrap
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from eduhub_bridge.store import jobs as states
from eduhub_bridge.store.database import Sqlite, StoreError, StoreFullError
from eduhub_bridge.store.events import Events
from eduhub_bridge.store.jobs import Job, Jobs, LeaseLostError, NotReceivingError
from eduhub_bridge.store.postgres import Postgres
from tests.unit.bridge.process import INTERPRETER, SOURCE

NEW = Job("j", "bulk", "admin", None, None, states.RECEIVING, "", {}, "", b"sealed", "key", False, 2, 0, 0, "", "",
          9e9, 1.0, 1.0)  # fmt: skip


@asynccontextmanager
async def opened(folder, megabytes=64):
    database = Sqlite(folder, megabytes)
    database.open()
    try:
        yield database
    finally:
        database.close()


async def queued(jobs, **more):
    job = replace(NEW, **more)
    await jobs.create(job)
    await jobs.add(job.id, [(0, b"zero"), (1, b"one")], 9e9)
    await jobs.received(job.id, 2, "digest", 2.0, 0.0)
    return job


async def test_a_job_that_is_cancelled_before_all_of_it_is_here_is_never_queued(connect):
    jobs = Jobs(connect())
    await jobs.create(NEW)
    await jobs.order("j", "cancel", 3.0)
    with pytest.raises(NotReceivingError):
        await jobs.add("j", [(0, b"zero")], 9e9)
    with pytest.raises(NotReceivingError):
        await jobs.received("j", 1, "digest", 4.0, 0.0)
    assert (await jobs.get("j")).state == states.CANCELLED
    assert await jobs.claim("a", ["key"], 10.0, 5.0) is None


async def test_a_job_that_is_cancelled_before_it_began_forgets_its_credential(connect):
    jobs = Jobs(connect())
    await queued(jobs)
    await jobs.order("j", "pause", 3.0)
    assert (await jobs.get("j")).sealed == b"sealed"
    await jobs.order("j", "cancel", 4.0)
    cancelled = await jobs.get("j")
    assert (cancelled.state, cancelled.sealed, cancelled.seal) == (states.CANCELLED, None, "")


async def test_a_job_that_comes_slowly_is_kept_as_long_as_it_comes(connect):
    jobs = Jobs(connect())
    await jobs.create(replace(NEW, key="k", lease=100.0))
    await jobs.add("j", [(0, b"zero")], 200.0)
    await jobs.tidy(150.0, 60.0, 5.0)
    assert (await jobs.create(replace(NEW, id="other", key="k", created=150.0))).id == "j"
    await jobs.add("j", [(1, b"one")], 300.0)
    await jobs.tidy(301.0, 60.0, 5.0)
    assert await jobs.get("j") is None
    with pytest.raises(NotReceivingError):
        await jobs.add("j", [(2, b"two")], 400.0)


async def test_a_job_is_one_workers_until_its_lease_ends(connect):
    mine, theirs = Jobs(connect()), Jobs(connect())
    job = await queued(mine)
    assert await theirs.claim("b", ["other key"], 10.0, 5.0) is None
    assert (await mine.claim("a", ["key"], 10.0, 5.0)).sealed == b"sealed"
    assert await theirs.claim("b", ["key"], 14.0, 5.0) is None
    assert await mine.beat("j", "a", 20.0) == ""
    assert await theirs.claim("b", ["key"], 19.0, 5.0) is None
    assert (await theirs.claim("b", ["key"], 21.0, 5.0)).id == "j"
    for late in (
        mine.beat("j", "a", 99.0),
        mine.begin(job, "a", 0, None, "f", 22.0),
        mine.note("j", "a", 0, {}),
        mine.end("j", "a", 0, b"{}", 22.0, ok=True, doubt=False, ref=""),
        mine.found("j", "a", [("x", b"{}")], "x", 1, 22.0),
        mine.let_go("j", "a", states.DONE, "", 22.0),
    ):
        with pytest.raises(LeaseLostError):
            await late
    assert await theirs.results("j", 0, 10) == []


async def test_what_was_begun_and_what_was_noted_is_known_to_the_next_worker(connect):
    database = connect()
    jobs = Jobs(database)
    job = await queued(jobs)
    await jobs.claim("a", ["key"], 10.0, 5.0)
    assert not (await jobs.begin(job, "a", 0, None, "f", 10.0)).again
    await jobs.note("j", "a", 0, {"uid": "7"})
    await jobs.claim("b", ["key"], 20.0, 5.0)
    begun = await jobs.begin(job, "b", 0, None, "f", 20.0)
    assert (begun.what, begun.again, begun.note) == ("go", True, {"uid": "7"})
    await jobs.end("j", "b", 0, b"{}", 21.0, ok=True, doubt=False, ref="")
    assert [line.seq for line in await jobs.waiting_lines("j", -1, 10, 1 << 20)] == [1]


async def test_a_job_waits_for_the_slot_that_received_it(connect):
    database = connect()
    jobs = Jobs(database)
    await jobs.create(NEW)
    await jobs.received("j", 0, "digest", 2.0, 13.0)
    assert await jobs.claim("b", ["key"], 10.0, 5.0) is None
    assert await jobs.claim("a", ["key"], 10.0, 5.0, "j", first=True) is not None


async def test_who_has_fewer_jobs_running_comes_first(connect):
    database = connect()
    jobs = Jobs(database)
    for number, owner in enumerate(["many", "many", "many", "few"]):
        await queued(jobs, id=f"{owner}{number}", owner=owner, created=float(number))
    order = [(await jobs.claim(f"w{turn}", ["key"], 10.0, 5.0)).id for turn in range(4)]
    assert order == ["many0", "few3", "many1", "many2"]


async def test_an_ended_job_forgets_its_credential_and_later_everything(connect):
    database = connect()
    jobs = Jobs(database)
    job = await queued(jobs)
    await jobs.claim("a", ["key"], 10.0, 5.0)
    await jobs.begin(job, "a", 0, "k", "f", 10.0)
    await jobs.end("j", "a", 0, b"{}", 10.0, ok=True, doubt=False, ref="")
    await jobs.let_go("j", "a", states.DONE, "", 11.0)
    assert (await jobs.get("j")).sealed is None
    await jobs.tidy(100.0, 80.0, 5.0)
    assert await jobs.get("j") is None
    left = "SELECT job FROM lines UNION ALL SELECT job FROM idempotency_keys"
    assert await database.read(lambda do: do.all(left)) == []


async def test_a_full_store_is_said_and_works_again(tmp_path):
    async with opened(tmp_path, megabytes=1) as database:
        jobs = Jobs(database)
        await jobs.create(NEW)
        with pytest.raises(StoreError, match="full"):
            await jobs.add("j", [(number, b"x" * 100_000) for number in range(20)], 9e9)
        await jobs.remove("j")
        await queued(jobs)


async def filled(jobs):
    """Fill the store with an export's lines until it takes no more; return how many it took."""
    await jobs.create(NEW)
    for number in range(1000):
        try:
            await jobs.add("j", [(number, b"x" * 10_000)], 9e9)
        except StoreFullError:
            return number
    raise AssertionError


async def test_exports_that_fill_the_store_leave_room_for_changes_and_presence(tmp_path):
    async with opened(tmp_path, megabytes=4) as database, opened(tmp_path, megabytes=4) as other:
        jobs = Jobs(database)
        took = await filled(jobs)
        assert 250 < took < 320  # three of four MB
        for number in range(500):
            await Events(database).wrote("changed", f"/{number}{'x' * 500}", "", "admin", 1.0)
        await Events(database).be("s", "/a", "ada", "edit", 1.0, 9e9)
        assert len(await Events(other).after(0, 0, 1000)) == 500
        assert list(await Events(other).people(["/a"], 2.0)) == ["/a"]
        with pytest.raises(StoreFullError):  # what changes no longer need is no room for more of an export
            await jobs.add("j", [(took, b"x" * 10_000)], 9e9)


async def test_a_full_store_takes_what_needs_no_more_room_and_goes_on_when_there_is_some(tmp_path):
    async with opened(tmp_path, megabytes=1) as database:
        jobs = Jobs(database)
        await filled(jobs)
        for number in range(200):
            await Events(database).wrote("changed", f"/{number}{'x' * 500}", "", "admin", 1.0)
        await jobs.order("j", "cancel", 3.0)
        await jobs.remove("j")
        assert await filled(jobs) > 50


async def test_one_change_is_one_event_whoever_finds_it(connect):
    one, other = connect(), connect()
    await Events(one).wrote("changed", "/a", "", "admin", 1.0)
    (event,) = await Events(other).after(0, 0, 10)
    await Events(other).known([(event.id, "uid", "now")])
    await Events(one).found([("changed", "/a", "uid", "now"), ("changed", "/a", "uid", "later")], 2.0)
    assert [each.modified for each in await Events(one).after(0, 0, 10)] == ["now", "later"]


WRITER = """
    import asyncio, sys, time
    from dataclasses import replace
    from pathlib import Path
    from eduhub_bridge.store.database import Sqlite
    from eduhub_bridge.store.jobs import Jobs

    async def main(name):
        database = Sqlite(Path(sys.argv[1]), 64)
        database.open()
        jobs = Jobs(database)
        for turn in range(300):
            await jobs.found("j", "a", [(f"{name} {turn}", b"x" * 2000)], "", None, time.time())
        database.close()

    asyncio.run(main(sys.argv[2]))
"""


async def test_two_processes_write_at_once_and_lose_nothing(tmp_path):
    """Both interpreters where another one is given: 900 commits with their checkpoints, one after the other."""
    async with opened(tmp_path) as database:
        jobs = Jobs(database)
        await jobs.create(NEW)
        await jobs.received("j", None, "digest", 2.0, 0.0)
        await jobs.claim("a", ["key"], time.time(), 600.0)
        program = [textwrap.dedent(WRITER), str(tmp_path)]
        running = [
            await asyncio.create_subprocess_exec(python, "-c", *program, name, env={"PYTHONPATH": str(SOURCE)})
            for python, name in ((sys.executable, "one"), (INTERPRETER, "two"))
        ]
        for turn in range(300):
            await jobs.found("j", "a", [(f"three {turn}", b"x" * 2000)], "", None, time.time())
        assert [await asyncio.wait_for(each.wait(), 60) for each in running] == [0, 0]
        kept = await database.read(lambda do: do.all("SELECT ref, ended FROM lines WHERE job='j' AND ref IS NOT NULL"))
        wanted = [f"{who} {turn}" for who in ("one", "two", "three") for turn in range(300)]
        assert sorted(ref for ref, _ in kept) == sorted(wanted)
        assert sorted(place for _, place in kept) == list(range(1, 901))
        assert await database.read(lambda do: do.all("PRAGMA integrity_check")) == [("ok",)]


async def test_presence_lasts_until_it_ends(connect):
    one, other = Events(connect()), Events(connect())
    await one.be("s1", "/a", "admin", "editing", 1.0, 16.0)
    await other.be("s2", "/a", "editor", "viewing", 2.0, 17.0)
    await one.be("s1", "/a", "admin", "viewing", 3.0, 18.0)
    assert await other.people(["/a", "/b"], 10.0) == {
        "/a": [("s1", "admin", "viewing", 1.0), ("s2", "editor", "viewing", 2.0)], "/b": [],
    }  # fmt: skip
    await other.stay(["s2"], 30.0)
    assert [each[0] for each in (await one.people(["/a"], 20.0))["/a"]] == ["s2"]
    await other.leave("s2")
    await one.tidy(20.0)
    assert await one.people(["/a"], 1.0) == {"/a": []}


async def test_a_database_that_restarts_is_found_again(postgres, capsys):
    database = Postgres(postgres.database("restarts"))
    database.open()
    jobs = Jobs(database)
    postgres.stop()
    try:
        for _ in range(2):
            with pytest.raises(StoreError):
                await jobs.get("j")
    finally:
        postgres.start()
    await asyncio.sleep(1.1)
    assert await jobs.get("j") is None
    database.close()
    capsys.readouterr()
    nobody = Postgres("postgresql://bridge:planted@/none?host=/nowhere")
    nobody.open()  # a bridge starts without it
    assert "planted" not in capsys.readouterr().err
    nobody.close()
