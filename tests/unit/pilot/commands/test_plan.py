"""`plan` names the release that a run would roll out, in what it differs (no value), and what it takes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from eduhub_pilot.analysis.timeline import measured
from eduhub_pilot.commands.planning.plan import plan
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.release import parse_spec
from eduhub_pilot.rollout.admission import RunRequest
from tests.unit.pilot.world import World

NEW = {"eduhub/bridge:py3.11": {"id": "sha256:new", "bytes": 412_345, "python": "3.11.9"}}


def upgrade(world: World, images: dict[str, Any] | None = None, python: str | None = "3.11") -> dict[str, Any]:
    """The plan of an upgrade with the images that this host has already, but for `images`."""
    here = {name: world.engine.images[name] for name in ("eduhub/bridge:py3.9", "eduhub/bridge:py3.11")}
    there = {name: {"id": image.id, "bytes": 0, "python": image.python} for name, image in here.items()}
    there |= images or {}
    outcome = plan(world.host, RunRequest("next", "", "upgrade", python), parse_spec(json.loads(world.spec())), there)
    found: dict[str, Any] = json.loads(json.dumps(outcome.data["plan"]))
    return found


def planned(world: World, python: str | None = None, **more: object) -> tuple[str, bool, str]:
    before = sorted((path, path.stat().st_mtime_ns) for path in world.settings.root.rglob("*"))
    spec = parse_spec(json.loads(world.spec(**more)))
    outcome = plan(world.host, RunRequest("next", "", "deploy", python), spec)
    assert sorted((path, path.stat().st_mtime_ns) for path in world.settings.root.rglob("*")) == before
    return outcome.code, outcome.changed, outcome.message


def test_the_live_release_needs_nothing(live):
    assert planned(live)[:2] == ("nothing_to_change", False)


def test_a_changed_environment_is_a_new_release_whose_names_are_told(live):
    code, changed, message = planned(live, environment={"EDUHUB_PLONE_READS": "2", "TOKEN": "secret"})
    assert (code, changed) == ("release_planned", True)
    assert message.endswith("without a failed request: it differs from the live release in environment.")
    live.roll("two", spec=live.spec(environment={"A": "1", "B": "1"}))
    assert planned(live, environment={"A": "1", "B": "2"})[2].endswith("in environment (B).")


def test_another_python_and_an_image_that_is_still_to_come_are_told(live):
    assert "in image, python." in planned(live, python="3.11")[2]
    assert "the image eduhub/other:1 is not on the host yet" in planned(live, image="eduhub/other:1", python=None)[2]


def test_an_upgrade_is_planned_with_releases_gates_and_images(live):
    found = upgrade(live)
    assert (found["changes"], found["from"]["python"], found["to"]["python"]) == (True, "3.9.2", "3.11.2")
    assert (found["from"]["release"], found["to"]["release"]) == (live.store.state().live.release, None)
    assert "Python 3.9.2 → 3.11.2" in found["changed"]
    assert found["gates"] == {"smoke": "enforce", "runtime": "enforce", "contract": "enforce", "performance": "off"}
    assert (found["send_bytes"], found["seconds"], found["measured"], found["interrupted"]) == (0, None, 0, None)


def test_the_live_release_is_planned_as_no_change(live):
    live.roll("run-2", "upgrade", python="3.11")
    found = upgrade(live, python=None)
    assert (found["changes"], found["changed"], found["to"]) == (False, [], found["from"])


def test_an_image_that_is_to_come_decides_the_release_and_is_sent(live):
    found = upgrade(live, NEW)
    assert (found["to"]["image_id"], found["to"]["python"]) == ("sha256:new", "3.11.9")
    assert (found["sends"], found["send_bytes"]) == (["eduhub/bridge:py3.11"], 412_345)
    assert found["images"]["eduhub/bridge:py3.11"] == "sha256:new"


def test_the_time_is_the_median_of_the_last_upgrades_until_all_traffic_had_moved(live):
    for number, python in enumerate(("3.11", "3.9", "3.11"), start=2):
        live.roll(f"run-{number}", "upgrade", python=python)
    journal = [json.loads(line) for line in live.store.journal()[0]]
    assert upgrade(live)["measured"] == len(measured(journal)) == 3
    assert min(measured(journal)) <= upgrade(live)["seconds"] <= max(measured(journal))


def entry(run: str, step: str, event: str, second: int, **more: Any) -> dict[str, Any]:
    return {"run": run, "step": step, "event": event, "time": f"2026-01-01T00:00:{second:02d}Z", **more}


def test_a_run_that_tells_no_time_is_not_measured():
    begun = {"origin": "r1", "verb": "upgrade"}
    whole = [entry("a", "begin", "begun", 0, **begun), entry("a", "shift", "shifted", 30)]
    assert measured(whole) == [30.0]
    assert measured([*whole, entry("a", "revert", "reverted", 40)]) == []
    assert measured([whole[0], entry("a", "begin", "resumed", 20), whole[1]]) == []
    assert measured([entry("a", "begin", "begun", 0, verb="deploy"), whole[1]]) == [], "a first deployment"
    assert measured([entry("a", "begin", "begun", 0, origin="r1", verb="rollback"), whole[1]]) == []


def test_a_run_that_was_interrupted_is_named(proven):
    assert upgrade(proven)["interrupted"] == "run-2"


def test_a_run_is_held_to_its_plan(live):
    fingerprint = upgrade(live)["fingerprint"]
    assert live.begin("run-2", "upgrade", python="3.11", planned=fingerprint).code == "begun"


def test_an_image_that_has_another_id_once_it_was_sent_is_what_was_planned(live):
    """containerd's image store gives it one of its own, before a run begins."""
    name, identity = "eduhub/bridge:py3.11", "5f1e"
    sent = {name: {"id": "sha256:here", "identity": identity, "python": "3.11.2", "bytes": 5}}
    planned = upgrade(live, images=sent)
    live.engine.images[name] = replace(live.engine.images[name], id="sha256:there", identity=identity)
    again = upgrade(live, images={name: {**sent[name], "id": "sha256:there", "bytes": 0}})
    assert (again["fingerprint"], again["images"]) == (planned["fingerprint"], planned["images"])
    assert live.begin("run-2", "upgrade", python="3.11", planned=planned["fingerprint"]).code == "begun"


def other_release(world: World) -> None:
    world.roll("run-2", "upgrade", python="3.11")


def other_image(world: World) -> None:
    name = "eduhub/bridge:py3.11"
    world.engine.images[name] = replace(world.engine.images[name], id="sha256:rebuilt")


def other_setting(world: World) -> None:
    settings = replace(world.settings, given={"pilot_watch_seconds": 2})
    world.host = replace(world.host, settings=settings)


@pytest.mark.parametrize("change", [other_release, other_image, other_setting])
def test_a_run_is_refused_where_something_changed_since_its_plan(live, change):
    fingerprint = upgrade(live)["fingerprint"]
    change(live)
    before = {path: path.read_bytes() for path in live.settings.root.rglob("*") if path.is_file()}
    with pytest.raises(RefusedError) as refused:
        live.begin("run-3", "upgrade", python="3.11", planned=fingerprint)
    assert (refused.value.code, list(refused.value.next)) == (
        "plan_outdated", [["./invoke", "plan", "--python", "3.11"]],
    )  # fmt: skip
    after = {path: path.read_bytes() for path in live.settings.root.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} <= {"lock.json"}
    assert live.store.lock() is None
