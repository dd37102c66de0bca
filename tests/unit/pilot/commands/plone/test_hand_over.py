"""Plone's standby takes over, or the container from before serves, whatever fails and wherever the pilot is killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from eduhub_pilot.commands.plone import hand_over, rollback, work
from eduhub_pilot.model.errors import FailedError, PersonError, PilotError, RefusedError
from eduhub_pilot.model.facts import Container, Counts, Look
from eduhub_pilot.model.state import Lock
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.plone_host import (
    DIRECTORY,
    NEW,
    OLD,
    PLONE,
    PREVIOUS,
    PYTHONS,
    SERVES_NEW,
    SERVES_OLD,
    STANDBY,
    FakeEndpoint,
    ended,
    found,
    go,
    killed,
    labels,
)  # fmt: skip


def test_the_standby_serves_under_plones_name_and_the_old_container_is_kept_stopped(plone):
    done = go(plone, hand_over)
    assert (done.code, found(plone)) == ("plone_handed_over", SERVES_NEW)
    assert (plone.held[-2:], {PLONE, PREVIOUS} & ended(plone)) == ([True, False], {PREVIOUS})
    seen = status(plone.world.host)
    assert (seen.data["status"]["plone"]["python"], seen.data["status"]["plone"]["rollback"]["python"]) == (
        "3.11.2", "3.9.2",
    )  # fmt: skip
    said = "Plone 6.0.13 runs on Python 3.11.2. A rollback of Plone to Python 3.9.2 is ready."
    assert said in seen.message
    (noted,) = plone.world.noted("handed_over", "run-9")
    assert noted["image"] == NEW


def test_requests_begin_to_wait_once_the_standby_is_prepared_and_before_the_old_one_is_stopped(plone):
    order: list[tuple[str, float]] = []
    before = plone.world.engine.before

    def noting(effect: str) -> None:
        order.append((effect, plone.world.clock.passed))
        before(effect)

    plone.world.engine.before, plone.world._before = noting, noting
    go(plone, hand_over)
    effects = [effect for effect, _ in order]
    assert effects[:5] == ["start", "hold", "hold", "stop", "start"]
    assert order[1][1] >= plone.loaded_at


@pytest.mark.parametrize("elsewhere", [PLONE, STANDBY])
def test_a_database_that_is_not_in_files_is_not_taken_over(plone, elsewhere):
    """The standby would not wait: it would put another database's site in place of the one that is served."""
    containers = plone.world.engine.containers
    containers[elsewhere] = replace(containers[elsewhere], in_files=False)
    with pytest.raises(FailedError, match="database in files, and the other's is not") as failed:
        go(plone, hand_over)
    assert (failed.value.code, found(plone), plone.held) == ("plone_standby_failed", SERVES_OLD, [])
    assert failed.value.next == [["./invoke", "deploy"]]


def test_two_plones_on_a_database_elsewhere_do_not_take_it_over(plone):
    containers = plone.world.engine.containers
    containers.update({name: replace(containers[name], in_files=False) for name in (PLONE, STANDBY)})
    with pytest.raises(FailedError, match="is not in files"):
        go(plone, hand_over)
    assert found(plone) == SERVES_OLD


def test_a_standby_that_answers_without_having_waited_is_removed_at_once(plone):
    plone.world.engine.health = lambda: "healthy"
    object.__setattr__(plone, "loaded_at", plone.world.clock.passed + 1000)
    began = plone.world.clock.passed
    with pytest.raises(FailedError, match="did not wait for the database") as failed:
        go(plone, hand_over)
    assert (failed.value.code, found(plone)) == ("plone_standby_failed", SERVES_OLD)
    assert plone.world.clock.passed - began < 5


@pytest.mark.parametrize("elsewhere", [PLONE, PREVIOUS])
def test_a_rollback_to_another_kind_of_database_is_refused(plone, elsewhere):
    go(plone, hand_over)
    containers = plone.world.engine.containers
    containers[elsewhere] = replace(containers[elsewhere], in_files=False)
    with pytest.raises(RefusedError, match="database in files, and the other's is not") as refused:
        go(plone, rollback)
    assert (refused.value.code, found(plone)) == ("plone_rollback_blocked", SERVES_NEW)


def test_without_a_standby_nothing_changes(plone):
    del plone.world.engine.containers[STANDBY]
    done = go(plone, hand_over)
    assert (done.code, done.changed, plone.held) == ("plone_unchanged", False, [])


def test_a_standby_that_does_not_start_is_removed_and_plone_goes_on(plone):
    plone.world.engine.logs[STANDBY] = ["plone: LANGUAGE cannot be used"]
    plone.world.clock.due.append((plone.loaded_at - 6, lambda: plone.world.engine.stop(STANDBY, 1)))
    with pytest.raises(FailedError, match="LANGUAGE cannot be used") as failed:
        go(plone, hand_over)
    assert (failed.value.code, found(plone)) == ("plone_standby_failed", SERVES_OLD)
    assert plone.held == []


def test_a_standby_that_serves_errors_gives_the_database_back(plone):
    plone.broken.add(NEW)
    with pytest.raises(FailedError, match="answered 500 within 30 s") as failed:
        go(plone, hand_over)
    assert (failed.value.code, found(plone)) == ("plone_hand_over_reverted", SERVES_OLD)
    assert plone.held[-2:] == [True, False]


def test_a_person_is_needed_where_neither_serves(plone):
    plone.broken.update({OLD, NEW})
    with pytest.raises(PersonError) as stuck:
        go(plone, hand_over)
    assert stuck.value.code == "plone_stuck"


def test_it_is_refused_while_another_run_holds_the_host(plone):
    now = plone.world.clock.now()
    plone.world.store.take(Lock("bob@desk", "run-3", "upgrade", "begin", now, now, 900))
    with pytest.raises(RefusedError) as refused:
        go(plone, hand_over)
    assert (refused.value.code, found(plone)[PLONE]) == ("lock_held", (OLD, "running"))


def test_killed_before_any_effect_one_of_the_two_serves_or_starts_and_the_next_call_ends_it(plone):
    """The engine starts what has its policy: at no point both containers may be without it."""
    old, new = Container(PLONE, "running", OLD, health="healthy"), Container(STANDBY, "created", NEW)
    for at in killed(plone, hand_over, old, new):
        assert {PLONE, STANDBY, PREVIOUS} & set(plone.world.engine.containers) - ended(plone)
        go(plone, hand_over)
        assert found(plone) == SERVES_NEW, at


def test_a_run_whose_lock_is_taken_meanwhile_returns_to_the_container_from_before(plone):
    def taken() -> None:
        now = plone.world.clock.now()
        plone.world.store.free()
        plone.world.store.take(Lock("bob@desk", "run-3", "upgrade", "begin", now, now, 900))

    plone.world.clock.due.append((plone.loaded_at - 6, taken))
    with pytest.raises(PilotError):
        go(plone, hand_over)
    assert found(plone) == {PLONE: (OLD, "running")}


PROVEN = Look(0, json.dumps({"code": "backup_proven", "exit": 0, "message": "It is.", "backup": {"id": "b1"}}))
DAMAGED = Look(1, json.dumps({"code": "backup_damaged", "exit": 1, "message": "It lacks a blob.", "backup": {}}))


def test_an_upgrade_reads_the_whole_backup_with_the_new_image_before_anything_is_stopped(plone):
    world = plone.world
    world.engine.works = lambda _: PROVEN
    order: list[str] = []
    work = world.engine.work

    def noting(like: str, *words: Any) -> Look:
        order.append(like)
        assert found(plone) == {PLONE: (OLD, "running"), STANDBY: (NEW, "created")}
        return work(like, *words)

    world.engine.work = noting
    assert go(plone, hand_over, prove=DIRECTORY).code == "plone_handed_over"
    assert (order, world.engine.worked[0][0][-1], world.engine.worked[0][2]) == ([STANDBY], "prove", False)
    assert [each["backup"] for each in world.noted("proven", "run-9")] == ["b1"]


UNREADABLE = Look(1, json.dumps({"code": "backup_unreadable", "exit": 1, "message": "It cannot load 2 objects."}))


def test_what_the_proof_in_the_new_image_notes_is_told(plone):
    backup = {"id": "b1", "note": "2 objects are odd."}
    proof = {"code": "backup_proven", "exit": 0, "message": "It is.", "backup": backup}
    plone.world.engine.works = lambda _: Look(0, json.dumps(proof))
    assert go(plone, hand_over, prove=DIRECTORY).message.endswith(" 2 objects are odd.")


PAGES = {"/Plone as HTML": "200 text/html", "/Plone as JSON for admin": "200 application/json 3fa9c1"}


def answering(plone: FakeEndpoint, **pages: str) -> None:
    """Let the image that runs answer PAGES, and the standby's with `pages` instead."""
    now = {**PAGES, **{f"/Plone as {name}": answer for name, answer in pages.items()}}
    before = {"code": "pages_rendered", "exit": 0, "message": "They were.", "pages": PAGES}
    proven = {"code": "backup_proven", "exit": 0, "message": "It is.", "backup": {"id": "b1"}, "pages": now}
    plone.world.engine.works = lambda words: Look(0, json.dumps(before if "pages" in words else proven))


def test_both_images_answer_for_pages_of_one_backup(plone):
    answering(plone)
    done = go(plone, hand_over, prove=DIRECTORY, contract="enforce")
    assert "2 requests on the backup are answered as by the one before." in done.message
    words = [each[0][3:] for each in plone.world.engine.worked]
    assert words == [("prove", "--pages"), ("pages", "--at", "b1")]


def test_an_image_that_answers_otherwise_takes_nothing_over(plone):
    answering(plone, HTML="500 KeyError")
    with pytest.raises(FailedError, match=r"1 of 2 .* /Plone as HTML: 500 KeyError instead of 200 text/html") as failed:
        go(plone, hand_over, prove=DIRECTORY, contract="enforce")
    assert (failed.value.code, found(plone), plone.held) == ("plone_standby_failed", SERVES_OLD, [])


def test_a_difference_that_is_only_observed_is_told(plone):
    answering(plone, HTML="500 KeyError")
    done = go(plone, hand_over, prove=DIRECTORY, contract="observe")
    assert (found(plone), "answers 1 of 2 requests on the backup otherwise" in done.message) == (SERVES_NEW, True)


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (DAMAGED, "It lacks a blob"),
        (UNREADABLE, "^(?!.*without an answer).*It cannot load 2"),
        (Look(1, "SyntaxError"), "SyntaxError"),
    ],
)
def test_an_image_that_cannot_read_the_backup_takes_nothing_over(plone, look, why):
    plone.world.engine.works = lambda _: look
    with pytest.raises(FailedError, match=why) as failed:
        go(plone, hand_over, prove=DIRECTORY)
    assert (failed.value.code, found(plone), plone.held) == ("plone_standby_failed", SERVES_OLD, [])


def test_a_healthy_plone_is_watched_and_left(plone):
    began = plone.world.clock.passed
    assert go(plone, hand_over, watch_seconds=40.0).code == "plone_handed_over"
    assert (found(plone), plone.world.clock.passed - began >= 40) == (SERVES_NEW, True)


def test_a_plone_that_ends_while_it_is_watched_gives_the_database_back(plone):
    plone.world.clock.due.append((plone.loaded_at + 5, lambda: plone.world.engine.ends(PLONE)))
    with pytest.raises(FailedError, match="the new one ended") as failed:
        go(plone, hand_over, watch_seconds=40.0)
    assert (failed.value.code, found(plone)) == ("plone_hand_over_reverted", SERVES_OLD)
    assert (PLONE in ended(plone), plone.held[-1]) == (False, False)


def test_a_plone_that_stops_answering_while_it_is_watched_gives_the_database_back(plone):
    plone.world.clock.due.append((plone.loaded_at + 5, lambda: plone.broken.add(NEW)))
    with pytest.raises(FailedError, match="answered 500, 3 times in a row") as failed:
        go(plone, hand_over, watch_seconds=40.0)
    assert (failed.value.code, found(plone)) == ("plone_hand_over_reverted", SERVES_OLD)


@pytest.mark.parametrize("room", range(4))
def test_on_a_disk_that_becomes_full_while_it_is_watched_it_gives_the_database_back(plone, room):
    def fails() -> None:
        plone.world.store.room = room
        plone.broken.add(NEW)

    plone.world.clock.due.append((plone.loaded_at + 5, fails))
    with pytest.raises(FailedError) as failed:
        go(plone, hand_over, watch_seconds=40.0)
    assert (failed.value.code, found(plone)) == ("plone_hand_over_reverted", SERVES_OLD)
    assert plone.world.store.lock() is None


@pytest.mark.parametrize(("before", "healthy"), [(0, False), (45, True)])
def test_errors_at_the_endpoint_count_beside_those_of_the_plone_from_before(plone, before, healthy):
    first, taken = Counts(), Counts(answers=100, errors=before)
    plone.counted[:] = [first, taken, taken, replace(taken, answers=200, errors=before + 40)]
    if healthy:
        assert go(plone, hand_over, watch_seconds=10.0).code == "plone_handed_over"
    else:
        with pytest.raises(FailedError, match="answered 40 of 100 requests with errors"):
            go(plone, hand_over, watch_seconds=10.0)
    assert found(plone) == (SERVES_NEW if healthy else SERVES_OLD)


def test_a_person_is_needed_where_the_plone_from_before_cannot_take_over_again(plone):
    plone.world.clock.due.append((plone.loaded_at + 5, lambda: plone.broken.update({OLD, NEW})))
    with pytest.raises(PersonError, match="could not take over again") as stuck:
        go(plone, hand_over, watch_seconds=40.0)
    assert stuck.value.code == "plone_stuck"
    assert {image for image, _ in found(plone).values()} == {OLD, NEW}


def test_a_run_whose_lock_is_taken_while_it_watches_leaves_plone_to_the_other(plone):
    def taken() -> None:
        now = plone.world.clock.now()
        plone.world.store.free()
        plone.world.store.take(Lock("bob@desk", "run-3", "upgrade", "begin", now, now, 900))

    plone.world.clock.due.append((plone.loaded_at + 5, taken))
    with pytest.raises(FailedError) as superseded:
        go(plone, hand_over, watch_seconds=40.0)
    assert (superseded.value.code, found(plone)) == ("run_superseded", SERVES_NEW)


def test_a_rollback_returns_to_the_container_from_before_and_the_next_one_forward_again(plone):
    go(plone, hand_over)
    back = go(plone, rollback)
    assert (back.code, found(plone)) == ("plone_rolled_back", {PLONE: (OLD, "running"), PREVIOUS: (NEW, "exited")})
    assert ("on Python 3.9.2" in back.message, {PLONE, PREVIOUS} & ended(plone)) == (True, {PREVIOUS})
    assert go(plone, rollback).code == "plone_rolled_back"
    assert found(plone) == SERVES_NEW


@pytest.mark.parametrize(
    ("previous", "why"),
    [
        (None, "no container from before is kept"),
        (Container(PREVIOUS, "exited", "sha256:x", labels("3.9.2", "6.0.12")), "has Plone 6.0.12, and 6.0.13 serves"),
        (Container(PREVIOUS, "exited", "sha256:x"), "of an unknown version"),
    ],
)
def test_a_rollback_is_refused_without_a_container_that_reads_the_same_database(plone, previous, why):
    del plone.world.engine.containers[STANDBY]
    if previous:
        plone.world.engine._made(previous)
    before = found(plone)
    with pytest.raises(RefusedError, match=why) as refused:
        go(plone, rollback)
    assert (refused.value.code, found(plone), plone.held) == ("plone_rollback_blocked", before, [])
    seen = status(plone.world.host).data["status"]["plone"]["rollback"]
    assert (seen["ready"], why in seen["why"]) == (False, True)


def test_a_rollback_is_refused_without_a_plone_and_in_the_middle_of_a_takeover(plone):
    plone.world.engine.start(STANDBY)
    with pytest.raises(RefusedError) as refused:
        go(plone, rollback)
    assert refused.value.code == "hand_over_interrupted"
    plone.world.engine.containers.clear()
    with pytest.raises(RefusedError) as refused:
        go(plone, rollback)
    assert refused.value.code == "plone_absent"


@pytest.mark.parametrize("fails", ["does not start", "answers errors"])
def test_a_rollback_that_fails_leaves_plone_as_it_was_and_can_be_repeated(plone, fails):
    go(plone, hand_over)
    if fails == "answers errors":
        plone.broken.add(OLD)
    else:
        at = plone.world.clock.passed + 0.3
        plone.world.clock.due.append((at, lambda: plone.world.engine.stop(STANDBY, 1)))
        object.__setattr__(plone, "loaded_at", plone.world.clock.passed + 9)
    with pytest.raises(FailedError):
        go(plone, rollback)
    assert (found(plone), PLONE in ended(plone)) == (SERVES_NEW, False)
    plone.broken.clear()
    assert go(plone, rollback).code == "plone_rolled_back"


def before_a_rollback() -> tuple[Container, Container]:
    new = Container(PLONE, "running", NEW, PYTHONS[NEW], health="healthy")
    return new, Container(PREVIOUS, "exited", OLD, PYTHONS[OLD])


def test_a_rollback_killed_before_any_effect_is_ended_by_the_next_one(plone):
    for at in killed(plone, rollback, *before_a_rollback(), effects=9):
        assert go(plone, rollback).code == "plone_rolled_back", at
        assert found(plone) == {PLONE: (OLD, "running"), PREVIOUS: (NEW, "exited")}, at
        assert (plone.held[-1], {PLONE, PREVIOUS} & ended(plone)) == (False, {PREVIOUS}), at
        assert go(plone, rollback).code == "plone_rolled_back", at
        assert found(plone) == SERVES_NEW, at


@pytest.mark.parametrize("between", [lambda _: None, lambda plone: plone.world.engine.start(STANDBY)])
def test_a_deployment_keeps_the_container_to_which_a_rollback_was_begun(plone, between):
    for at in killed(plone, rollback, *before_a_rollback()):
        if STANDBY in found(plone):
            between(plone)
        answer(plone, hand_over)
        both = found(plone)
        assert {image for image, _ in both.values()} == {OLD, NEW}, at
        assert (set(both), both[PLONE][1], both[PREVIOUS][1]) == ({PLONE, PREVIOUS}, "running", "exited"), at
        assert plone.world.store.plone_rollback() is None, at
        go(plone, rollback)
        assert found(plone)[PREVIOUS] == (both[PLONE][0], "exited"), at


def test_a_standby_of_a_deployment_takes_over_though_a_rollback_was_interrupted_before_it(plone):
    plone.world.store.save_plone_rollback("f" * 64)
    assert go(plone, hand_over).code == "plone_handed_over"
    assert (found(plone), plone.world.store.plone_rollback()) == (SERVES_NEW, None)


def test_while_a_rollback_is_interrupted_others_ask_for_it(plone):
    standby = plone.world.engine.containers[STANDBY]
    plone.world.store.save_plone_rollback(standby.id)
    plone.world.engine.start(STANDBY)
    with pytest.raises(RefusedError) as refused:
        work.refuse_standby(plone.world.host)
    assert (refused.value.code, refused.value.next) == ("hand_over_interrupted", [["./invoke", "plone.rollback"]])


@pytest.mark.parametrize(("then", "heals"), [(rollback, True), (hand_over, True), (hand_over, False)])
def test_a_return_from_a_plone_that_was_watched_is_ended_though_it_was_killed(plone, then, heals):
    """The container from before is not lost: it serves, or a rollback returns to it. It does where the other fails."""
    seen: list[str] = []
    answered: set[str] = set()
    while True:
        world, left = plone.world, iter(range(len(seen)))
        for name in (PLONE, STANDBY, PREVIOUS):
            world.engine.containers.pop(name, None)
        world.engine.lasting.clear()
        world.engine._made(Container(PLONE, "running", OLD, PYTHONS[OLD], health="healthy"))
        world.engine._made(Container(STANDBY, "created", NEW, PYTHONS[NEW]))
        object.__setattr__(plone, "loaded_at", world.clock.passed + 9)
        world.clock.due.append((world.clock.passed + 15, lambda: plone.broken.add(NEW)))

        def die(effect: str, left: Iterator[int] = left) -> None:
            if NEW in plone.broken and next(left, None) is None:
                seen.append(effect)
                raise Killed(effect)

        world.engine.before = world._before = die
        try:
            go(plone, hand_over, watch_seconds=60.0)
        except Killed:
            world.engine.before = world._before = lambda _: None
        except FailedError:
            break
        if heals:
            plone.broken.clear()
        begun = plone.world.store.plone_rollback()
        said = answer(plone, then)
        assert OLD in {image for image, _ in found(plone).values()}, seen
        assert heals or not begun or found(plone)[PLONE] == (OLD, "running"), seen
        assert heals or said not in {"plone_unchanged", "plone_rolled_back"} or plone.answers("/Plone", 1) == 200, seen
        # What was asked for was not done: neither an upgrade nor a deployment may say that it was.
        assert heals or not begun or said in {"plone_hand_over_reverted", "plone_unchanged"}, seen
        answered.add(said)
        plone.broken.clear()
        if found(plone)[PLONE][0] == NEW:
            go(plone, rollback)
            assert found(plone)[PLONE] == (OLD, "running"), seen
        plone.world.engine.before = plone.world._before = lambda _: None
    assert len(seen) >= 8
    assert heals or "plone_hand_over_reverted" in answered


def answer(plone: FakeEndpoint, command: Any) -> str:
    """Return the code that a command answers with, or fails with."""
    try:
        return str(go(plone, command).code)
    except FailedError as error:
        return error.code


@pytest.mark.parametrize(("verb", "code"), [("plone.upgrade", "plone_stuck"), ("deploy", "plone_unchanged")])
def test_a_return_that_ended_with_a_plone_that_does_not_answer_is_no_success_of_an_upgrade(plone, verb, code):
    """A deployment goes on: it makes Plone's container as it should be, and waits until it answers."""
    del plone.world.engine.containers[STANDBY]
    plone.world.store.save_plone_rollback(plone.world.engine.containers[PLONE].id)
    plone.broken.add(OLD)
    try:
        said = go(plone, hand_over, verb=verb).code
    except PersonError as error:
        said = error.code
    assert (said, plone.world.store.plone_rollback()) == (code, None)


def test_a_rollback_that_fails_can_be_repeated_though_it_was_interrupted(plone):
    """Whatever it left, one that cannot be done leaves Plone as it was, with the container to return to."""
    for at in killed(plone, rollback, *before_a_rollback()):
        began = found(plone).get(PLONE) == (NEW, "running")
        plone.broken.add(OLD)
        if began:
            with pytest.raises(FailedError):
                go(plone, rollback)
            assert found(plone) == SERVES_NEW, at
        plone.broken.clear()
        assert go(plone, rollback).code == "plone_rolled_back", at


def test_a_rollback_killed_before_any_effect_can_be_ended(plone):
    """Whatever it leaves, the next deployment, which ends a takeover, makes one of the two serve."""
    new = Container(PLONE, "running", NEW, PYTHONS[NEW], health="healthy")
    for at in killed(plone, rollback, new, Container(PREVIOUS, "exited", OLD, PYTHONS[OLD])):
        assert {PLONE, STANDBY, PREVIOUS} & set(plone.world.engine.containers) - ended(plone)
        answer(plone, hand_over)
        assert found(plone)[PLONE][1] == "running", at
