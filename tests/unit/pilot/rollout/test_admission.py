"""What may begin, where it goes, and the words of every refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.facts import Image
from eduhub_pilot.model.release import Spec, make_record
from eduhub_pilot.model.state import HostState, Lock, Rollout, Serving
from eduhub_pilot.rollout import admission
from eduhub_pilot.rollout.admission import RunRequest, admit
from tests.unit.pilot.answers import ends

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SPEC = Spec({"image": "eduhub/bridge:py{python}", "python": "3.11", "health_path": "/"})
FOREIGN = Spec({"image": "stranger:1", "python": None, "health_path": "/"})
OLD = make_record(SPEC.resolved("3.9"), Image("sha256:39", "3.9.2"), "r1", NOW - timedelta(hours=2))
NEW = make_record(SPEC.resolved("3.11"), Image("sha256:11", "3.11.2"), "r2", NOW - timedelta(hours=1))
RECORDS = {record.id: record for record in (OLD, NEW)}
LIVE = HostState(live=Serving("blue", OLD.id, ""), good=(OLD.id,))
ROLLOUT = Rollout("r2", "green", NEW.id, OLD.id, "prove", "upgrade")
LOCK = Lock("ana@desk", "r2", "upgrade", "prove", NOW - timedelta(seconds=90), NOW - timedelta(seconds=3), 900)
STALE = Lock("ana@desk", "r2", "upgrade", "prove", NOW - timedelta(hours=1), NOW - timedelta(hours=1), 900)


def request(**words) -> RunRequest:
    return RunRequest(**{"run": "r3", "owner": "bob@lab", "verb": "upgrade", "python": "3.11", **words})


ADMITTED = {
    "a free host": (request(), None, None, "enter", ""),
    "its own lock again": (request(run="r2"), LOCK, None, "enter", ""),
    "its own rollout again": (request(run="r2"), LOCK, ROLLOUT, "resume", ""),
    "a stale lock": (request(), STALE, None, "enter", "The lock of ana@desk expired: run r2 at step prove"),
    "a stale run": (
        request(),
        STALE,
        ROLLOUT,
        "undo",
        "run r2 at step prove, last heartbeat 2026-01-01T11:00:00Z. It was undone",
    ),
    "a stale run resumed": (request(resume=True), STALE, ROLLOUT, "resume", "It is resumed"),
    "a rollout that nobody holds": (request(), None, ROLLOUT, "undo", "Run r2 was interrupted at step prove. It was"),
    "the same resumed": (request(resume=True), None, ROLLOUT, "resume", "It is resumed"),
    "taken over": (request(take_over=True), LOCK, ROLLOUT, "undo", "Run r2 of ana@desk was at step prove. It was"),
    "taken over before it did anything": (
        request(take_over=True),
        LOCK,
        None,
        "enter",
        "The lock was taken over",
    ),
    "taken over and resumed": (request(take_over=True, resume=True), LOCK, ROLLOUT, "resume", "It is resumed"),
    "resumed by its owner": (request(resume=True, owner="ana@desk"), LOCK, ROLLOUT, "resume", "It is resumed"),
    "nothing to resume": (request(resume=True), None, None, "enter", ""),
}


@pytest.mark.parametrize(("wished", "lock", "rollout", "way", "why"), ADMITTED.values(), ids=ADMITTED)
def test_a_run_may_begin(wished, lock, rollout, way, why):
    admission = admit(wished, lock, rollout, NOW)
    assert admission.way == way
    assert why in admission.why
    assert bool(why) == bool(admission.why)


KEPT_OUT = {
    "another's lock": request(),
    "another's lock, resumed": request(resume=True),
    "the same owner in another terminal": request(owner="ana@desk"),
}


@pytest.mark.parametrize("wished", KEPT_OUT.values(), ids=KEPT_OUT)
def test_a_run_is_kept_out_and_told_by_whom_since_when_at_which_step_and_what_to_type(wished):
    with pytest.raises(RefusedError) as refused:
        admit(wished, LOCK, ROLLOUT, NOW)
    assert refused.value.code == "lock_held"
    assert refused.value.message.startswith(
        "ana@desk holds the lock of this host since 2026-01-01T11:58:30Z: run r2, verb upgrade, step prove, last "
        "heartbeat 3 s ago. Nothing was changed."
    )
    assert ["./invoke", "upgrade", "--python", "3.11", "--take-over"] in refused.value.next
    resume = ["./invoke", "upgrade", "--python", "3.11", "--resume"]
    assert (resume in refused.value.next) is (wished.owner == LOCK.owner)


BACKUP = replace(LOCK, run="backup-1", verb="plone.backup", step="begin")
TAKE_OVER = [["./invoke", "upgrade", "--python", "3.11", "--take-over"]]
PATCH_ON = [["./invoke", "host.patch", "--take-over"]]
EXPIRES = "repeat the command when it has ended. Where it died, its lock expires at 2026-01-01T12:14:57Z."
WITHOUT_ROLLOUT = {
    "a backup": (request(), BACKUP, EXPIRES, TAKE_OVER),
    "a backup, before a rollback": (request(verb="rollback", python=None), BACKUP, EXPIRES, []),
    "a run that was confirmed": (request(), LOCK, EXPIRES, TAKE_OVER),
    "an update of packages": (request(), replace(BACKUP, verb="host.patch"), "--take-over of host.patch", PATCH_ON),
    "an update, before a rollback": (
        request(verb="rollback", python=None), replace(BACKUP, verb="host.patch"), "--take-over of host.patch", PATCH_ON
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wished", "lock", "words", "more"), WITHOUT_ROLLOUT.values(), ids=WITHOUT_ROLLOUT)
def test_a_lock_without_a_rollout_is_not_said_to_be_undone(wished, lock, words, more):
    with pytest.raises(RefusedError) as refused:
        admit(wished, lock, None, NOW)
    assert "undoes" not in refused.value.message
    assert words in refused.value.message
    assert refused.value.next == [["./invoke", "status"], *more]


def test_who_resumes_without_a_python_takes_over_without_one():
    with pytest.raises(RefusedError) as refused:
        admit(request(resume=True, python=None), LOCK, ROLLOUT, NOW)
    assert refused.value.message.endswith("Taking the lock over resumes that run.")
    assert refused.value.next == [["./invoke", "upgrade", "--resume", "--take-over"]]


PYTHONS = {
    "the one asked for": (request(), OLD, SPEC, "3.11"),
    "else the live one": (request(python=None), OLD, SPEC, "3.9"),
    "else the inventory's": (request(python=None), None, SPEC, "3.11"),
    "none where foreign": (request(python=None), OLD, FOREIGN, None),
}


@pytest.mark.parametrize(("wished", "live", "spec", "python"), PYTHONS.values(), ids=PYTHONS)
def test_which_python_runs(wished, live, spec, python):
    assert admission.python_of(wished, live, spec) == python


def test_a_python_for_a_foreign_image_is_refused():
    with ends("python_not_selectable"):
        admission.python_of(request(), None, FOREIGN)


def test_an_image_that_holds_another_python_is_refused():
    spec = SPEC.resolved("3.11")
    assert [admission.wrong_python(spec, says) for says in ("3.11.2", "3.11", None)] == [None, None, None]
    assert "contains Python 3.1.4, not 3.11" in str(admission.wrong_python(spec, "3.1.4"))


def test_an_image_that_is_not_there_is_refused_with_those_that_are_and_what_to_type():
    refused = admission.no_image(SPEC.resolved("3.8"), ["eduhub/bridge:py3.11", "eduhub/bridge:py3.9"])
    assert (refused.code, refused.next[0]) == ("image_missing", ["./invoke", "images.build"])
    assert "eduhub/bridge:py3.11, eduhub/bridge:py3.9" in refused.message


@pytest.mark.parametrize(
    ("state", "record", "runs", "slot"),
    [
        (HostState(), NEW, False, "blue"),
        (LIVE, NEW, True, "green"),
        (LIVE, OLD, True, None),
        (LIVE, OLD, False, "green"),
        (HostState(live=Serving("green", OLD.id, "")), NEW, True, "blue"),
    ],
    ids=["a fresh host", "an upgrade", "nothing to change", "the live container is gone", "green is live"],
)
def test_which_slot_is_used(state, record, runs, slot):
    assert admission.slot_for(state, record, runs) == slot


def test_equal_content_is_the_same_release_and_a_changed_environment_is_another():
    again = make_record(OLD.spec, Image("sha256:39", "3.9.2"), "r9", NOW)
    assert admission.same(again, RECORDS.values()) == OLD
    spec = Spec({**OLD.spec.fields, "environment": {"A": "1"}})
    other = make_record(spec, Image("sha256:39", "3.9.2"), "r9", NOW)
    assert admission.same(other, RECORDS.values()) == other
    assert other.id.startswith("20260101T120000Z-py3.9-")


def test_a_rollback_goes_to_the_last_known_good_or_to_the_one_named():
    state = HostState(live=Serving("green", NEW.id, ""), good=(OLD.id, NEW.id))
    assert admission.rollback_target(request(verb="rollback"), state, RECORDS) == OLD
    assert admission.rollback_target(request(verb="rollback", to=NEW.id), LIVE, RECORDS) == NEW


NO_TARGET = {
    "nothing deployed": (request(), HostState(), "nothing_deployed", ""),
    "none known to be good": (request(), LIVE, "no_rollback_target", NEW.id),
    "unknown": (request(to="20200101T000000Z-py3.9-00000000"), LIVE, "release_unknown", "20200101T000000Z-py3.9-0"),
    "mistyped": (request(to=NEW.id[:-1] + "x"), LIVE, "release_unknown", f"Did you mean {NEW.id}?"),
    "a path": (request(to="../../etc/passwd"), LIVE, "release_unknown", "../../etc/passwd"),
}


@pytest.mark.parametrize(("wished", "state", "code", "words"), NO_TARGET.values(), ids=NO_TARGET)
def test_a_rollback_without_a_target_is_refused_with_the_releases_that_there_are(wished, state, code, words):
    with pytest.raises(RefusedError) as refused:
        admission.rollback_target(wished, state, RECORDS)
    assert (refused.value.code, words in refused.value.message) == (code, True)


@pytest.mark.parametrize("verb", ["deploy", "upgrade", "rollback"])
def test_resuming_to_another_target_is_refused(verb):
    begun = replace(ROLLOUT, verb=verb)
    admission.same_target(request(resume=True), begun, NEW)
    with pytest.raises(RefusedError) as refused:
        admission.same_target(request(resume=True, python="3.9"), begun, NEW)
    assert (refused.value.code, refused.value.next) == (
        "resume_target_differs", [["./invoke", "upgrade", "--resume"], ["./invoke", "upgrade", "--python", "3.9"]],
    )  # fmt: skip


def test_the_newest_five_are_kept_and_whatever_serves_or_is_the_way_back():
    ids = [f"202601{day:02}T000000Z-py3.9-{day:08}" for day in range(1, 11)]
    state = HostState(
        live=Serving("blue", ids[1], ""), good=(ids[0], ids[1]), slots={"blue": ids[1], "green": ids[3]},
        rollout=Rollout("r", "green", ids[3], ids[1], "prove", "deploy"),
    )  # fmt: skip
    assert admission.superfluous(state, ids) == {ids[2], ids[4]}
