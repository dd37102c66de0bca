"""An update of the hosts' packages: its options, the hosts whose turn did not come, and its exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.fleet.draining import taking_none, taking_traffic
from front.fleet.patching import check_local, with_waiting
from front.inventory.loader import Target
from front.run.exit_codes import DONE, NEEDS_PERSON, REFUSED, REVERTED, host_exit, result_of, run_exit
from front.run.outcome import Host, Outcome
from front.run.play import Played, Run
from front.verbs.ending import closed

LOOKED = ["preflight", "updates"]
WORK, NONE = {"work": True, "ended": False}, {"work": False, "ended": False}
PATCHED = Host(phases=[*LOOKED, "lock", "patch", "health"], changed=2, changed_in=["patch"], exits={"health": 0},
               patch={"ended": True})  # fmt: skip
LOST = Host(phases=[*LOOKED, "lock", "patch", "reboot"], failed="reboot", changed_in=["patch"], patch=WORK)
NEXT = Host(phases=LOOKED, phase="updates", patch=WORK)


@pytest.mark.parametrize("reboot", [None, "auto", "always"])
def test_the_machine_of_the_operator_is_not_rebooted_under_the_run(reboot):
    far, here = Target("far", {}), Target("here", {"ansible_connection": "local"})
    request = Request("host.patch", "campus", "here", {"eduhub_reboot": reboot} if reboot else {})
    check_local([far], request)
    check_local([here], replace(request, values={"eduhub_reboot": "never"}))
    with pytest.raises(RefusalError, match="here is the machine that you type on") as refused:
        check_local([far, here], request)
    assert refused.value.next_commands == ["./invoke host.patch --reboot never --inventory campus --limit here"]


def test_the_hosts_after_one_that_failed_wait_and_those_without_updates_do_not():
    hosts = {"a": PATCHED, "b": LOST, "c": NEXT, "d": Host(phases=LOOKED, patch=NONE)}
    hosts |= {"e": Host(phases=[*LOOKED, "drain", "patch", "undrain"], patch=WORK)}  # a front host has no lock
    done = with_waiting(Played(2, Outcome(hosts, ended=True), "", interrupted=False))
    assert {name: result_of(host) for name, host in done.outcome.hosts.items()} == {
        "a": "changed", "b": "failed", "c": "waiting", "d": "unchanged", "e": "unchanged",
    }  # fmt: skip
    assert run_exit(done.returned, done.outcome) == NEEDS_PERSON


def test_a_second_host_that_is_refused_does_not_hide_that_the_first_was_updated():
    drained = Host(phases=[*LOOKED, "drain"], failed="drain", exits={"drain": 1}, patch=WORK)
    assert run_exit(2, Outcome({"a": drained, "b": NEXT}, ended=True)) == REVERTED
    held = Host(phases=[*LOOKED, "lock"], failed="lock", exits={"lock": 2}, patch=WORK)
    assert run_exit(2, Outcome({"a": held, "b": NEXT}, ended=True)) == REFUSED
    assert run_exit(2, Outcome({"a": PATCHED, "b": held}, ended=True)) == NEEDS_PERSON
    assert run_exit(0, Outcome({"a": PATCHED}, ended=True)) == DONE


def test_nothing_after_an_update_is_a_refusal_that_touched_nothing():
    assert host_exit(Host(phases=[*LOOKED, "lock", "patch", "undrain"], failed="undrain", exits={"undrain": 2},
                          changed_in=["patch"])) == NEEDS_PERSON  # fmt: skip


def test_an_update_that_was_interrupted_says_how_to_go_on(capsys):
    run = Run(Request("host.patch"), Path(), Path())
    assert closed(run, ["a"], Played(2, None, "", interrupted=True), None) == NEEDS_PERSON
    assert capsys.readouterr().out.endswith("Next: ./invoke host.patch --take-over\n")


def test_only_hosts_that_serve_take_traffic():
    up = {"live": "blue", "edge": "up", "draining": False, "slots": {"blue": {"state": "running"}}}
    hosts = {"a": Host(status=up), "b": Host(status={**up, "draining": True}), "c": Host(unreachable=True), "d": None}
    hosts |= {"e": Host(), "f": Host(status={**up, "live": None}), "g": Host(status={**up, "edge": "down"})}
    assert taking_traffic(hosts) == ["a"]
    assert taking_none(hosts) == ["b", "f", "g"]
