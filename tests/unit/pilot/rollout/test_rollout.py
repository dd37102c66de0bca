"""Whole runs on a host in memory: deploy, upgrade, rollback, refusals, and what each leaves."""

from __future__ import annotations

import json

import pytest

from eduhub_pilot.commands.confirm import confirm
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.commands.shift import shift
from eduhub_pilot.model.codes import exit_of
from eduhub_pilot.model.errors import EngineDownError, FailedError, RefusedError
from eduhub_pilot.model.facts import Image
from eduhub_pilot.rollout.revert import revert
from tests.unit.pilot.answers import ends


def journal(world) -> list[tuple[str, str]]:
    lines = (world.settings.root / "journal.jsonl").read_text().splitlines()
    return [(line["step"], line["event"]) for line in map(json.loads, lines)]


def live_python(world) -> str | None:
    state = world.store.state()
    return world.store.record(state.live.release).python if state.live else None


def test_the_first_deployment_goes_to_blue_and_its_journal_tells_the_story(world):
    outcome = world.roll("run-1", python="3.9")
    state = world.store.state()
    assert (outcome.code, state.live.slot, state.confirmed, state.rollout) == ("confirmed", "blue", True, None)
    assert (state.last_good, state.rollback_seconds, world.store.lock()) == (None, None, None)
    assert journal(world) == [
        ("init", "created"), ("begin", "begun"), ("prove", "started"), ("prove", "ready"), ("prove", "passed"),
        ("prove", "passed"), ("prove", "skipped"),
        ("shift", "moved"), ("shift", "judged"), ("shift", "public_check_passed"), ("shift", "shifted"),
        ("confirm", "confirmed"), ("confirm", "lock_released"),
    ]  # fmt: skip
    world.check()


def test_a_second_deployment_changes_nothing_and_keeps_the_python(live):
    before = live.store.state()
    outcome = live.begin("run-2")
    assert (outcome.code, outcome.data["action"], outcome.changed) == ("nothing_to_change", "none", False)
    assert outcome.message.startswith("Nothing to change: ")
    assert (live.store.state(), live.store.lock()) == (before, None)


def test_an_upgrade_moves_to_green_and_keeps_blue_warm(live):
    old = live.store.state().live.release
    outcome = live.roll("run-2", "upgrade", python="3.11")
    state = live.store.state()
    assert outcome.code == "confirmed"
    assert (state.live.slot, live_python(live), state.last_good) == ("green", "3.11", old)
    assert (live.haproxy.weight, live.store.weight(), state.rollback_seconds) == (100, 100, 0.0)
    assert live.engine.containers["eduhub-blue"].release == old
    live.check()


def test_a_rollback_needs_no_argument_and_finds_blue_warm(live):
    old = live.store.state().live.release
    live.roll("run-2", "upgrade", python="3.11")
    blue = live.engine.containers["eduhub-blue"]
    live.roll("run-3", "rollback")
    state = live.store.state()
    assert (state.live.slot, state.live.release, live_python(live)) == ("blue", old, "3.9")
    assert live.engine.containers["eduhub-blue"] is blue
    with ends("no_rollback_target"):
        live.begin("run-4", "rollback")
    live.check()


def test_the_same_upgrade_again_is_the_same_release(live):
    live.roll("run-2", "upgrade", python="3.11")
    new = live.store.state().live.release
    live.roll("run-3", "rollback")
    live.clock.sleep(60)
    live.roll("run-4", "upgrade", python="3.11")
    assert live.store.state().live.release == new


def test_a_rollback_restores_the_configuration_too(live):
    live.roll("run-2", "upgrade", spec=live.spec(environment={"A": "new"}))
    begun = live.begin("run-3", "rollback", spec=live.spec(environment={"A": "newest"}))
    assert "environment" not in begun.data["record"]["spec"]


def test_an_image_is_kept_from_being_pruned_until_its_release_is_forgotten(live):
    first = live.store.state().live.release
    assert f"eduhub/kept:{first.lower()}" in live.engine.images
    for number in range(2, 10):
        live.roll(f"run-{number}", "upgrade", spec=live.spec(environment={"N": str(number)}))
        live.clock.sleep(1)
    kept = live.store.releases()
    assert len(kept) == 5
    assert first not in kept
    tags = {name for name in live.engine.images if name.startswith("eduhub/kept:")}
    assert tags == {f"eduhub/kept:{release.lower()}" for release in kept}
    assert set(live.store.state().good) <= set(kept)


def test_an_image_that_lost_its_tag_is_kept_again_by_the_next_rollout_and_one_that_is_gone_stops_none(live):
    first, back = live.store.state().live.release, "eduhub/kept:somebody"
    rolled(live, 1)
    last = live.store.state().live.release
    tags = [f"eduhub/kept:{release.lower()}" for release in (first, last)]
    live.engine.images[back] = live.engine.images[tags[1]]
    for tag in tags:
        del live.engine.images[tag]
    live.roll("run-2", spec=live.spec(environment={"N": "next"}))
    assert tags[1] in live.engine.images


def rolled(world, number: int) -> None:
    """So many deployments, each of another release."""
    for turn in range(number):
        world.clock.sleep(2)
        world.roll(f"more-{turn}", spec=world.spec(environment={"N": str(turn)}))


def test_a_release_whose_record_broke_is_forgotten_with_its_image(live):
    first = live.store.state().live.release
    rolled(live, 2)
    (live.settings.root / f"releases/{first}/release.json").write_text("{")
    rolled(live, 7)
    assert first not in live.store.releases()
    assert f"eduhub/kept:{first.lower()}" not in live.engine.images


def test_an_image_that_somebody_else_uses_stops_no_rollout_and_is_forgotten_later(live, monkeypatch):
    def used(_: str) -> None:
        raise EngineDownError("The Docker Engine does not do what it is asked (conflict: a container uses it).")

    first = live.store.state().live.release
    with monkeypatch.context() as patched:
        patched.setattr(live.engine, "untag", used)
        rolled(live, 8)
    assert first in live.store.releases()
    live.clock.sleep(2)
    live.roll("last", spec=live.spec(environment={"N": "last"}))
    assert first not in live.store.releases()
    assert f"eduhub/kept:{first.lower()}" not in live.engine.images


def test_a_rolled_back_image_that_somebody_removed_is_refused(live):
    live.roll("run-2", "upgrade", python="3.11")
    gone = live.store.record(live.store.state().last_good)
    live.engine.images = {name: image for name, image in live.engine.images.items() if image.id != gone.image_id}
    with ends("image_gone") as refused:
        live.begin("run-3", "rollback")
    assert refused.value.next[-1] == ["./invoke", "upgrade", "--python", "3.9"]  # makes it anew
    assert live.store.lock() is None


def test_an_image_built_anew_is_a_new_release(live):
    live.engine.images["eduhub/bridge:py3.9"] = Image("sha256:" + "aa" * 32, "3.9.2")
    assert live.begin("run-2").data["action"] == "roll"


def test_a_host_whose_containers_are_gone_is_deployed_again_on_the_other_slot(live):
    live.engine.containers.clear()
    assert live.roll("run-2").code == "confirmed"
    assert live.store.state().live.slot == "green"
    live.check()


def test_an_upgrade_of_nothing_is_refused_and_leaves_no_lock(world):
    with ends("nothing_deployed"):
        world.begin("run-1", "upgrade", python="3.11")
    assert (world.store.lock(), world.store.releases()) == (None, [])


def test_an_unknown_python_is_refused_and_names_what_is_there(live):
    with ends("image_missing"):
        live.begin("run-2", "upgrade", python="3.8")
    assert live.store.lock() is None


def test_a_second_operator_is_kept_out_and_the_first_goes_on(live):
    live.begin("run-2", "upgrade", python="3.11")
    before = live.store.state()
    with ends("lock_held"):
        live.begin("run-3", "upgrade", owner="bob@lab", python="3.11")
    for step in (prove, shift, confirm):
        with ends("not_lock_holder"):
            step(live.host, "run-3")
    assert (live.store.state(), live.store.lock().run) == (before, "run-2")


def test_taking_over_undoes_what_the_other_left(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    live.shift("run-2")
    assert live.haproxy.weight == 100
    taken = live.begin("run-3", "upgrade", owner="bob@lab", python="3.11", take_over=True)
    assert taken.message.startswith("Run run-2 of ana@desk was at step shifted. It was undone. Candidate: ")
    assert (live.haproxy.weight, "eduhub-green" in live.engine.containers) == (0, False)
    with ends("not_lock_holder"):
        confirm(live.host, "run-2")
    live.check()


def test_a_stale_lock_is_taken_over_without_being_asked(live):
    live.begin("run-2", "upgrade", python="3.11")
    live.clock.sleep(live.settings.lock_seconds + 1)
    assert live.roll("run-3", "upgrade", owner="bob@lab", python="3.11").code == "confirmed"


def test_an_interrupted_run_is_resumed_to_the_same_release_from_its_proof_on(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    live.shift("run-2")
    resumed = live.begin("run-3", "upgrade", resume=True)
    assert (resumed.data["release"], resumed.data["slot"]) == (begun.data["release"], "green")
    # Until the next shift keeps watch again, nobody would.
    assert (live.haproxy.weight, live.lives()) == (0, False)
    for step in live.steps("run-3"):
        assert exit_of(step().code, "shift") == 0
    assert live.store.state().live.release == begun.data["release"]


def test_resuming_keeps_a_rollback_a_rollback(live):
    live.roll("run-2", "upgrade", python="3.11")
    live.begin("run-3", "rollback")
    resumed = live.begin("run-4", "upgrade", resume=True)
    live.role_bridge(resumed.data["slot"], resumed.data["record"])
    for step in live.steps("run-4"):
        step()
    assert live.store.state().last_good is None


def test_resuming_to_another_python_is_refused_and_the_run_stays_resumable(live):
    live.begin("run-2", "upgrade", python="3.11")
    with ends("resume_target_differs"):
        live.begin("run-3", "upgrade", python="3.9", resume=True)
    assert live.store.lock().run == "run-2"


def test_reverting_gives_everything_back_and_repeats_its_answer(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.engine.logs["eduhub-green"] = [f"line {number}" for number in range(50)]
    prove(live.host, "run-2")
    live.shift("run-2")
    first = revert(live.host, "run-2", "Ctrl-C")
    assert (first.code, first.data["log"][0], len(first.data["log"])) == ("reverted", "line 30", 20)
    second = revert(live.host, "run-2", "Ctrl-C")
    assert (second.code, second.changed) == ("already_reverted", False)
    assert (live.haproxy.weight, live.store.lock(), live.store.state().slots["green"]) == (0, None, None)
    assert live.roll("run-3", "upgrade", python="3.11").code == "confirmed"
    live.check()


def test_reverting_for_no_reason_leaves_a_state_that_can_be_read(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    assert revert(live.host, "run-2", "").code == "reverted"  # the first line of a failure may be an empty one
    assert live.store.state().last.why is None
    assert live.roll("run-3", "upgrade", python="3.11").code == "confirmed"


def test_reverting_a_first_deployment_leaves_nothing(world):
    begun = world.begin("run-1")
    world.role_bridge(begun.data["slot"], begun.data["record"])
    outcome = revert(world.host, "run-1", "not ready")
    assert (outcome.code, outcome.data["serving"], world.engine.containers) == ("reverted", None, {})


def test_reverting_what_was_never_begun_touches_nothing(live):
    before = live.store.state()
    with ends("run_unknown"):
        revert(live.host, "run-9", "Ctrl-C")
    assert live.store.state() == before


def test_reverting_after_the_confirmation_frees_the_lock_and_says_so(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    for step in (*live.steps("run-2")[:-1], lambda: confirm(live.host, "run-2")):
        step()
    outcome = revert(live.host, "run-2", "Ctrl-C")
    assert outcome.code == "revert_refused_confirmed"
    assert (live.store.state().live.slot, live.store.lock()) == ("green", None)
    assert "was confirmed before" in outcome.message


def test_a_run_that_ends_unfinished_is_undone_by_the_next(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.store.free()
    said = live.begin("run-3").message
    assert said.startswith("Run run-2 was interrupted at step begin. It was undone. Nothing to change")
    assert "eduhub-green" not in live.engine.containers
    assert live.store.lock() is None


def test_a_rollback_ends_an_interrupted_first_upgrade_and_is_not_refused_for_want_of_an_older_release(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.clock.sleep(live.settings.lock_seconds + 1)
    outcome = live.begin("run-3", "rollback", owner="bob@lab")
    assert (outcome.code, outcome.data["action"], outcome.changed) == ("interrupted_run_undone", "none", True)
    assert "It was undone." in outcome.message
    assert (live.store.lock(), live.store.state().rollout) == (None, None)
    assert "eduhub-green" not in live.engine.containers
    with ends("no_rollback_target"):
        live.begin("run-4", "rollback")


def test_a_rollback_ends_an_interrupted_upgrade_and_goes_no_release_further(live):
    live.roll("run-2", "upgrade", python="3.11")
    state = live.store.state()
    begun = live.begin("run-3", "upgrade", python="3.9")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.clock.sleep(live.settings.lock_seconds + 1)
    outcome = live.begin("run-4", "rollback", owner="bob@lab")
    assert (outcome.code, outcome.data["action"]) == ("interrupted_run_undone", "none")
    after = live.store.state()
    assert (after.live, after.last_good, after.rollout) == (state.live, state.last_good, None)
    assert (live.begin("run-5", "rollback").data["release"], live.haproxy.weight) == (state.last_good, 100)


def test_a_rollback_ends_an_interrupted_one_to_a_named_release_where_there_is_no_older_one(live):
    live.roll("run-2", "upgrade", python="3.11")
    newer = live.store.state().live.release
    live.roll("run-3", "rollback")
    state = live.store.state()
    assert state.last_good is None
    begun = live.begin("run-4", "rollback", to=newer)
    assert begun.data["release"] == newer
    live.clock.sleep(live.settings.lock_seconds + 1)
    outcome = live.begin("run-5", "rollback", owner="bob@lab")
    assert (outcome.code, outcome.data["action"]) == ("interrupted_run_undone", "none")
    assert live.store.state().live == state.live


@pytest.mark.parametrize("step", [shift, confirm])
def test_a_step_out_of_order_is_refused(live, step):
    with pytest.raises(RefusedError):
        step(live.host, "run-2")
    live.begin("run-2", "upgrade", python="3.11")
    with pytest.raises(FailedError):
        step(live.host, "run-2")
    assert live.haproxy.weight == 0


def test_traffic_that_somebody_moved_by_hand_is_given_back_before_its_slot_is_replaced(live):
    live.roll("run-2", "upgrade", python="3.11")
    live.host.proxy.move(0, timeout=0)
    live.haproxy.sessions["blue"] = 2
    live.begin("run-3", spec=live.spec(environment={"A": "1"}))
    assert live.haproxy.weight == 100
    assert journal(live)[-3:-1] == [("begin", "cut"), ("begin", "traffic_restored")]


def test_a_corrupt_lock_is_replaced_only_by_taking_over(live):
    (live.settings.root / "lock.json").write_text("{")
    with ends("lock_unreadable"):
        live.begin("run-2", "upgrade", python="3.11")
    assert live.roll("run-3", "upgrade", python="3.11", take_over=True).code == "confirmed"
