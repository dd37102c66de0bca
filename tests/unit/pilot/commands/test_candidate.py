"""`candidate` names the image that `begin` starts, and `begin` starts no other one than the accepted one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from eduhub_pilot.commands.planning.candidate import candidate
from eduhub_pilot.model.release import parse_spec
from eduhub_pilot.rollout.admission import RunRequest
from tests.unit.pilot.answers import ends
from tests.unit.pilot.world import World

NAME = "eduhub/bridge:py3.11"


def named(world: World, **words: Any) -> dict[str, str]:
    """The image that an upgrade would start."""
    before = sorted((path, path.stat().st_mtime_ns) for path in world.settings.root.rglob("*"))
    found = candidate(world.host, RunRequest("next", "", "upgrade", **words), parse_spec(json.loads(world.spec())))
    assert sorted((path, path.stat().st_mtime_ns) for path in world.settings.root.rglob("*")) == before
    assert (found.code, found.changed) == ("candidate_named", False)
    return dict(found.data["image"])


def rename(world: World) -> str:
    """Give the name of the next bridge to another image; return the id of the one that had it."""
    before = world.engine.images[NAME]
    world.engine.images[NAME] = replace(before, id="sha256:another")
    return before.id


def test_it_is_the_image_that_begin_starts(live):
    image = named(live, python="3.11")
    begun = live.begin("run-2", "upgrade", python="3.11", accepted=image["id"])
    assert begun.data["record"]["image"] == image == {"name": NAME, "id": live.engine.images[NAME].id}


def test_a_resumed_run_has_the_image_that_it_began_with(live):
    live.begin("run-2", "upgrade", python="3.11")
    began_with = rename(live)
    assert (named(live, resume=True)["id"], named(live, python="3.11")["id"]) == (began_with, "sha256:another")


def test_a_rollback_that_is_resumed_asks_for_no_signature(live):
    live.roll("run-2", "upgrade", python="3.11")
    live.begin("run-3", "rollback")
    assert named(live, resume=True) == {}
    assert live.begin("run-4", "upgrade", resume=True).code == "resumed"


def test_a_name_that_went_to_another_image_since_the_check_starts_nothing(live):
    accepted = named(live, python="3.11")["id"]
    rename(live)
    with ends("image_not_accepted"):
        live.begin("run-2", "upgrade", python="3.11", accepted=accepted)
    assert (live.store.lock(), live.store.state().rollout, list(live.store.releases())) == (
        None, None, [live.store.state().live.release],
    )  # fmt: skip


@pytest.mark.parametrize("take_over", [False, True])
def test_an_interrupted_run_with_another_image_than_the_accepted_one_stays_as_it_was(proven, take_over):
    before = proven.store.state()
    with ends("image_not_accepted"):
        proven.begin("run-3", "upgrade", resume=True, take_over=take_over, accepted="sha256:another")
    assert proven.store.state() == before
    accepted = proven.store.record(before.rollout.release).image_id
    assert proven.begin("run-3", "upgrade", resume=True, take_over=take_over, accepted=accepted).code == "resumed"
