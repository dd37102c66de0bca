"""The front host that has the site's address dies: the other one takes over, and only what was in flight fails."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from tests.fleet.fleet import FRONTS, machine
from tests.rollout.operator import docker, until
from tests.rotation import STORY

pytestmark = STORY

# Three announcements of keepalived that did not come, and its check.
FAILOVER_SECONDS = 3.0


def longest_gap(events: list[dict[str, Any]]) -> tuple[float, float]:
    """Return between which two good answers to light requests most time passed, in seconds since 1970."""
    light = [event for event in events if event["kind"] == "light" and not event["error"]]
    answered = sorted(event["sent"] + event["ms"] / 1000 for event in light)
    return max(pairwise(answered), key=lambda ends: ends[1] - ends[0])


def test_the_other_front_host_takes_the_address_of_one_that_is_killed(fleet, tmp_path):
    active = fleet.active()
    (other,) = set(FRONTS) - {active}
    with fleet.under_load(tmp_path / "load") as load:
        killed = time.time()
        docker("kill", machine(active))
        try:
            time.sleep(3 * FAILOVER_SECONDS)  # the load after it counts too
            code, without = fleet.answers("status")
            result = load.result()
        finally:
            docker("start", machine(active))
    events = load.events()
    before, again = longest_gap(events)
    failed = [event for event in events if event["error"]]
    print(f"{result['requests']} requests, {len(failed)} failed, failover in {again - before:.2f} s")

    assert killed - 1 < before < again
    assert again - before <= FAILOVER_SECONDS
    # In flight when it died, or sent while no host had the address.
    assert [event for event in failed if event["sent"] > again or event["sent"] + event["ms"] / 1000 < killed] == []
    assert [event for event in events if event["sent"] > again] != []

    assert code == 2
    assert set(without["failed"]) == {active}
    assert without["hosts"][other]["front"]["active"]

    # Back again it stands by, and the address stays where it is.
    def both() -> dict[str, Any] | None:
        code, document = fleet.answers("status")
        return document["hosts"] if code == 0 and document["hosts"][active]["front"]["keepalived"] else None

    fronts = until("the killed host is back", both, 120, pause=2)
    assert [fronts[name]["front"]["active"] for name in (active, other)] == [False, True]
