"""A host whose packages are updated is kept from rollouts, and has to serve again as it did."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from eduhub_pilot.commands.balancer.drain import drain
from eduhub_pilot.commands.balancer.undrain import undrain
from eduhub_pilot.commands.patching.begin import begin
from eduhub_pilot.commands.patching.compare import changes, containers
from eduhub_pilot.commands.patching.end import end, give_up
from eduhub_pilot.model.codes import exit_of
from eduhub_pilot.model.errors import PersonError, RefusedError
from eduhub_pilot.model.facts import Container
from tests.unit.pilot.world import at

OWNER, SECONDS = "ada@desk", 2400
PLONE = "eduhub-plone"


@pytest.fixture
def begun(live) -> dict:
    ours = {"org.eduhub.stack": "eduhub"}
    live.engine.containers[PLONE] = Container(PLONE, "running", "sha256:plone", ours, health="healthy")
    pilot = {**ours, "org.eduhub.role": "pilot"}
    live.engine.containers["eduhub-x"] = Container("eduhub-x", "running", "sha256:p", pilot)
    return begin(live.host, "patch-1", OWNER, SECONDS).data["before"]


def noted(live) -> list[dict]:
    lines = map(json.loads, (live.settings.root / "journal.jsonl").read_text().splitlines())
    return [line for line in lines if line["step"] == "patch"]


def test_it_takes_the_lock_under_which_only_its_own_run_drains(live, begun):
    assert (live.store.lock().verb, begun["drained"]) == ("host.patch", False)
    assert begun["versions"]["engine"] == "20.10.24+dfsg1"
    assert begun["versions"]["haproxy"] == "2.6.12-1+deb12u1"
    assert PLONE in begun["containers"]
    assert "eduhub-x" not in begun["containers"]
    with pytest.raises(RefusedError, match=r"verb host\.patch"):
        live.begin("run-2", "upgrade", python="3.11")
    with pytest.raises(RefusedError, match="holds the lock"):
        drain(live.host, 10, 60)
    drained = drain(live.host, 10, 60, run="patch-1")
    assert (drained.code, drained.next) == ("drained", ())


def test_the_lock_of_an_update_that_died_is_taken_over_and_that_of_a_rollout_is_not(live, begun):
    with pytest.raises(RefusedError, match="holds the lock"):
        begin(live.host, "patch-2", OWNER, SECONDS)
    assert begin(live.host, "patch-2", OWNER, SECONDS, take_over=True).data["before"] == begun
    live.store.renew(replace(live.store.lock(), verb="upgrade"))
    with pytest.raises(RefusedError, match="holds the lock"):
        begin(live.host, "patch-3", OWNER, SECONDS, take_over=True)


def dead(live, *, take_over: bool = True) -> dict:
    """Begin after a run that died; return what it found."""
    return begin(live.host, "patch-2", OWNER, SECONDS, take_over=take_over).data["before"]


@pytest.mark.usefixtures("begun")
def test_what_an_update_drained_before_it_died_is_the_next_ones_to_undrain(live):
    drain(live.host, 10, 60, run="patch-1")
    looked = begin(live.host, "patch-2", OWNER, SECONDS, take_over=True, check=True).data
    assert looked == {"unfinished": True, "left_drained": True}
    found = dead(live)
    assert (found["drained"], found["left_drained"]) == (False, True)
    # Also where that one dies, and its lock expires.
    live.clock.sleep(SECONDS + 1)
    again = begin(live.host, "patch-3", OWNER, SECONDS).data["before"]
    assert (again["drained"], again["left_drained"]) == (False, True)


@pytest.mark.usefixtures("begun")
def test_an_operators_own_drain_stays_also_after_an_update_that_died(live):
    drain(live.host, 10, 60, run="patch-1")
    live.clock.sleep(SECONDS + 1)
    undrain(live.host)
    assert dead(live)["left_drained"] is False
    live.clock.sleep(SECONDS + 1)
    drain(live.host, 10, 60)
    found = begin(live.host, "patch-3", OWNER, SECONDS).data["before"]
    assert (found["drained"], found["left_drained"]) == (True, False)


def test_a_host_that_no_update_left_is_not_unfinished(live):
    drain(live.host, 10, 60)
    looked = begin(live.host, "patch-1", OWNER, SECONDS, check=True).data
    assert looked == {"unfinished": False, "left_drained": False}
    found = begin(live.host, "patch-1", OWNER, SECONDS).data["before"]
    assert (found["drained"], found["left_drained"]) == (True, False)


def test_a_check_takes_no_lock(live):
    assert begin(live.host, "patch-1", OWNER, SECONDS, check=True).code == "patch_admitted"
    assert live.store.lock() is None


@pytest.mark.parametrize("check", [True, False])
def test_a_release_that_is_not_confirmed_is_refused(held, check):
    with pytest.raises(RefusedError) as refused:
        begin(held.host, "patch-1", OWNER, SECONDS, check=check)
    assert (refused.value.code, held.store.lock().run) == ("lock_held", "run-2")
    held.store.free()
    with pytest.raises(RefusedError, match="The rollout of run run-2 is not over"):
        begin(held.host, "patch-1", OWNER, SECONDS, check=check)


def test_a_host_without_a_release_is_refused(world):
    with pytest.raises(RefusedError) as refused:
        begin(world.host, "patch-1", OWNER, SECONDS)
    assert (refused.value.code, world.store.lock()) == ("nothing_deployed", None)


def test_one_line_has_the_versions_before_and_after(live, begun):
    live.engine.says_version = "26.1.5"
    outcome = end(live.host, "patch-1", begun, 60, 3, rebooted=True)
    assert (outcome.code, live.store.lock()) == ("patched", None)
    assert "3 packages updated, rebooted" in outcome.message
    assert "Docker Engine 20.10.24+dfsg1 -> 26.1.5" in outcome.message
    (line,) = noted(live)
    assert (line["run"], line["event"], line["updated"], line["rebooted"]) == ("patch-1", "patched", 3, True)
    assert (line["before"]["engine"], line["after"]["engine"]) == ("20.10.24+dfsg1", "26.1.5")
    assert outcome.data["patch"]["ended"] is True


def test_it_waits_until_each_container_is_healthy_and_the_public_address_answers(live, begun):
    plone = live.engine.containers[PLONE]
    live.engine.containers[PLONE] = replace(plone, health="starting")
    live.reboot()
    at(live, 40, lambda: live.engine.containers.update({PLONE: plone}))
    before = live.clock.monotonic()
    assert end(live.host, "patch-1", begun, 180, 1, rebooted=True).code == "patched"
    assert 40 <= live.clock.monotonic() - before < 50


@pytest.mark.usefixtures("begun")
def test_an_edge_that_ends_its_last_connections_is_not_waited_for(live):
    edge = replace(live.engine.containers[PLONE], name="eduhub-edge-ending-1a2b3c")
    live.engine.containers[edge.name] = edge
    assert PLONE in containers(live.host)
    assert edge.name not in containers(live.host)


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("role", ["copy", "work", "look"])
def test_what_works_beside_the_site_and_ends_is_not_waited_for(live, role):
    labels = {**live.engine.containers[PLONE].labels, "org.eduhub.role": role}
    live.engine.containers["eduhub-copy"] = replace(live.engine.containers[PLONE], name="eduhub-copy", labels=labels)
    assert "eduhub-copy" not in containers(live.host)


def test_a_container_that_does_not_come_back_is_named_and_the_lock_is_free(live, begun):
    live.engine.containers[PLONE] = replace(live.engine.containers[PLONE], state="exited")
    with pytest.raises(PersonError, match="eduhub-plone is exited") as failed:
        end(live.host, "patch-1", begun, 30, 1, rebooted=True)
    assert (failed.value.code, exit_of("patch_not_serving", "patch-end"), live.store.lock()) == (
        "patch_not_serving", 3, None,
    )  # fmt: skip
    assert [(line["event"], line["after"]) for line in noted(live)] == [("failed", {})]


def test_an_engine_that_stays_down_needs_a_person(live, begun):
    live.engine.down = True
    with pytest.raises(PersonError, match="Docker Engine"):
        end(live.host, "patch-1", begun, 30, 1, rebooted=False)


@pytest.mark.usefixtures("begun")
def test_a_run_that_failed_frees_its_own_lock_alone(live):
    assert give_up(live.host, "patch-0", "apt").code == "patch_ended"
    assert live.store.lock().run == "patch-1"
    give_up(live.host, "patch-1", "apt")
    assert (live.store.lock(), noted(live)[-1]["why"]) == (None, "apt")


def test_a_version_that_stayed_is_said_once():
    before = {"kernel": "6.1.0-25-amd64", "engine": "20.10.24", "haproxy": "2.6.12"}
    assert list(changes(before, {**before, "kernel": "6.1.0-27-amd64"})) == [
        "kernel 6.1.0-25-amd64 -> 6.1.0-27-amd64", "Docker Engine 20.10.24", "HAProxy 2.6.12",
    ]  # fmt: skip
