"""All traffic on what nobody confirmed has a deadline, and whatever happens meanwhile the host ends it by itself."""

from __future__ import annotations

import io
import json

import pytest

from eduhub_pilot.cli import main
from eduhub_pilot.commands.await_shift import await_shift
from eduhub_pilot.commands.confirm import confirm, confirm_and_free, pending
from eduhub_pilot.commands.hold import hold
from eduhub_pilot.commands.prove import prove
from eduhub_pilot.commands.shift import shift
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.rollout.revert import revert
from eduhub_pilot.rollout.status import status
from tests.unit.pilot.answers import ends
from tests.unit.pilot.fakes import Killed
from tests.unit.pilot.world import at, given_back


def host_notes(world) -> list[tuple[str, object]]:
    return [(note["code"], note["next"]) for note in status(world.host).data["status"]["notes"]]


def test_a_held_run_says_what_to_type_and_by_when(held):
    following = [["./invoke", "confirm"], ["./invoke", "rollback"]]
    assert await_shift(held.host, "run-2").next == following
    assert host_notes(held) == [("unconfirmed", following)]


def test_whoever_waits_is_told_until_when_with_what_the_run_did(held, monkeypatch, capsys):
    monkeypatch.setattr("eduhub_pilot.cli.make_host", lambda *_: held.host)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    deadline = "2026-01-01T00:02:0"  # 60 s after all traffic had moved
    assert main(["hold", "--run", "run-2"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["code"], answer["deadline"][: len(deadline)]) == ("awaiting_confirmation", deadline)
    assert (answer["rolled"]["gates"]["smoke"], answer["status"]["confirmed"]) == ("pass", False)
    assert answer["status"]["rollout"]["deadline"].startswith(deadline)
    assert main(["status"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["rolled"]["changed"][0] == "Python 3.9.2 → 3.11.2"
    assert f"is reverted at {deadline}" in answer["message"]


def test_a_run_that_went_back_meanwhile_waits_for_nobody(held):
    held.clock.sleep(61)
    held.goes_on()
    with ends("hold_over"):
        hold(held.host, "run-2")


def test_a_confirmation_tells_what_the_run_did(held, monkeypatch, capsys):
    monkeypatch.setattr("eduhub_pilot.cli.make_host", lambda *_: held.host)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["confirm"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["status"]["confirmed"], answer["status"]["rollback"]["ready"]) == (True, True)
    assert answer["rolled"]["gates"] == dict.fromkeys(("smoke", "runtime", "contract"), "pass")
    assert answer["rolled"]["changed"][0] == "Python 3.9.2 → 3.11.2"


def test_nobody_confirms_and_the_host_goes_back_by_itself(held):
    held.clock.sleep(59)
    held.goes_on()
    assert held.haproxy.weight == 100
    held.clock.sleep(2)
    held.goes_on()
    assert given_back(held)
    assert not held.lives()
    last = held.store.state().last
    assert (last.run, last.result) == ("run-2", "reverted")
    assert last.why.endswith("had all traffic for 60 s and was not confirmed.")
    assert "was reverted at 2026-" in status(held.host).message
    assert status(held.host).data["status"]["last"]["result"] == "reverted"


def one_a_second(world, errors_in_ten: int) -> None:
    """Let green answer one request a second, so many of ten with an error, and no ten in a row."""
    sleep, passed = world.clock.sleep, [0.0]

    def passing(pause: float) -> None:
        sleep(pause)
        before, passed[0] = int(passed[0]), passed[0] + pause
        for number in range(before, int(passed[0])):
            kind = "5xx" if number * errors_in_ten % 10 < errors_in_ten else "2xx"
            world.haproxy.answers["green"][kind] += 1

    world.clock.sleep = passing
    world.clock.park = lambda: False


def test_a_release_that_fails_under_little_traffic_goes_back_before_the_deadline(held):
    held.haproxy.answers["blue"] = {"2xx": 5000, "5xx": 5}
    one_a_second(held, errors_in_ten=4)
    with ends("slot_errors") as failed:
        shift(held.host, "run-2")
    assert "answered 8 of 20 requests with errors (5xx) (baseline 5 of 5005)" in failed.value.message
    assert given_back(held)


def test_few_errors_under_little_traffic_are_not_more_than_before(held):
    held.haproxy.answers["blue"] = {"2xx": 4500, "5xx": 500}
    one_a_second(held, errors_in_ten=1)
    with ends("confirmation_expired"):
        shift(held.host, "run-2")


def test_a_person_confirms_in_time_without_naming_the_run(held):
    outcome = pending(held.host)
    assert (outcome.code, held.store.lock(), held.store.weight()) == ("confirmed", None, 100)
    held.clock.sleep(1000)
    held.goes_on()
    assert (held.haproxy.weight, held.lives()) == (100, False)
    with ends("not_awaiting_confirmation"):
        pending(held.host)


def test_the_journal_tells_who_confirmed(held):
    pending(held.host, "bob@lab")
    lines = [json.loads(line) for line in held.store.journal()[0]]
    confirmed = [line for line in lines if line["event"] == "confirmed"][-1]
    assert (confirmed["run"], confirmed["owner"]) == ("run-2", "bob@lab")


def test_a_confirmation_that_comes_too_late_is_told_what_happened(held):
    held.clock.sleep(61)
    held.goes_on()
    with ends("not_awaiting_confirmation"):
        pending(held.host)


def test_a_refused_confirmation_says_what_the_host_serves(live, monkeypatch, capsys):
    """Beside other hosts that were confirmed, it is one part of a mixed fleet."""
    monkeypatch.setattr("eduhub_pilot.cli.make_host", lambda *_: live.host)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["confirm"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert (answer["code"], answer["status"]["python"]) == ("not_awaiting_confirmation", "3.9.2")


def test_nothing_waits_while_traffic_still_moves(live):
    live.begin("run-2", "upgrade", python="3.11")
    with ends("not_awaiting_confirmation"):
        pending(live.host)


def test_a_rollback_ends_a_hold_and_goes_no_further_than_what_served_before(held):
    outcome = held.begin("run-3", "rollback", owner="bob@lab")
    assert (outcome.data["action"], outcome.data["slot"], outcome.changed) == ("none", "blue", True)
    assert outcome.message.startswith("Run run-2 of ana@desk awaited its confirmation. It was undone.")
    assert given_back(held)


def test_a_rollback_to_a_named_release_does_not_break_into_a_hold(held):
    with ends("lock_held"):
        held.begin("run-3", "rollback", owner="bob@lab", to=held.store.state().live.release)


def test_an_upgrade_by_somebody_else_is_kept_out_of_a_hold(held):
    with ends("lock_held"):
        held.begin("run-3", "upgrade", owner="bob@lab", python="3.11")


@pytest.mark.parametrize("owner", ["ana@desk", "bob@lab"])
@pytest.mark.parametrize("words", [{"python": "3.11"}, {}], ids=["the same Python", "no Python named"])
def test_a_held_upgrade_that_is_resumed_leaves_a_host_that_awaits_its_confirmation_as_it_is(held, owner, words):
    """As a halted fleet is told to: traffic taken away from hosts that have the release would begin it anew there."""
    state, lock, notes = held.store.state(), held.store.lock(), len(held.store.journal()[0])
    outcome = held.begin("run-3", "upgrade", owner=owner, resume=True, hold=True, **words)
    assert (outcome.code, outcome.data["action"], outcome.changed) == ("awaiting_confirmation", "none", False)
    assert (outcome.data["release"], outcome.data["slot"]) == (state.rollout.release, state.rollout.slot)
    assert outcome.next == [["./invoke", "confirm"], ["./invoke", "rollback"]]
    assert (held.haproxy.weight, held.store.state(), held.store.lock()) == (100, state, lock)
    assert len(held.store.journal()[0]) == notes
    held.clock.sleep(61)
    held.goes_on()
    assert given_back(held), "its deadline is the one it had"


def test_a_held_upgrade_whose_shift_died_is_resumed_from_the_gates(held):
    held.engine.containers.pop("eduhub-shift")
    outcome = held.begin("run-3", "upgrade", python="3.11", resume=True, hold=True)
    assert (outcome.code, outcome.data["action"], held.haproxy.weight) == ("resumed", "roll", 0)


def test_a_resumption_that_confirms_by_itself_goes_through_the_gates_again(held):
    assert held.begin("run-3", "upgrade", python="3.11", resume=True).code == "resumed"


@pytest.mark.parametrize("owner", ["ana@desk", "bob@lab"])
def test_a_held_upgrade_to_another_target_does_not_stand_for_the_one_asked_for(held, owner):
    with ends("resume_target_differs" if owner == "ana@desk" else "lock_held"):
        held.begin("run-3", "upgrade", owner=owner, python="3.9", resume=True, hold=True)


REFUSED: dict[str, dict] = {
    "a rollback to a release that is not kept": {"verb": "rollback", "to": "20250101T000000Z-py3.9-00000000"},
    "an upgrade to a Python without an image": {"verb": "upgrade", "python": "3.13"},
    "a deployment of an image that is not there": {"verb": "deploy", "spec": '{"image": "none:1", "health_path": "/"}'},
    "a resumption with another target": {"verb": "upgrade", "python": "3.9", "resume": True},
}


@pytest.mark.parametrize("words", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_touches_no_release_that_hold(held, words):
    state, lock = held.store.state(), held.store.lock()
    with pytest.raises(RefusedError):
        held.begin("run-3", take_over=True, **words)
    assert (held.haproxy.weight, held.store.state(), held.store.lock()) == (100, state, lock)
    assert pending(held.host).code == "confirmed"


def test_a_rollback_that_was_interrupted_is_begun_again_instead_of_undone(live):
    old = live.store.state().live.release
    live.roll("run-2", "upgrade", python="3.11")
    begun = live.begin("run-3", "rollback")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    live.shift("run-3")
    again = live.begin("run-4", "rollback", take_over=True)
    assert (again.data["action"], again.data["release"]) == ("roll", old)


def test_a_rollback_to_a_warm_slot_is_proven_by_its_shift(live):
    live.roll("run-2", "upgrade", python="3.11")
    begun = live.begin("run-3", "rollback")
    assert begun.data["shift_proves"]
    before = live.clock.passed
    assert live.shift("run-3").code == "shifted"
    assert live.clock.passed - before < 2
    assert [line["percent"] for line in live.noted("moved")][-1] == 100
    assert confirm(live.host, "run-3").code == "confirmed"


def test_a_rollback_to_a_slot_that_does_not_run_is_started_by_its_shift(live):
    live.roll("run-2", "upgrade", python="3.11")
    live.engine.containers.pop("eduhub-blue")
    live.begin("run-3", "rollback")
    assert live.shift("run-3").code == "shifted"
    assert live.engine.containers["eduhub-blue"].runs


def test_confirming_a_run_frees_its_lock(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    prove(live.host, "run-2")
    live.shift("run-2")
    assert confirm_and_free(live.host, "run-2").code == "confirmed"
    assert (live.store.lock(), live.store.state().live.release) == (None, begun.data["release"])
    # A playbook whose connection was lost in between asks for the revert: what was confirmed stays.
    assert revert(live.host, "run-2", "lost").code == "revert_refused_confirmed"
    assert live.store.state().live.release == begun.data["release"]


@pytest.mark.parametrize("jump", [-100_000, 100_000])
def test_a_clock_that_jumps_moves_no_deadline(held, jump):
    held.clock.jumped += jump
    held.clock.sleep(50)
    held.goes_on()
    assert held.haproxy.weight == 100
    held.clock.sleep(11)
    held.goes_on()
    assert given_back(held)


@pytest.mark.parametrize("jump", [-100_000, 100_000])
def test_a_clock_that_jumps_lets_nobody_break_into_a_hold(held, jump):
    held.clock.jumped += jump
    with ends("lock_held"):
        held.begin("run-3", "upgrade", owner="bob@lab", python="3.11")
    assert held.haproxy.weight == 100
    held.engine.containers.pop("eduhub-shift")  # nobody will refresh that lock any more
    begun = held.begin("run-4", "upgrade", owner="bob@lab", python="3.11")
    assert begun.message.startswith("The lock of ana@desk expired: run run-2")


def test_a_lock_removed_by_hand_ends_the_hold(held):
    held.store.free()
    held.goes_on()
    assert given_back(held)
    assert "was removed" in held.store.state().last.why


def dies() -> None:
    raise Killed


def test_a_pilot_that_was_killed_goes_on_where_traffic_is(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    at(live, 0.5, dies)
    with pytest.raises(Killed):
        live.shift("run-2")
    assert live.haproxy.weight == 25
    live.goes_on()
    assert [line["percent"] for line in live.noted("moved")] == [25, 25, 100]
    assert await_shift(live.host, "run-2").code == "shifted"


def test_after_a_reboot_the_shift_finds_from_disk_that_it_has_to_go_back(held):
    held.haproxy.kill(seconds=1)
    held.clock.sleep(2)
    held.goes_on()
    assert given_back(held)
    assert "HAProxy was restarted" in held.store.state().last.why


def test_an_undoing_that_the_engine_refused_is_finished_once_it_answers(held):
    held.clock.sleep(61)
    held.engine.down = True
    with ends("container_not_removed"):
        shift(held.host, "run-2")
    assert held.haproxy.weight == 0
    assert held.lives()
    held.engine.down = False
    held.goes_on()
    assert given_back(held)


def test_connections_of_the_left_slot_are_listed_and_cut_when_the_new_one_is_confirmed(live):
    live.haproxy.sessions["blue"] = 2
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    live.shift("run-2")
    assert live.haproxy.sessions["blue"] == 2
    outcome = confirm(live.host, "run-2")
    assert live.haproxy.sessions["blue"] == 0
    words = "Cut 2 connections to blue: /plone/1 (request, 61 s), /plone/0 (request, 60 s)."
    assert words in outcome.message
    assert live.noted("cut")[0]["connections"] == outcome.data["cut"]


def test_every_connection_that_is_cut_is_listed_however_many_there_are(live):
    live.haproxy.sessions["blue"] = 130
    live.roll("run-2", "upgrade", python="3.11")
    lines = [line for line in live.noted("cut") + live.noted("listed") if line["step"] == "confirm"]
    (first, *_) = lines
    listed = [each["path"] for line in lines for each in line["connections"]]
    assert (first["left"], set(listed)) == (130, {f"/plone/{number}" for number in range(130)})


def test_awaiting_a_shift_whose_container_is_gone_says_so(live):
    begun = live.begin("run-2", "upgrade", python="3.11")
    live.role_bridge(begun.data["slot"], begun.data["record"])
    prove(live.host, "run-2")
    with ends("shift_container_lost"):
        await_shift(live.host, "run-2")


def test_awaiting_a_shift_that_another_run_took_over_says_so(live):
    with ends("run_superseded"):
        await_shift(live.host, "run-9")


def test_a_deadline_that_makes_no_sense_touches_nothing(live):
    before = live.store.state()
    with ends("setting_invalid"):
        live.begin("run-2", "upgrade", python="3.11", confirm_within="soon")
    assert (live.store.state(), live.store.lock()) == (before, None)


def test_a_nonsense_plan_is_one_sentence_and_exit_code_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("eduhub_pilot.cli.ROOT", tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"settings": {"pilot_shift_steps": [50, 5]}}'))
    assert main(["begin", "--run", "r", "--owner", "o", "--verb", "upgrade"]) == 2
    assert "the one before" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
