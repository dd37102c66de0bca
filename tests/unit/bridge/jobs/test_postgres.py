"""Slots that share a PostgreSQL and no disk: the same promises, also over a restart of the database."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.unit.bridge.helpers import metric, until
from tests.unit.bridge.jobs.conftest import ASYNC, create, ended, results, titles
from tests.unit.bridge.restapi import basic

pytestmark = pytest.mark.slow

NUMBERS = count()


@pytest.fixture
def database(slots, postgres, tmp_path):
    """A file with the address of an empty database, with a password that must not be seen anywhere."""
    file = tmp_path / "dsn"
    file.write_text(postgres.database(f"slots{next(NUMBERS)}").replace("bridge@", "bridge:planted%2Fword@"))
    yield file
    logs = "".join(slot.log.read_text() for slot in slots.started)
    assert "start" in logs
    for secret in ("planted", file.read_text()):
        assert secret not in logs


@pytest.fixture
def pair(slots, database):
    """Two slots on it."""
    return [slots(EDUHUB_STATE_DIR="", EDUHUB_STATE_DSN_FILE=str(database)) for _ in range(2)]


def test_a_killed_slots_job_goes_on_in_the_other(pair, cms):
    cms.delay = 0.02
    first, second = pair
    job = first.bulk([create(f"t{number}") for number in range(60)], ASYNC).json()["job"]
    until(lambda: len(cms.writes) > 10)
    first.kill()
    assert ended(second, job)["failed"] == 0
    assert titles(cms) == [f"t{number}" for number in range(60)]
    assert len(results(second.api("POST", "/exports", body=b"{}"))) == 62


def test_a_stopped_slot_hands_its_job_over(pair, cms):
    cms.delay = 0.05
    first, second = pair
    job = first.bulk([create(f"t{number}") for number in range(60)], ASYNC).json()["job"]
    until(lambda: len(cms.writes) > 3)
    first.popen.terminate()
    assert ended(second, job)["done"] == 60
    assert titles(cms) == [f"t{number}" for number in range(60)]


def test_the_same_request_to_both_slots_at_once_is_carried_out_once(pair, cms):
    cms.delay = 0.01
    operations, key = [create(f"t{number}", key=f"op{number}") for number in range(20)], 'Idempotency-Key: "both"'
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda turn: pair[turn % 2].bulk(operations, key, ASYNC), range(8)))
    assert {answer.status for answer in answers} <= {202, 409}
    (job,) = {answer.json()["job"] for answer in answers if answer.status == 202}
    ended(pair[0], job)
    again = pair[1].bulk(operations)  # another request, the same operations
    assert [line.get("replayed") for line in results(again)[:-1]] == [True] * 20
    assert titles(cms) == [f"t{number}" for number in range(20)]


def test_a_database_that_restarts_costs_no_job_an_operation(pair, cms, postgres):
    cms.delay = 0.02
    first, second = pair
    job = first.bulk([create(f"t{number}") for number in range(80)], ASYNC).json()["job"]
    until(lambda: len(cms.writes) > 10)
    postgres.stop()
    try:
        time.sleep(1.5)
    finally:
        postgres.start()
    until(lambda: second.api("GET", f"/jobs/{job}").status == 200)
    state = ended(second, job)
    assert (state["state"], state["done"], state["failed"]) == ("done", 80, 0)
    assert titles(cms) == [f"t{number}" for number in range(80)]


def test_without_its_database_a_bridge_refuses_jobs_and_passes_everything_else_on(pair, cms, postgres):
    bridge = pair[0]
    assert bridge.get("/health").json()["store"] == {"ready": True}
    assert bridge.bulk([create("before")]).status == 200
    postgres.stop()
    try:
        asked = (("POST", "/exports", b"{}"), ("GET", "/jobs", b""), ("GET", f"/jobs/{0:032x}", b""))
        refused = [bridge.bulk([create("lost")]), *(bridge.api(*each[:2], body=each[2]) for each in asked)]
        summary = until(lambda: (found := bridge.get("/health").json())["status"] == "degraded" and found)
        assert (summary["plone"]["ready"], summary["store"]) == (True, {"ready": False})
        assert metric(bridge, "eduhub_bridge_store_up") == 0
        for answer in refused:
            assert (answer.status, answer.field("content-type")) == (503, ["application/problem+json"])
            assert answer.json()["detail"] == "The bridge's store fails."
            assert answer.field("retry-after") == ["5"]
        assert bridge.get("/health/ready").status == 200
        new = b'{"parent": "/courses", "type": "Document", "title": "typed"}'
        assert bridge.api("POST", "/content", "Content-Type: application/json", body=new).status == 201
    finally:
        postgres.start()
    until(lambda: bridge.get("/health").json()["store"]["ready"])
    assert bridge.bulk([create("after")]).status == 200
    assert titles(cms) == ["before", "typed", "after"]


def test_a_reader_of_results_is_cut_and_not_told_a_lie_when_the_database_goes(pair, cms, postgres):
    cms.delay = 0.05
    operations, key = [create(f"t{number}") for number in range(60)], 'Idempotency-Key: "cut"'
    with ThreadPoolExecutor(1) as client:
        reading = client.submit(pair[0].bulk, operations, key)
        until(lambda: len(cms.writes) > 5)
        postgres.stop()
        try:
            assert not reading.result(20).complete
        finally:
            postgres.start()
    assert "Traceback" not in pair[0].log.read_text()
    again = until(lambda: (found := pair[1].bulk(operations, key)).status == 200 and found, 20)
    assert [line["ok"] for line in results(again)[:-1]] == [True] * 60
    assert titles(cms) == [f"t{number}" for number in range(60)]


def test_a_change_through_one_slot_is_told_in_the_other(pair):
    first, second = pair
    with second.connect() as listening:
        credential = f"Authorization: {basic('admin')}\r\n".encode()
        listening.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: bridge.test\r\n" + credential + b"\r\n")
        heard = b""
        while b"welcome" not in heard:
            heard += listening.recv(65536)
        assert first.bulk([create("told")]).status == 200
        deadline = time.monotonic() + 10
        while b"event: created" not in heard:
            assert time.monotonic() < deadline
            heard += listening.recv(65536)
    assert b"/courses/told" in heard
