"""Preflight names what would stop a rollout, and nothing that the run itself puts in order."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from eduhub_pilot.commands import preflight as module
from eduhub_pilot.commands.preflight import first, preflight
from eduhub_pilot.model.facts import Container
from eduhub_pilot.model.state import Lock, stamp
from eduhub_pilot.rollout.plone import VERSION
from eduhub_pilot.rollout.status import status


@pytest.fixture(autouse=True)
def _memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    enough = tmp_path / "meminfo"
    enough.write_text("MemAvailable:    4000000 kB\n")
    monkeypatch.setattr(module, "MEMORY", enough)


def found(outcome) -> list[str]:
    return [finding.code for finding in outcome.findings]


def test_a_host_in_order_has_no_finding(live):
    assert (preflight(live.host, "next").code, found(preflight(live.host, "next"))) == ("preflight_passed", [])


def test_settings_are_judged_before_anything_is_on_the_host(live):
    settings = replace(live.settings, root=Path("/absent"), gates={"pilot_gate_smoke": "sometimes"})
    refused = first(replace(live.host, settings=settings, store=None), None)
    assert (refused.code, found(refused)) == ("preflight_failed", ["setting_invalid"])


def test_the_python_that_is_live_is_told(live):
    assert preflight(live.host, "next").data["python"] == "3.9"


def test_every_finding_is_named_at_once(live, tmp_path):
    live.haproxy.kill(seconds=1000)
    del live.engine.containers[live.name("blue")]
    (tmp_path / "meminfo").write_text("MemAvailable:    100000 kB\n")
    outcome = preflight(live.host, "next", "upgrade")
    expected = ["live_container_down", "haproxy_down", "live_unhealthy", "memory_short"]
    assert (outcome.code, found(outcome)) == ("preflight_failed", expected)


def test_what_a_deployment_starts_by_itself_does_not_stop_it(live):
    live.haproxy.kill(seconds=1000)
    del live.engine.containers[live.name("blue")]
    (live.settings.root / "edge/traffic.map").unlink()
    assert found(preflight(live.host, "next", "deploy")) == []


def test_a_lock_stops_everybody_but_its_run_and_whoever_takes_it_over(live):
    live.begin("one", verb="upgrade", python="3.11")
    assert found(preflight(live.host, "two", "upgrade")) == ["lock_held"]
    assert found(preflight(live.host, "one", "upgrade")) == []
    assert found(preflight(live.host, "two", "upgrade", take_over=True)) == []


def test_whoever_comes_while_a_release_waits_is_told_how_it_is_kept(held):
    (finding,) = preflight(held.host, "next", "deploy").findings
    assert (finding.code, finding.next) == (
        "lock_held", [["./invoke", "confirm"], ["./invoke", "rollback"], ["./invoke", "deploy", "--take-over"]]
    )  # fmt: skip
    (finding,) = preflight(held.host, "next", "upgrade").findings
    assert finding.next == [["./invoke", "confirm"], ["./invoke", "rollback"], ["./invoke", "rollback", "--take-over"]]


def test_an_update_of_packages_that_may_have_died_is_gone_on_with_and_not_rolled_back(live):
    now = live.clock.now()
    live.store.take(Lock("ana@desk", "run-9", "host.patch", "drain", now, now, 900))
    (finding,) = preflight(live.host, "next", "upgrade").findings
    assert finding.next == [["./invoke", "status"], ["./invoke", "host.patch", "--take-over"]]
    assert "undoes" not in finding.message


@pytest.mark.parametrize(
    ("state", "health", "expected"),
    [
        ("running", "healthy", []), ("running", "starting", []),
        ("running", "unhealthy", [["docker", "restart", "eduhub-plone"]]), ("exited", None, [["./invoke", "deploy"]]),
    ],
)  # fmt: skip
def test_a_plone_that_is_down_is_named_with_what_brings_it_back(live, state, health, expected):
    live.engine.containers["eduhub-plone"] = Container("eduhub-plone", state, "sha256:plone", health=health)
    stops = preflight(live.host, "next", "upgrade").findings
    assert [each.next[1:] for each in stops] == [expected] * bool(expected)
    noted = [each for each in status(live.host).data["status"]["notes"] if each["code"] == "plone_container_down"]
    assert noted == [each.document() for each in stops]


@pytest.mark.parametrize("percent", [3, 97])
def test_traffic_that_was_moved_by_hand_is_named_and_a_deployment_moves_it_back(live, percent):
    live.host.proxy.move(percent, 2)
    (finding,) = preflight(live.host, "next", "upgrade").findings
    assert (finding.code, finding.next) == ("traffic_uncommitted", [["./invoke", "deploy"]])
    assert finding.message.startswith(f"{percent}% of the traffic is on green, where no run has moved it.")
    assert finding.message in status(live.host).message
    deployed = live.begin("next")
    assert (deployed.code, deployed.changed, live.haproxy.weight) == ("nothing_to_change", True, 0)
    assert live.begin("again").changed is False


def test_a_configuration_of_haproxy_that_was_edited_by_hand_is_named(live):
    folder = live.settings.config / "edge"
    folder.mkdir(parents=True)
    (folder / "haproxy.cfg").write_text("global\n")
    assert found(preflight(live.host, "next", "upgrade")) == []  # deployed before a digest was kept
    (folder / "haproxy.cfg.sha1").write_text(hashlib.sha1(b"global\n", usedforsecurity=False).hexdigest() + "\n")
    assert found(preflight(live.host, "next", "upgrade")) == []
    (folder / "haproxy.cfg").write_text("global\n  maxconn 1\n")
    (finding,) = preflight(live.host, "next", "upgrade").findings
    assert (finding.code, finding.next) == ("edge_configuration_edited", [["./invoke", "deploy"]])
    assert finding.message in status(live.host).message
    assert found(preflight(live.host, "next", "deploy")) == []


@pytest.mark.parametrize(
    ("days", "age", "expected"),
    [(0, None, []), (0, 9, []), (7, 6.9, []), *((7, age, ["backup_old"]) for age in (7.1, -1, None))],
)
def test_an_upgrade_wants_a_backup_that_is_as_new_as_the_inventory_says(live, days, age, expected):
    if age is not None:
        live.store.save_backup({"id": "x", "time": stamp(live.clock.now() - timedelta(days=age))})
    outcome = preflight(live.host, "next", backup_days=days)
    assert found(outcome) == expected
    assert [each.next for each in outcome.findings] == [[["./invoke", "plone.backup"]]] * len(expected)


@pytest.mark.parametrize(("was", "expected"), [("6.1.4", ["backup_old"]), ("6.0.13", []), (None, [])])
def test_an_upgrade_wants_a_backup_of_the_version_that_serves(live, was, expected):
    live.engine.containers["eduhub-plone"] = Container("eduhub-plone", "running", "x", {VERSION: "6.0.13"})
    live.store.save_backup({"id": "x", "time": stamp(live.clock.now()), **({"plone": was} if was else {})})
    outcome = preflight(live.host, "next", backup_days=7)
    assert found(outcome) == expected
    assert all("is of Plone 6.1.4, and 6.0.13 serves" in each.message for each in outcome.findings)


def test_a_backup_that_holds_the_lock_is_waited_for_not_taken_over(live):
    now = live.clock.now()
    live.store.take(Lock("ana@desk", "run-9", "plone.backup", "begin", now, now, 900))
    (finding,) = preflight(live.host, "next").findings
    assert (finding.code, finding.next) == ("lock_held", [["./invoke", "status"]])


@pytest.mark.parametrize(("mebibytes", "state", "expected"), [
    (80, "running", []), (60, "running", ["memory_short"]), (80, "exited", ["memory_short"]),
])  # fmt: skip
def test_memory_that_the_rollout_frees_is_counted(live, monkeypatch, tmp_path, mebibytes, state, expected):
    live.roll("run-2", "upgrade", python="3.11")
    container = "ab" * 32
    idle = live.engine.containers["eduhub-blue"]
    live.engine.containers["eduhub-blue"] = replace(idle, id=container, state=state)
    file = tmp_path / f"cgroup/docker/{container}/memory.stat"
    file.parent.mkdir(parents=True)
    file.write_text(f"anon {mebibytes << 20}\n")
    monkeypatch.setattr("eduhub_pilot.adapters.cgroup.ROOT", tmp_path / "cgroup")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemAvailable: {440 << 10} kB\n")
    monkeypatch.setattr(module, "MEMORY", meminfo)
    answer = preflight(live.host, "next", "upgrade")
    assert found(answer) == expected
    if expected and state == "running":
        assert "440 MiB of memory are available, 60 MiB more once" in answer.findings[0].message
