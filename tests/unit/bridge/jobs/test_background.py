"""Jobs go on without their client, and in another process when their own one ends: each operation exactly once."""

from __future__ import annotations

import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eduhub_bridge.jobs import models
from tests.unit.bridge.helpers import metric, send, until
from tests.unit.bridge.jobs.conftest import ASYNC, create, ended, ndjson, results, titles
from tests.unit.bridge.process import read_answer
from tests.unit.bridge.restapi import basic, token

pytestmark = pytest.mark.slow


def test_a_job_is_accepted_followed_and_forgotten(bridge, cms):
    accepted = bridge.bulk([create(f"t{number}") for number in range(10)], ASYNC)
    assert (accepted.status, accepted.field("preference-applied")) == (202, ["respond-async"])
    job = accepted.json()["job"]
    assert accepted.field("location") == [f"/api/v1/jobs/{job}"]
    assert ended(bridge, job)["done"] == 10
    lines = results(bridge.api("GET", f"/jobs/{job}/results?after=7"))
    assert [line["seq"] for line in lines] == [7, 8, 9]
    assert len(results(bridge.api("GET", f"/jobs/{job}/results?follow=true"))) == 10
    assert job in [each["job"] for each in bridge.api("GET", "/jobs").json()["items"]]
    assert (bridge.api("DELETE", f"/jobs/{job}").status, bridge.api("GET", f"/jobs/{job}").status) == (204, 404)
    assert len(cms.writes) == 10


def test_what_comes_is_what_the_document_says(bridge):
    answer = bridge.bulk([create("said"), {"op": "eat"}, {"op": "delete", "path": "/nowhere"}])
    *lines, last = answer.body.splitlines()
    assert [models.OperationResult.model_validate_json(line).seq for line in lines] == [0, 1, 2]
    job = models.Job.model_validate_json(last)
    assert answer.field("x-eduhub-job") == [job.job]
    assert models.Jobs.model_validate_json(bridge.api("GET", "/jobs").body).items[0].job == job.job
    head = bridge.api("HEAD", f"/jobs/{job.job}/results")
    assert (head.status, head.body, head.field("content-type")) == (200, b"", ["application/x-ndjson"])


@pytest.mark.parametrize("job", ["1", "%00", "..%2fcontent", "A" * 32, "%ff", "x" * 2000])
def test_what_is_no_id_is_no_job(bridge, job):
    for method, path in [("GET", ""), ("GET", "/results"), ("DELETE", ""), ("POST", "/resume")]:
        assert bridge.api(method, f"/jobs/{job}{path}").status == 404


@pytest.mark.parametrize("target", ["/jobs?state=done", "/events?pth=/", "/exports?dry_run=true"])
def test_a_parameter_that_is_not_known_is_refused(bridge, target):
    answer = bridge.api("POST" if "exports" in target else "GET", target, body=b"{}" if "exports" in target else b"")
    assert (answer.status, answer.field("content-type")) == (422, ["application/problem+json"])
    assert "There is no such parameter" in answer.json()["errors"][0]["what"]


def test_an_event_stream_has_no_head(bridge):
    answer = bridge.api("HEAD", "/events")
    assert (answer.status, answer.field("allow")) == (405, ["GET"])


def test_a_job_is_nobody_elses_business(bridge):
    job = bridge.bulk([create("a")], ASYNC).json()["job"]
    for method, path in [("GET", ""), ("GET", "/results"), ("DELETE", ""), ("POST", "/resume")]:
        assert bridge.api(method, f"/jobs/{job}{path}", as_user="editor").status == 404
        assert bridge.api(method, f"/jobs/{job}{path}", as_user="").status == 401
    assert bridge.api("GET", f"/jobs/{job}", as_user=token("admin", "renewed")).status == 200
    theirs = bridge.api("GET", "/jobs", as_user="editor").json()["items"]
    assert job not in [item["job"] for item in theirs]


def test_the_same_request_in_the_background_is_the_same_job(bridge, cms):
    operations, key = [create("a")], 'Idempotency-Key: "background"'
    jobs = {bridge.bulk(operations, key, ASYNC).json()["job"] for _ in range(3)}
    assert len(jobs) == 1
    ended(bridge, jobs.pop())
    assert (bridge.bulk(operations, key).status, len(cms.writes)) == (200, 1)


def test_a_cancelled_job_stops_after_the_operation_in_hand(bridge, cms):
    cms.delay = 0.05
    job = bridge.bulk([create(f"t{number}") for number in range(100)], ASYNC).json()["job"]
    until(lambda: bridge.job(job)["done"] > 2)
    assert bridge.api("DELETE", f"/jobs/{job}").status == 202
    state = ended(bridge, job)
    assert (state["state"], state["done"]) == ("cancelled", len(cms.writes))
    assert state["done"] < 20


def test_a_killed_process_loses_nothing_and_another_ends_its_job(slots, cms):
    cms.delay = 0.02
    first = slots()
    job = first.bulk([create(f"t{number}") for number in range(60)], ASYNC).json()["job"]
    until(lambda: len(cms.writes) > 10)
    first.kill()
    second = slots()
    state = ended(second, job)
    assert (state["state"], state["done"], state["failed"]) == ("done", 60, 0)
    assert titles(cms) == [f"t{number}" for number in range(60)]
    lines = results(second.api("GET", f"/jobs/{job}/results"))
    assert [line["seq"] for line in lines] == list(range(60))


@pytest.mark.parametrize("round_", range(4))
def test_a_process_killed_at_any_moment_writes_no_operation_twice(slots, cms, round_):
    cms.put("/courses/old", title="Old", id="old")
    cms.delay = 0.03
    operations = [
        create("new"), create("id", item={"@type": "Document", "title": "id", "id": "given"}),
        {"op": "change", "path": "/courses/old", "item": {"title": "Older"}}, {"op": "publish", "path": "/courses/old"},
        {"op": "move", "path": "/courses/old", "to": "/"}, {"op": "delete", "path": "/old"},
    ]  # fmt: skip
    first, second = slots(), slots()
    cms.fault(("POST", "POST", "PATCH", "DELETE")[round_], "wait after")  # written, and not yet answered
    job = first.bulk(operations, ASYNC).json()["job"]
    until(lambda: len(cms.writes) == (1, 1, 3, 6)[round_])
    first.kill()
    state = ended(second, job)
    assert (state["state"], state["failed"]) == ("done", 0)
    assert [kind for kind, _ in cms.writes] == ["create", "create", "change", "publish", "move", "delete"]


def test_a_stopped_process_hands_over_what_it_cannot_finish_at_once(slots, cms):
    cms.delay = 0.05
    first, second = slots(EDUHUB_GRACE_SECONDS="2"), slots(EDUHUB_GRACE_SECONDS="2")
    job = first.bulk([create(f"t{number}") for number in range(60)], ASYNC).json()["job"]
    until(lambda: second.job(job)["done"] > 3)
    working = first if any(line["event"] == "job_begun" for line in first.lines()) else second
    other = second if working is first else first
    assert working.stop() == 0
    assert _handed_over(working)
    state = ended(other, job)
    assert (state["state"], state["done"], state["failed"]) == ("done", 60, 0)
    assert titles(cms) == [f"t{number}" for number in range(60)]


def _handed_over(slot):
    """Return whether a slot left its job because it did not fit into the grace."""
    return [line["stop"] for line in slot.lines() if line["event"] == "job_left"] == ["hand over"]


def test_what_fits_into_the_grace_is_finished(slots, cms):
    cms.delay = 0.05
    alone = slots(EDUHUB_GRACE_SECONDS="60")
    job = alone.bulk([create(f"t{number}") for number in range(20)], ASYNC).json()["job"]
    until(lambda: alone.job(job)["done"] > 3)
    assert alone.stop() == 0
    assert len(cms.writes) == 20


def test_a_job_too_long_for_the_grace_stops_at_once_and_goes_on_at_the_next_start(slots, cms):
    cms.delay = 0.05
    first = slots(EDUHUB_GRACE_SECONDS="2")
    job = first.bulk([create(f"t{number}") for number in range(60)], ASYNC).json()["job"]
    until(lambda: first.job(job)["done"] > 3)
    assert first.stop() == 0
    assert _handed_over(first)
    assert len(cms.writes) < 60
    assert ended(slots(), job)["done"] == 60
    assert titles(cms) == [f"t{number}" for number in range(60)]


def test_without_a_key_for_both_nobody_else_carries_it_out_until_its_user_comes_back(slots, cms):
    cms.delay = 0.05
    first = slots(EDUHUB_STATE_KEY_FILE="")
    job = first.bulk([create(f"t{number}") for number in range(30)], ASYNC).json()["job"]
    until(lambda: len(cms.writes) > 3)
    first.kill()
    second = slots(EDUHUB_STATE_KEY_FILE="")
    until(lambda: second.job(job)["state"] == "waiting")
    assert len(cms.writes) < 15
    assert second.api("POST", f"/jobs/{job}/resume").status == 202
    assert ended(second, job)["done"] == 30
    assert titles(cms) == [f"t{number}" for number in range(30)]


def test_a_credential_that_ends_makes_the_job_wait_for_a_fresh_one(bridge, cms):
    cms.delay = 0.05
    old, fresh = token("admin", "old"), token("admin", "fresh")
    job = bridge.bulk([create(f"t{number}") for number in range(20)], ASYNC, as_user=old).json()["job"]
    until(lambda: len(cms.writes) > 3)
    cms.revoked.add(old)
    waiting = until(lambda: (found := bridge.job(job))["state"] == "waiting" and found)
    assert "fresh one" in waiting["why"]
    assert bridge.api("POST", f"/jobs/{job}/resume", as_user=fresh).status == 202
    assert ended(bridge, job)["done"] == 20
    assert titles(cms) == [f"t{number}" for number in range(20)]


def test_a_plone_that_restarts_is_waited_for(bridge, cms):
    cms.delay = 0.02
    job = bridge.bulk([create(f"t{number}") for number in range(20)], ASYNC).json()["job"]
    until(lambda: len(cms.writes) > 3)
    port = cms.port
    cms.stop()
    time.sleep(0.7)
    cms.start(port)
    state = ended(bridge, job)
    assert (state["done"], state["failed"]) == (20, 0)
    assert titles(cms) == [f"t{number}" for number in range(20)]


def test_an_export_has_every_item_once_and_resumes_where_it_was_cut(slots, cms):
    for number in range(230):
        cms.put(f"/courses/c{number}", title=f"c{number}")
    first, second = slots(), slots()
    body = b'{"query": {"portal_type": ["Document"]}}'
    job = first.api("POST", "/exports", ASYNC, body=body).json()["job"]
    until(lambda: second.job(job)["done"] > 0)
    first.kill()
    ended(second, job)
    lines = results(second.api("GET", f"/jobs/{job}/results"))
    assert sorted(line["title"] for line in lines) == sorted(f"c{number}" for number in range(230))
    assert second.job(job)["total"] == 230
    *items, last = results(second.api("POST", "/exports", body=body))
    assert (len(items), last["state"]) == (230, "done")
    assert second.api("POST", "/exports", body=b'{"query": {"sort_on": "modified"}}').status == 422
    assert second.api("POST", "/exports", body=b'{"quer": {}}').status == 422
    for value in (b"1" + b"0" * 40, b"[" * 300 + b"]" * 300, b'["\\ud800"]'):
        assert second.api("POST", "/exports", body=b'{"query": {"x": %s}}' % value).status == 422
    assert second.api("POST", "/exports", body=b"{}", as_user="").status == 401


def test_credentials_are_neither_in_the_log_nor_in_clear_on_the_disk(slots, cms):
    cms.delay = 0.05
    slot = slots()
    planted = token("admin", "planted")
    job = slot.bulk([create(f"t{number}") for number in range(40)], ASYNC, as_user=planted).json()["job"]
    until(lambda: len(cms.writes) > 3)
    kept = b"".join(path.read_bytes() for path in (slots.folder / "state").iterdir())
    assert job.encode() in kept
    for secret in (planted, planted.removeprefix("Bearer "), basic("admin"), "admin:secret"):
        assert secret.encode() not in kept
        assert secret not in slot.log.read_text()
    assert {oct(path.stat().st_mode & 0o777) for path in (slots.folder / "state").iterdir()} == {"0o600"}


def test_ten_thousand_operations_need_no_memory(slots, cms, record_property):
    cms.record = False
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        _ten_thousand(slots(EDUHUB_STATE_DIR=memory), record_property)


def _ten_thousand(slot, record_property):
    process = Path("/proc", str(slot.popen.pid))

    def memory(which: str) -> int:
        (line,) = [line for line in (process / "status").read_text().splitlines() if line.startswith(which)]
        return int(line.split()[1])

    slot.bulk([create(f"warm{number}") for number in range(200)])
    (process / "clear_refs").write_text("5")  # the peak from now on (proc(5))
    before = memory("VmRSS")
    started = time.monotonic()
    # A tenth of them go to Plone, so that this takes seconds: the way through the store is the same for all.
    operations = [{"op": "eat", "number": number, "filler": "x" * 400} for number in range(9_000)]
    asked = [{"op": "delete", "path": f"/courses/none{number}"} for number in range(600)]
    answer = slot.bulk([*operations, *asked, *(create(f"t{number}") for number in range(400))])
    seconds = time.monotonic() - started
    grown = memory("VmHWM") - before
    record_property("grown_kib", grown)
    print(f"10,000 operations in {seconds:.1f} s: {before} KiB grew by {grown} KiB, results {len(answer.body)} bytes")
    assert len(results(answer)) == 10_001
    assert grown < 16 * 1024


@pytest.fixture
def maintenance(slots, tmp_path):
    """The edge's map, as the pilot writes it: maintenance(True) closes it for writes."""
    file = tmp_path / "maintenance.map"
    slots.shared["EDUHUB_MAINTENANCE_FILE"] = str(file)

    def turned(on):
        new = file.with_suffix(".new")
        new.write_text("writes closed:Restore\n" if on else "writes open\n")
        new.replace(file)

    turned(False)
    return turned


def test_maintenance_holds_jobs_and_they_go_on_after_it(slots, cms, maintenance):
    first, second = slots(), slots()
    job = first.bulk([create(f"t{number}") for number in range(200)], ASYNC).json()["job"]
    until(lambda: first.job(job)["done"] > 3)
    maintenance(True)
    begun = len(cms.writes)
    held = until(lambda: (found := first.job(job))["state"] == "queued" and found)
    assert held["why"] == "Waiting for the end of maintenance."
    assert held["done"] <= begun + 1  # the operation in hand ends
    other = second.bulk([create("later")], ASYNC).json()["job"]
    for slot in (first, second):  # both have looked for jobs, and have taken none
        until(lambda slot=slot: metric(slot, "eduhub_bridge_jobs_queued") == 2)
        assert (metric(slot, "eduhub_bridge_jobs"), metric(slot, "eduhub_bridge_maintenance")) == (0, 1)
    third = slots()
    until(lambda: metric(third, "eduhub_bridge_jobs_queued") == 2)
    assert [first.job(each)["state"] for each in (job, other)] == ["queued", "queued"]
    assert len(cms.writes) == held["done"]
    maintenance(False)
    assert [ended(first, each)["state"] for each in (job, other)] == ["done", "done"]
    assert sorted(titles(cms)) == sorted([*(f"t{number}" for number in range(200)), "later"])


def test_a_client_that_follows_its_job_waits_for_the_end_of_maintenance(slots, cms, maintenance):
    slot = slots()
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(slot.bulk, [create(f"t{number}") for number in range(200)])
        until(lambda: len(cms.writes) > 3)
        maintenance(True)
        found = until(lambda: [each for each in slot.api("GET", "/jobs").json()["items"] if each["state"] == "queued"])
        assert found[0]["why"] == "Waiting for the end of maintenance."
        assert len(cms.writes) == found[0]["done"] < 200
        assert not answer.done()
        maintenance(False)
        *lines, last = results(answer.result())
    assert (len(lines), last["state"]) == (200, "done")
    assert sorted(titles(cms)) == sorted(f"t{number}" for number in range(200))


@pytest.mark.parametrize("attached", [True, False])
def test_a_client_that_follows_its_job_hears_that_it_is_still_there(slots, maintenance, attached):
    """An edge would cut a connection on which nothing comes for two minutes."""
    slot = slots()
    maintenance(True)
    until(lambda: metric(slot, "eduhub_bridge_maintenance") == 1)
    body = ndjson([create("late")])
    if attached:
        length = [f"Content-Length: {len(body)}", "Content-Type: application/x-ndjson"]
        following = send(slot, "/api/v1/bulk", f"Authorization: {basic('admin')}", *length, method="POST", body=body)
    else:
        job = slot.bulk([create("late")], ASYNC).json()["job"]
        following = send(slot, f"/api/v1/jobs/{job}/results?follow=true", f"Authorization: {basic('admin')}")
    heard = until(lambda: (data := following.recv(65536, socket.MSG_PEEK)).endswith(b"\r\n1\r\n \r\n") and data)
    assert b'"seq"' not in heard
    maintenance(False)
    answer = read_answer(following)
    assert answer.body.startswith(b' {"seq":0,')
    lines = results(answer)
    assert (answer.complete, len(lines), lines[0]["ok"]) == (True, 1 + attached, True)


def test_a_repetition_is_answered_where_a_new_request_would_be_one_too_many(slots, maintenance):
    """Jobs pile up in an outage, and that is when clients send their requests again."""
    slot = slots()
    done = slot.bulk([create("done")], 'Idempotency-Key: "done"')
    maintenance(True)
    until(lambda: metric(slot, "eduhub_bridge_maintenance") == 1)
    jobs = [slot.bulk([create(f"t{each}")], ASYNC, f'Idempotency-Key: "{each}"').json()["job"] for each in range(20)]
    refused = slot.bulk([create("more")], ASYNC, 'Idempotency-Key: "more"')
    assert (refused.status, "20 unfinished jobs" in refused.json()["detail"]) == (429, True)
    assert slot.bulk([create("more")], ASYNC).status == 429
    assert slot.bulk([create("done")], 'Idempotency-Key: "done"').body == done.body
    assert slot.bulk([create("t3")], ASYNC, 'Idempotency-Key: "3"').json()["job"] == jobs[3]
    slot.api("DELETE", f"/jobs/{jobs[3]}")
    assert slot.bulk([create("more")], ASYNC, 'Idempotency-Key: "more"').status == 202  # refused, it was not kept


def test_what_has_ended_is_told_again_by_a_slot_that_has_no_room(slots, cms):
    slot = slots()
    done = slot.bulk([create("done")], 'Idempotency-Key: "done"')
    cms.delay = 0.5
    with ThreadPoolExecutor(8) as threads:
        going = [threads.submit(slot.bulk, [create(f"{each} {n}") for n in range(8)]) for each in range(8)]
        until(lambda: metric(slot, "eduhub_bridge_jobs") == 8)
        assert slot.bulk([create("more")], 'Idempotency-Key: "more"').status == 503
        assert slot.bulk([create("done")], 'Idempotency-Key: "done"').body == done.body
        cms.delay = 0.0
        assert [each.result().status for each in going] == [200] * 8


def test_what_only_reads_goes_on_during_maintenance(slots, cms, maintenance):
    for number in range(2000):
        cms.put(f"/courses/c{number}", title=f"c{number}")
    slot = slots()
    job = slot.api("POST", "/exports", ASYNC, body=b"{}").json()["job"]
    until(lambda: slot.job(job)["done"] > 0)
    maintenance(True)
    assert ended(slot, job)["state"] == "done"
