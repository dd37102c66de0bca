"""Story 1: deploy 3.9, upgrade to 3.11, roll back, with the load running throughout."""

from __future__ import annotations

import json
from itertools import pairwise

from tests.rollout.operator import Witness

# On a noisy machine; the printed figure, beside the control's, is what counts.
HARD_LIMIT_SECONDS = 1.0
# How long the control runs; the upgrade and the way back together take about as long.
CONTROL_SECONDS = 60


def failures(result: dict) -> dict:
    return {kind: count for kind, count in result["failures"].items() if count}


def test_upgrade_and_rollback_fail_no_request(operator, tmp_path):
    first = operator.status()["live"]
    second = {"blue": "green", "green": "blue"}[first]
    with Witness.watching(tmp_path / "control", CONTROL_SECONDS) as witness:
        control = witness.wait()
    with Witness.watching(tmp_path / "rollout", 400) as witness:
        witness.warm()
        forward = operator.types("upgrade", "--python", "3.11")
        middle = operator.status()
        back = operator.types("rollback")
        result, events = witness.result(), witness.events()
    print(json.dumps({"control": control, "rollout": result}, indent=1))

    assert (forward.returncode, back.returncode) == (0, 0)
    assert (failures(control), failures(result)) == ({}, {})
    assert result["longest_gap_seconds"] <= HARD_LIMIT_SECONDS
    assert middle["python"].startswith("3.11.")
    assert operator.status()["python"].startswith("3.9.")
    assert result["audit"] == {"missing": [], "duplicate": [], "unexpected": []}
    assert result["downloads_completed"] >= 2

    # Requests by when they were sent: one slot, then the other, then the first again, and never a mixture.
    light = sorted((event for event in events if event["kind"] == "light"), key=lambda event: event["sent"])
    slots = [event["slot"] for event in light]
    assert [slot for slot, after in pairwise([*slots, None]) if slot != after] == [first, second, first]
