"""Another version of Plone serves a migrated copy, read-only until it is confirmed, or the one from before serves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from eduhub_pilot.commands import preflight
from eduhub_pilot.commands.plone import await_confirmation, confirm, hand_over, rollback, version
from eduhub_pilot.model.errors import FailedError, PersonError, ProxyDownError, RefusedError
from eduhub_pilot.model.facts import Container, Look
from eduhub_pilot.model.state import stamp
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.plone_host import (
    AWAIT,
    NEW,
    OLD,
    PLONE,
    PREVIOUS,
    SERVES_NEW,
    SERVES_OLD,
    STANDBY,
    FakeEndpoint,
    found,
    go,
    killed,
    labels,
    takes_writes,
    unconfirmed,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("images")

def codes(plone: FakeEndpoint) -> list[str]:
    return [note["code"] for note in status(plone.world.host).data["status"]["notes"]]


def test_another_version_serves_a_migrated_copy_and_writes_are_refused(plone, images):
    done = go(plone, version, contract="enforce", watch_seconds=5.0)
    assert (done.code, found(plone)) == ("plone_upgraded", SERVES_NEW)
    assert images.steps == [
        "prove", "pages", "make", "upgrade-check", "upgrade-stage", "upgrade-migrate", "upgrade-enter", "upgrade-check",
    ]  # fmt: skip
    assert plone.refusals == [None, "Plone is upgraded to 6.1.4."]
    kept = plone.world.store.root / "run/plone-endpoint/writes.map"
    assert kept.read_text() == "writes closed:Plone+is+upgraded+to+6.1.4.\n"
    kept = plone.world.store.plone_upgrade()
    assert {name: kept[name] for name in ("run", "from", "to")} == {"run": "run-9", "from": "6.0.13", "to": "6.1.4"}
    assert (kept["confirm_by"] - plone.world.clock.now()).total_seconds() == pytest.approx(600, abs=1)
    assert plone.world.engine.containers[AWAIT].runs
    assert "collective.easyform" in done.message
    assert "plone_upgrade_unconfirmed" in codes(plone)
    assert "A rollback of Plone to version 6.0.13 is ready." in status(plone.world.host).message


def test_only_what_has_to_may_write_the_volume_and_the_new_image_does(plone):
    go(plone, version)
    writes = {command[3]: (writes, command[4:]) for command, _, writes in plone.world.engine.worked}
    assert {step for step, (may, _) in writes.items() if may} == {step for step in writes if step[:8] == "upgrade-"}
    assert writes["upgrade-enter"][1] == ("--run=run-9", "--serves=6.0.13", "--transaction=03ff")


def test_until_when_it_has_to_be_confirmed_is_said(plone):
    done = go(plone, version)
    (note,) = [each for each in status(plone.world.host).data["status"]["notes"] if "unconfirmed" in each["code"]]
    for message in (done.message, note["message"]):
        assert f"by itself at {done.data['confirm_by']}" in message


def test_a_rehearsal_changes_nothing(plone, images):
    done = go(plone, version, rehearse=True, contract="enforce")
    assert (done.code, found(plone), takes_writes(plone)) == ("plone_rehearsed", SERVES_OLD, True)
    assert (images.steps, plone.refusals) == (["prove", "pages"], [None])
    assert "migrated in 2.1 s (sites: Plone, departments/physics)." in done.message
    assert done.next == [["./invoke", "plone.upgrade", "--version", "6.1.4"]]


def test_versions_are_compared_by_their_content_alone(plone, images):
    images.now["/Plone as JSON for admin"] = "200 application/json 000000 content 77aa01"
    assert go(plone, version, contract="enforce").code == "plone_upgraded"


@pytest.mark.parametrize("now", ["200 application/json 3fa9c1 content 000000", "500 KeyError"])
def test_other_content_stops_the_upgrade_before_anything_is_refused(plone, images, now):
    images.now["/Plone as JSON for admin"] = now
    with pytest.raises(FailedError, match="1 of 2 requests for content") as failed:
        go(plone, version, contract="enforce")
    assert (failed.value.code, found(plone), plone.refusals) == ("plone_upgrade_failed", SERVES_OLD, [None])


@pytest.mark.parametrize(
    ("step", "refused"),
    [("prove", False), ("make", True), ("upgrade-stage", True), ("upgrade-migrate", True), ("upgrade-enter", True)],
)
def test_a_step_that_fails_leaves_plone_as_it_was_and_it_takes_writes_again(plone, images, step, refused):
    images.fails[step] = "plone_migration_failed"
    with pytest.raises(FailedError, match=f"{step} failed. Plone 6.0.13 serves as before") as failed:
        go(plone, version)
    assert (failed.value.code, found(plone), takes_writes(plone)) == ("plone_upgrade_failed", SERVES_OLD, True)
    assert (len(plone.refusals) > 1, images.data) == (refused, set())


def test_a_person_is_needed_where_writes_cannot_be_taken_again(plone, images):
    images.fails["upgrade-migrate"] = "plone_migration_failed"
    before = plone.world._before

    def down(effect: str) -> None:
        if effect == "refuse_writes" and "upgrade-leave" in images.steps:
            raise ProxyDownError("HAProxy does not answer.")
        before(effect)

    plone.world._before = down
    with pytest.raises(PersonError, match="But writes are refused still: HAProxy does not answer") as stuck:
        go(plone, version)
    assert (stuck.value.code, found(plone), takes_writes(plone)) == ("plone_writes_refused", SERVES_OLD, False)
    plone.world._before = before
    assert go(plone, rollback).code == "plone_rolled_back"
    assert takes_writes(plone)


def test_what_was_written_while_it_was_prepared_is_in_a_second_copy(plone, images):
    images.fails["upgrade-enter"] = "plone_written_meanwhile"
    assert go(plone, version).code == "plone_upgraded"
    assert images.steps.count("make") == images.steps.count("upgrade-migrate") == 2


def test_what_was_written_during_the_backup_costs_another_backup_and_no_copy(plone, images):
    images.fails["upgrade-check"] = "plone_written_meanwhile"
    assert go(plone, version).code == "plone_upgraded"
    assert (images.steps.count("make"), images.steps.count("upgrade-stage")) == (2, 1)


def test_a_site_that_is_always_written_is_given_up_before_it_is_copied(plone, images):
    works = images.works

    def written(command):
        if command[3] == "upgrade-check":
            images.fails["upgrade-check"] = "plone_written_meanwhile"
        return works(command)

    plone.world.engine.works = written
    with pytest.raises(FailedError, match="upgrade-check failed") as failed:
        go(plone, version)
    assert (failed.value.code, found(plone), takes_writes(plone)) == ("plone_upgrade_failed", SERVES_OLD, True)
    assert (images.steps.count("make"), images.steps.count("upgrade-stage")) == (3, 0)


@pytest.mark.parametrize(("seconds", "most"), [(20, 22), (10_000, 62)])
def test_a_write_that_is_on_its_way_is_waited_for_but_not_for_ever(plone, images, seconds, most):
    works, at = images.works, {}

    def noting(command):
        at.setdefault(command[3], plone.world.clock.passed)
        return works(command)

    plone.world.engine.works = noting
    plone.written_until[0] = plone.world.clock.passed + seconds
    assert go(plone, version).code == "plone_upgraded"
    assert min(seconds, 60) <= at["make"] - at["prove"] <= most


def test_what_was_written_while_the_old_one_ended_leads_back_to_it(plone, images):
    works = images.works

    def written(command):
        if command[3] == "upgrade-check" and "upgrade-enter" in images.steps:
            images.fails["upgrade-check"] = "plone_written_meanwhile"
        return works(command)

    plone.world.engine.works = written
    images.kept = "undone-upgrade-run-9"
    with pytest.raises(FailedError, match="upgrade-check failed") as failed:
        go(plone, version)
    assert failed.value.message.endswith("in undone-upgrade-run-9.")
    assert (failed.value.code, found(plone), takes_writes(plone)) == ("plone_hand_over_reverted", SERVES_OLD, True)
    assert images.data == set()


def test_an_image_whose_label_is_not_its_version_is_refused_before_anything_is(plone, images):
    images.version = "6.0.13"
    with pytest.raises(FailedError, match=r"says that it has Plone 6\.1\.4 .*, and has 6\.0\.13") as failed:
        go(plone, version)
    assert (failed.value.code, found(plone), plone.refusals) == ("plone_upgrade_failed", SERVES_OLD, [None])
    images.version = None  # of an earlier release
    plone.world.engine._made(Container(STANDBY, "created", NEW, labels("3.13.5", "6.1.4")))
    assert go(plone, version).code == "plone_upgraded"


def test_a_rehearsal_that_fails_removes_no_database(plone, images):
    images.data.add("6.1.4")  # of an earlier upgrade, from which somebody went back
    images.now["/Plone as HTML"] = "500 KeyError"
    with pytest.raises(FailedError):
        go(plone, version, rehearse=True, contract="enforce")
    assert (images.data, "upgrade-leave" in images.steps) == ({"6.1.4"}, False)


def test_what_an_earlier_release_left_asks_for_a_deployment(plone, images):
    images.before["/Plone as JSON for admin"] = "200 application/json 3fa9c1"
    with pytest.raises(FailedError, match="image that serves is of an earlier release") as failed:
        go(plone, version, contract="enforce")
    assert failed.value.next == [["./invoke", "deploy"]]
    plone.world.engine._made(Container(STANDBY, "created", NEW, labels("3.13.5", "6.1.4")))
    object.__setattr__(plone, "knows", False)
    with pytest.raises(RefusedError) as refused:
        go(plone, version)
    assert (refused.value.code, found(plone)) == ("plone_endpoint_old", SERVES_OLD)


def test_a_new_version_that_does_not_serve_gives_back_and_plone_takes_writes(plone):
    plone.broken.add(NEW)
    with pytest.raises(FailedError) as failed:
        go(plone, version)
    assert (failed.value.code, found(plone), takes_writes(plone)) == ("plone_hand_over_reverted", SERVES_OLD, True)


def test_a_new_version_that_ends_while_it_is_watched_gives_back(plone):
    at = plone.world.clock.passed + 30
    plone.world.clock.due.append((at, lambda: plone.world.engine.stop(PLONE, 1)))
    with pytest.raises(FailedError) as failed:
        go(plone, version, watch_seconds=60.0)
    assert (failed.value.code, found(plone), takes_writes(plone)) == ("plone_hand_over_reverted", SERVES_OLD, True)


def test_once_confirmed_it_takes_writes_and_there_is_no_way_back(plone):
    go(plone, version)
    done = go(plone, confirm)
    assert (done.code, found(plone), takes_writes(plone)) == ("plone_confirmed", {PLONE: (NEW, "running")}, True)
    assert plone.world.engine.worked[-1][0][3:] == ("upgrade-confirm", "--serves=6.0.13")
    assert plone.world.store.backup() is None
    assert "plone_upgrade_unconfirmed" not in codes(plone)
    with pytest.raises(RefusedError, match="no container from before"):
        go(plone, rollback)
    with pytest.raises(RefusedError) as refused:
        go(plone, confirm)
    assert refused.value.code == "plone_nothing_to_confirm"


def test_on_a_full_disk_a_failed_upgrade_takes_writes_and_says_what_a_restart_does(plone, images, monkeypatch):
    images.fails["upgrade-migrate"] = "plone_migration_failed"
    save = type(plone.world.store).save_plone_writes

    def full(store, reason):
        if reason is None:
            raise OSError(28, "No space left on device")
        save(store, reason)

    monkeypatch.setattr(type(plone.world.store), "save_plone_writes", full)
    with pytest.raises(PersonError, match=r"\(No space left on device\), and a restart of the host refuses") as stuck:
        go(plone, version)
    assert (stuck.value.code, plone.refusals[-1], found(plone)) == ("plone_writes_refused", None, SERVES_OLD)
    monkeypatch.undo()
    assert go(plone, rollback).code == "plone_rolled_back"
    assert takes_writes(plone)


def test_a_confirmation_that_cannot_be_noted_leaves_the_rollback(plone, images):
    """As on a full disk: the container from before is removed only once its database is marked as left."""
    go(plone, version)
    images.fails["upgrade-confirm"] = "backup_failed"
    with pytest.raises(FailedError, match="upgrade-confirm failed"):
        go(plone, confirm)
    assert (found(plone), takes_writes(plone)) == (SERVES_NEW, False)
    assert go(plone, rollback).code == "plone_rolled_back"
    assert (found(plone), takes_writes(plone)) == (SERVES_OLD, True)


def test_killed_before_any_effect_a_confirmation_is_ended_by_the_next_one(plone):
    old = Container(PREVIOUS, "exited", OLD, labels("3.11.2"))
    new = Container(PLONE, "running", NEW, labels("3.13.5", "6.1.4"), health="healthy")

    unconfirmed(plone, confirm_by=stamp(plone.world.clock.now()))
    for at in killed(plone, confirm, new, old, effects=3):
        assert go(plone, confirm).code == "plone_confirmed", at
        assert (found(plone), takes_writes(plone)) == ({PLONE: (NEW, "running")}, True), at
        unconfirmed(plone, confirm_by=stamp(plone.world.clock.now()))


@pytest.mark.parametrize("ends", ["confirm", "rollback", "await"])
def test_a_confirmation_that_was_killed_is_named_and_only_ever_completed(plone, ends):
    """Its database is marked as left, so the container from before cannot take over any more."""
    old = Container(PREVIOUS, "exited", OLD, labels("3.11.2"))
    new = Container(PLONE, "running", NEW, labels("3.13.5", "6.1.4"), health="healthy")

    def waits() -> None:
        plone.broken.clear()
        unconfirmed(plone, run="run-9", confirm_by=stamp(plone.world.clock.now() + timedelta(hours=2)))

    waits()
    for at in killed(plone, confirm, new, old, effects=3):
        (note,) = [each for each in status(plone.world.host).data["status"]["notes"] if "unconfirmed" in each["code"]]
        assert ("has begun and not ended" in note["message"], note["next"]) == (True, [["./invoke", "plone.confirm"]])
        if ends == "rollback":
            with pytest.raises(RefusedError, match="has begun and not ended") as refused:
                go(plone, rollback)
            assert (refused.value.code, refused.value.next) == ("plone_upgrade_unconfirmed", note["next"])
        command = await_confirmation if ends == "await" else confirm
        assert go(plone, command).code == "plone_confirmed", at
        assert (found(plone), takes_writes(plone)) == ({PLONE: (NEW, "running")}, True), at
        waits()


def test_a_confirmation_that_was_killed_is_completed_though_plone_does_not_run(plone):
    go(plone, version)

    def dies(effect: str) -> None:
        if effect == "remove":
            raise Killed

    plone.world.engine.before = dies
    with pytest.raises(Killed):
        go(plone, confirm)
    plone.world.engine.before = lambda _: None
    plone.world.engine.containers[PLONE] = replace(plone.world.engine.containers[PLONE], state="exited")
    assert go(plone, confirm).code == "plone_confirmed"


def test_one_that_was_interrupted_before_it_was_watched_can_only_be_rolled_back(plone):
    go(plone, version)
    kept = plone.world.store.plone_upgrade()
    plone.world.store.save_plone_upgrade({name: kept[name] for name in ("run", "from", "to", "since")})
    with pytest.raises(RefusedError, match="cannot be confirmed") as refused:
        go(plone, confirm)
    assert (refused.value.code, refused.value.next) == (
        "plone_upgrade_unconfirmed", [["./invoke", "plone.rollback"]],
    )  # fmt: skip
    assert (found(plone), takes_writes(plone)) == (SERVES_NEW, False)
    (note,) = [each for each in status(plone.world.host).data["status"]["notes"] if "unconfirmed" in each["code"]]
    assert note["next"] == [["./invoke", "plone.rollback"]]
    del plone.world.engine.containers[PREVIOUS]  # nothing to return to is left
    assert go(plone, confirm).code == "plone_confirmed"


def test_an_unconfirmed_one_is_rolled_back_and_its_database_removed(plone, images):
    go(plone, version)
    done = go(plone, rollback)
    assert (done.code, found(plone), takes_writes(plone)) == ("plone_rolled_back", SERVES_OLD, True)
    assert (images.data, done.data["plone_version"]) == (set(), "6.0.13")
    assert done.message.endswith("Nothing was lost: no content was written to Plone 6.1.4.")


def test_what_reads_have_written_to_an_unconfirmed_one_is_kept_and_told(plone, images):
    go(plone, version)
    images.kept, likes = "undone-upgrade-run-9", []
    work = plone.world.engine.work

    def noting(like, *words):
        likes.append((like, tuple(words[0][3:])))
        return work(like, *words)

    plone.world.engine.work = noting
    done = go(plone, rollback)
    assert (found(plone), takes_writes(plone), done.data["kept"]) == (SERVES_OLD, True, images.kept)
    assert done.message.endswith("by reads that write, stays in Plone's volume, in undone-upgrade-run-9.")
    # By the image that migrated it, with the run of the upgrade: a rollback that is repeated finds it again.
    assert likes == [(PREVIOUS, ("upgrade-leave", "--version=6.1.4", "--run=run-9"))]
    assert [each["where"] for each in plone.world.noted("kept", "run-9")] == [images.kept]


@pytest.mark.parametrize(("answers", "said"), [
    ({"code": "plone_upgrade_stepped"}, "was not looked at: the image is of an earlier release."),
    ({"code": "backup_failed", "exit": 1, "message": "A file is gone."}, "could not be removed"),
])  # fmt: skip
def test_what_is_not_known_of_it_is_not_called_nothing(plone, answers, said):
    go(plone, version)
    answer = json.dumps({"exit": 0, "message": "", **answers})
    plone.world.engine.works = lambda _: Look(answers.get("exit", 0), answer)
    done = go(plone, rollback)
    assert (found(plone), said in done.message, "Nothing was lost" in done.message) == (SERVES_OLD, True, False)


def test_without_the_container_from_before_it_can_only_be_confirmed(plone):
    go(plone, version)
    del plone.world.engine.containers[PREVIOUS]
    notes = {note["code"]: note for note in status(plone.world.host).data["status"]["notes"]}
    note = notes["plone_upgrade_unconfirmed"]
    assert note["next"] == [["./invoke", "plone.confirm"]]
    assert "its previous container is gone" in note["message"]


def test_nothing_else_takes_over_before_it_is_confirmed(plone):
    go(plone, version)
    plone.world.engine._made(Container(STANDBY, "created", NEW, labels("3.11.2", "6.1.4")))
    with pytest.raises(RefusedError) as refused:
        go(plone, hand_over)
    assert (refused.value.code, found(plone)[PLONE]) == ("plone_upgrade_unconfirmed", (NEW, "running"))
    for verb in ("deploy", "upgrade"):
        findings = preflight.preflight(plone.world.host, "run-10", verb).findings
        assert "plone_upgrade_unconfirmed" in [each.code for each in findings]


def test_killed_before_any_effect_a_rollback_leads_back_and_writes_are_taken(plone):
    old = Container(PLONE, "running", OLD, labels("3.11.2"), health="healthy")
    new = Container(STANDBY, "created", NEW, labels("3.13.5", "6.1.4"))
    for at in killed(plone, version, old, new):
        if plone.world.store.plone_upgrade():
            assert (go(plone, rollback).code, found(plone)[PLONE]) == ("plone_rolled_back", (OLD, "running")), at
        assert takes_writes(plone), at
        assert PREVIOUS not in found(plone), at


def test_a_rollback_killed_before_any_effect_is_ended_by_the_next_one(plone):
    old = Container(PREVIOUS, "exited", OLD, labels("3.11.2"))
    new = Container(PLONE, "running", NEW, labels("3.13.5", "6.1.4"), health="healthy")

    unconfirmed(plone)
    for at in killed(plone, rollback, new, old):
        if plone.world.store.plone_upgrade():
            go(plone, rollback)
        assert (found(plone), takes_writes(plone)) == (SERVES_OLD, True), at
        unconfirmed(plone)
