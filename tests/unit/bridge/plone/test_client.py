"""Whatever part of the bridge asks Plone, the request carries its client's trace context and language."""

from __future__ import annotations

import pytest

from tests.unit.bridge.helpers import until
from tests.unit.bridge.jobs.conftest import ASYNC, Slots, create, ended
from tests.unit.bridge.live.conftest import Events
from tests.unit.bridge.restapi import basic

pytestmark = pytest.mark.slow

CARRIED = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "x-request-id": "7f3a",
    "accept-language": "de-AT, de;q=0.8",
}
FIELDS = [f"{name}: {value}" for name, value in CARRIED.items()]


@pytest.fixture
def slots(cms, tmp_path):
    made = Slots(tmp_path, cms.url)
    made.shared["EDUHUB_LIVE_POLL_SECONDS"] = "0.5"
    yield made
    made.kill()


def carried(cms):
    """Return what of these fields each request to Plone had."""
    return [{name: value for name, value in fields.items() if name in CARRIED} for fields in cms.fields]


def test_a_typed_read_carries_trace_and_language(slots, cms):
    slots().get("/api/v1/content?path=/courses", *FIELDS, f"Authorization: {basic('admin')}")
    assert carried(cms) == [CARRIED]


def test_a_job_carries_trace_and_language_in_whatever_slot_it_ends(slots, cms):
    one, other = slots(EDUHUB_JOBS="1"), slots()
    cms.delay = 0.05
    accepted = one.bulk([create(f"t{number}") for number in range(20)], ASYNC, *FIELDS)
    job = accepted.json()["job"]
    until(lambda: cms.writes)
    assert one.stop() == 0
    until(lambda: len(cms.writes) == 20)
    assert carried(cms) == [CARRIED] * len(cms.fields)
    assert ended(other, job)["failed"] == 0
    assert other.job(job)["options"] == {"dry_run": False, "stop_on_error": False, "concurrency": 1}


def test_a_listener_carries_trace_and_language(slots, cms):
    stream = Events(slots(), "editor", fields=FIELDS)
    until(lambda: [path for _, path, _ in cms.asked if path == "/@search"])
    stream.close()
    assert carried(cms) == [CARRIED] * len(cms.fields)
