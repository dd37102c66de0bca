"""`deploy --check` names a release that the deployment would roll out, and in what it differs, but no value."""

from __future__ import annotations

import json

from eduhub_pilot.commands.plan import plan
from eduhub_pilot.model.release import parse_spec
from eduhub_pilot.rollout.admission import RunRequest
from tests.unit.pilot.world import World


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
