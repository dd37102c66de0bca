"""Maintenance is a line on the disk and in HAProxy's map; both say the same whatever dies in between."""

from __future__ import annotations

import argparse

import pytest

from eduhub_pilot.commands.maintenance import maintenance, run
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.fakes import Killed


def told(world) -> str:
    return world.haproxy.maps[f"{world.haproxy.folder}/maintenance.map"]["writes"]


def test_it_is_on_with_its_reason_until_it_is_off(live):
    answers = [maintenance(live.host, reason) for reason in ("Plone 6.1, until 18:00", "Plone 6.1, until 18:00")]
    assert [(each.code, each.changed) for each in answers] == [("maintenance_on", True), ("maintenance_on", False)]
    assert (told(live), live.store.maintenance()) == ("closed:Plone+6.1%2C+until+18%3A00", "Plone 6.1, until 18:00")
    (note,) = status(live.host).data["status"]["notes"]
    assert (note["code"], note["next"]) == ("maintenance", [["./invoke", "maintenance", "off"]])
    assert note["message"].endswith("with 503: Plone 6.1, until 18:00.")
    assert maintenance(live.host, None).code == "maintenance_off"
    assert (told(live), live.store.maintenance(), status(live.host).data["status"]["notes"]) == ("open", None, [])


def jobs(running, queued, held=1):
    numbers = {"maintenance": held, "jobs": running, "jobs_queued": queued}
    return lambda: "".join(f"eduhub_bridge_{name} {float(number)}\n" for name, number in numbers.items())


def test_it_says_how_many_jobs_wait_and_run(live):
    live.metrics = {"blue": jobs(0, 3), "green": jobs(1, 3)}
    said = maintenance(live.host, "x").message
    words = " Jobs of the bridge: 3 wait, 1 still runs: an operation in hand, or an export, which only reads."
    assert said.endswith(words)
    live.metrics = {"blue": jobs(0, 3)}
    assert maintenance(live.host, "x").message.endswith(" Jobs of the bridge: 3 wait, none runs.")


def test_it_waits_for_operations_in_hand(live):
    pages = iter([jobs(running, 3)() for running in (2, 2, 1, 0)])
    live.metrics = {"blue": lambda: next(pages)}
    assert maintenance(live.host, "x").message.endswith("3 wait, none runs.")
    assert live.clock.monotonic() > 2


def test_it_says_where_jobs_are_not_known_to_wait(live):
    older = {"blue": lambda: "eduhub_bridge_jobs 2.0\n", "green": jobs(0, 0)}
    for live.metrics in (older, {}, {"blue": jobs(0, 0, held=0)}, {"blue": lambda: "eduhub_bridge_maintenance x\n"}):
        assert " Jobs of the bridge in slot blue may write: " in maintenance(live.host, "x").message
    assert "obs" not in maintenance(live.host, None).message


def test_it_needs_no_reason(live):
    maintenance(live.host, "")
    assert (told(live), live.store.maintenance()) == ("closed:", "")


def test_a_haproxy_that_restarts_comes_back_with_it(live):
    maintenance(live.host, "x")
    live.haproxy.kill()
    live.clock.sleep(2)
    assert live.haproxy.up
    assert told(live) == "closed:x"


def test_a_pilot_that_died_between_disk_and_haproxy_is_repeated(live):
    for effects in range(10):
        try:
            with live.killing(effects):
                maintenance(live.host, f"try {effects}")
        except Killed:
            continue
        break
    maintenance(live.host, f"try {effects}")
    assert told(live) == f"closed:try+{effects}"


def test_another_word_than_on_and_off_is_refused(live):
    with pytest.raises(RefusedError) as refused:
        run(live.host, argparse.Namespace(state="of", reason=""))
    assert refused.value.code == "maintenance_unknown"
    assert told(live) == "open"
