"""`status` tells what is true now, also in the middle of a run and while parts of the host are down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from eduhub_pilot.adapters.endpoint import Endpoint
from eduhub_pilot.commands.preflight import preflight
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.commands.releases import releases
from eduhub_pilot.model.facts import Container, Image
from eduhub_pilot.model.state import stamp
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.world import at


def host(world) -> dict:
    return status(world.host).data["status"]


def test_a_fresh_host_serves_nothing(world):
    seen = host(world)
    assert (seen["live"], seen["confirmed"], seen["release"], seen["lock"]) == (None, False, None, None)
    assert status(world.host).message.startswith("Nothing is deployed on this host.")


def test_a_host_at_rest(live):
    seen = host(live)
    release = live.store.state().live.release
    assert (seen["live"], seen["confirmed"], seen["release"], seen["python"]) == ("blue", True, release, "3.9.2")
    assert (seen["edge"], seen["weight"], seen["notes"]) == ("up", 0, [])
    assert seen["slots"]["blue"] == {
        "release": release, "python": "3.9.2", "image": "sha256:" + "39" * 32, "state": "running", "health": None,
    }  # fmt: skip
    assert seen["slots"]["green"]["state"] == "absent"
    assert seen["rollback"] == {
        "ready": False, "to": None, "seconds": None, "why": "no other release is known to be good on this host",
    }  # fmt: skip


def test_the_middle_of_an_upgrade(live):
    old = live.store.state().live.release
    begun = live.begin("run-2", "upgrade", python="3.11")
    assert (host(live)["live"], host(live)["confirmed"], host(live)["lock"]["step"]) == ("blue", True, "begin")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    live.shift("run-2")
    seen = host(live)
    assert (seen["live"], seen["confirmed"], seen["python"]) == ("green", False, "3.11.2")
    assert (seen["release"], seen["rollback"]["to"]) == (begun.data["release"], old)
    assert seen["rollout"]["from"] == old
    assert seen["rollout"]["deadline"] == "2026-01-01T00:11:03Z"
    assert [(note["code"], note["next"]) for note in seen["notes"]] == [("unconfirmed", [["./invoke", "confirm"]])]


def test_after_an_upgrade_the_way_back_is_open_and_its_time_is_what_was_measured(live):
    old = live.store.state().live.release
    live.haproxy.sessions["blue"] = 1
    live.roll("run-2", "upgrade", python="3.11")
    back = host(live)["rollback"]
    assert (back["ready"], back["to"], back["why"]) == (True, old, None)
    assert back["seconds"] >= live.settings.drain_seconds
    assert f"Rollback to {old} is ready" in status(live.host).message


def lose_image(world) -> None:
    world.engine.images = {"eduhub/bridge:py3.11": Image("sha256:" + "11" * 32)}


def lose_record(world) -> None:
    (world.settings.root / f"releases/{world.store.state().last_good}/release.json").unlink()


@pytest.mark.parametrize(("lose", "why"), [(lose_image, "the image of"), (lose_record, "the record of")])
def test_a_way_back_that_is_closed_says_why(live, lose, why):
    live.roll("run-2", "upgrade", python="3.11")
    lose(live)
    back = host(live)["rollback"]
    assert (back["ready"], back["why"].startswith(why)) == (False, True)


def test_while_haproxy_is_down_live_is_what_it_comes_back_with(live):
    live.roll("run-2", "upgrade", python="3.11")
    live.haproxy.kill(seconds=1000)
    seen = host(live)
    assert (seen["live"], seen["edge"], seen["weight"]) == ("green", "down", None)
    assert seen["notes"][0]["code"] == "haproxy_down"


def test_while_the_engine_is_down_the_slots_are_unknown(live):
    live.engine.down = True
    seen = host(live)
    assert (seen["live"], seen["slots"]["blue"]["state"]) == ("blue", "unknown")
    assert seen["slots"]["blue"]["release"] == live.store.state().live.release


def test_a_live_container_that_is_gone_is_told(live):
    live.engine.containers.clear()
    assert "live_container_down" in [note["code"] for note in host(live)["notes"]]


@pytest.mark.parametrize(
    ("mounts", "endpoint", "expected"),
    [
        ((), None, []),
        (("/run/eduhub/plone",), ("running", "sha256:edge"), []),
        (("/run/eduhub/plone",), None, ["plone_endpoint_down"]),
        (("/run/eduhub/plone",), ("exited", "sha256:edge"), ["plone_endpoint_down"]),
        (("/run/eduhub/plone",), ("running", "sha256:other"), ["plone_endpoint_differs"]),
    ],
)
def test_the_container_before_plone_is_named_where_it_is_down_or_of_another_image(live, mounts, endpoint, expected):
    live.engine.containers["eduhub-plone"] = Container("eduhub-plone", "running", "sha256:plone", mounts=mounts)
    live.engine.containers["eduhub-edge"] = Container("eduhub-edge", "running", "sha256:edge")
    if endpoint:
        live.engine.containers["eduhub-plone-endpoint"] = Container("eduhub-plone-endpoint", *endpoint)
    notes = host(live)["notes"]
    assert [note["code"] for note in notes] == expected
    assert all("eduhub-plone-endpoint" in note["message"] for note in notes)


@pytest.mark.parametrize(
    ("processes", "words", "codes"),
    [
        ({}, "runs on Python 3.11.2.", []),
        ({"plone": True, "plone-2": True}, "runs on Python 3.11.2 in 2 processes.", []),
        ({"plone": True, "plone-2": False}, "processes of Plone 1 do not answer: plone-2.", ["plone_process_silent"]),
    ],
)
def test_the_processes_of_plone_are_counted_and_a_silent_one_is_named(live, processes, words, codes):
    labels = {"org.eduhub.python": "3.11.2", "org.opencontainers.image.version": "6.0.13"}
    live.engine.containers["eduhub-plone"] = Container("eduhub-plone", "running", "sha256:plone", labels=labels)
    live.host = replace(live.host, before_plone=Answering(live.store.root / "run", live.clock, processes))
    assert [note["code"] for note in host(live)["notes"]] == codes
    assert [note["next"][-1] for note in host(live)["notes"]] == [["docker", "restart", "eduhub-plone"]] * len(codes)
    assert host(live)["plone"]["processes"] == processes
    assert words in status(live.host).message


@dataclass(frozen=True)
class Answering(Endpoint):
    """An endpoint with these processes."""

    found: dict[str, bool]

    def processes(self, timeout: float) -> dict[str, bool]:
        assert timeout == 0.0
        return self.found


def test_a_state_that_is_older_than_the_containers_is_told(live):
    """As after a snapshot of the state directory was restored."""
    container = live.engine.containers["eduhub-blue"]
    newer = {**container.labels, "org.eduhub.release": "20991231T000000Z-py3.13-00000000"}
    live.engine.containers["eduhub-blue"] = replace(container, labels=newer)
    (note,) = host(live)["notes"]
    assert (note["code"], note["next"]) == ("live_release_differs", [["./invoke", "deploy"]])
    assert "runs release 20991231T000000Z-py3.13-00000000" in note["message"]
    begun = live.begin("run-2", "deploy")
    assert (begun.data["action"], begun.data["slot"]) == ("roll", "green")


def test_traffic_moved_by_hand_is_told(live):
    live.roll("run-2", "upgrade", python="3.11")
    live.host.proxy.move(0, timeout=0)
    seen = host(live)
    assert (seen["live"], seen["confirmed"]) == ("blue", False)
    assert seen["notes"][0]["code"] == "traffic_uncommitted"


def test_a_stale_lock_and_an_unreadable_one_are_told(live):
    live.begin("run-2", "upgrade", python="3.11")
    live.clock.sleep(live.settings.lock_seconds + 1)
    assert host(live)["lock"]["expired"] is True
    said = status(live.host).message
    assert "(upgrade, step begin). The lock expired" in said
    interrupted = host(live)["notes"][-1]
    assert (interrupted["code"], interrupted["next"]) == (
        "run_interrupted", [["./invoke", "upgrade", "--resume"], ["./invoke", "rollback"]]
    )  # fmt: skip
    (live.settings.root / "lock.json").write_text("{")
    assert host(live)["lock"] is None
    assert host(live)["notes"][0]["code"] == "lock_unreadable"


def test_looking_changes_nothing(live):
    live.begin("run-2", "upgrade", python="3.11")
    with live.killing(0):
        status(live.host)
        releases(live.host)


def test_releases_are_listed_newest_first_with_what_they_are(live):
    assert "No release" not in releases(live.host).message
    live.roll("run-2", "upgrade", python="3.11")
    live.clock.sleep(1)
    live.roll("run-3", "upgrade", spec=live.spec(environment={"N": "3"}))
    live.clock.sleep(1)
    live.roll("run-4", "rollback")
    listed = releases(live.host).data["releases"]
    assert [(each["python_version"], each["is"].split(":")[0]) for each in listed] == [
        ("3.11.2", "not known to be good"), ("3.11.2", "live"), ("3.9.2", "last known-good"),
    ]  # fmt: skip


def test_a_way_back_whose_record_was_changed_is_closed(live):
    live.roll("run-2", "upgrade", python="3.11")
    path = live.settings.root / f"releases/{live.store.state().last_good}/release.json"
    path.write_text(path.read_text().replace('"stop_seconds": 5', '"stop_seconds": 6'))
    back = host(live)["rollback"]
    assert (back["ready"], "was changed after it was written" in back["why"]) == (False, True)


def test_a_way_back_to_a_stopped_slot_needs_memory(live, monkeypatch, tmp_path):
    live.roll("run-2", "upgrade", python="3.11")
    little = tmp_path / "meminfo"
    little.write_text("MemAvailable:     102400 kB\n")
    monkeypatch.setattr("eduhub_pilot.rollout.inspection.MEMORY", little)
    assert host(live)["rollback"]["ready"] is True  # blue is warm
    live.engine.containers.pop("eduhub-blue")
    back = host(live)["rollback"]
    words = "its slot does not run and may need 512 MiB; 100 MiB are available"
    assert (back["ready"], back["why"]) == (False, words)
    assert f"Rollback is blocked: {words}." in status(live.host).message


def test_an_unconfirmed_slot_whose_other_does_not_run_has_no_way_back(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    live.shift("run-2")
    live.engine.containers.pop("eduhub-blue")
    assert host(live)["rollback"]["why"] == "the container of blue does not run"


@pytest.mark.parametrize("state", ["exited", None], ids=["killed by hand", "removed"])
def test_where_nobody_keeps_watch_no_deadline_is_promised(held, state):
    shift = held.engine.containers.pop("eduhub-shift")
    if state:
        held.engine.containers["eduhub-shift"] = replace(shift, state=state)
    said = status(held.host)
    assert said.data["status"]["rollout"]["deadline"] is None
    (note,) = said.data["status"]["notes"]
    following = [["./invoke", "confirm"], ["./invoke", "rollback", "--take-over"]]
    assert (note["code"], note["next"]) == ("unmonitored", following)
    assert f"the container eduhub-shift is {state or 'absent'}" in note["message"]
    assert held.begin("run-3", "rollback", take_over=True).code == "interrupted_run_undone"
    assert held.haproxy.weight == 0


def test_a_share_of_the_traffic_that_nobody_watches_is_told(proven):
    def dies() -> None:
        raise Killed

    at(proven, 0.5, dies)
    with pytest.raises(Killed):
        proven.shift("run-2")
    assert proven.haproxy.weight == 25
    proven.engine.containers.pop("eduhub-shift")
    assert "unmonitored" in [note["code"] for note in host(proven)["notes"]]


def test_a_deadline_of_the_boot_before_is_not_promised(held):
    held.clock.sleep(50)
    held.reboot()
    held.haproxy.kill(seconds=1000)
    promised = host(held)["rollout"]["deadline"]
    assert promised <= stamp(held.clock.now() + timedelta(seconds=60))
    held.haproxy.start()
    assert host(held)["rollout"]["deadline"] is None


@pytest.mark.parametrize(
    ("text", "code"),
    [("green 100\n", "traffic_map_mismatch"), (None, "traffic_map_mismatch"), ("green", "traffic_map_unreadable")],
    ids=["another slot", "missing", "cut"],
)  # fmt: skip
def test_a_traffic_map_that_haproxy_would_not_come_back_right_with_is_told(live, text, code):
    path = live.settings.root / "edge/traffic.map"
    path.unlink() if text is None else path.write_text(text)
    assert host(live)["notes"][0]["code"] == code
    assert code in [finding.code for finding in preflight(live.host, "next", "upgrade").findings]
    path.write_text("green 0\n")
    assert host(live)["notes"] == []
