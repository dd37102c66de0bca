"""A deployment that stops names the hosts that it did not come to, and does not call them deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from front.arguments.request import Request
from front.fleet.deploying import with_waiting
from front.run.exit_codes import result_of
from front.run.outcome import Host, Outcome
from front.run.play import Played, Run
from front.verbs.ending import closed

FIRST = ("preflight", "stage", "compare", "prepare", "edge")
WELL = {"preflight": 0, "stage": 0, "begin": 0}
BACK = Host(phase="revert", phases=(*FIRST, "begin", "prove", "revert"), failed="prove", changed_in=["begin"],
            exits={**WELL, "prove": 1, "revert": 1}, status={"python": "3.11.2"})  # fmt: skip
DONE = Host(phase="confirm", phases=(*FIRST, "begin", "shift", "confirm"), changed=2, exits={**WELL, "confirm": 0})
SAME = Host(phase="edge", phases=FIRST)
EDGE = Host(phase="edge", phases=FIRST, changed=4, changed_in=["stage", "prepare", "edge"])
LOOKED = Host(phase="compare", phases=FIRST[:3], changed=1, changed_in=["stage"])
RUN = Run(Request("deploy", "campus"), Path(), Path())


def stopped(fronts: tuple[str, ...] = (), **hosts: Host) -> Played:
    bridges = [name for name in hosts if name not in fronts and name != "plone"]
    return with_waiting(Played(2, Outcome(hosts, ended=True), "", interrupted=False), bridges, fronts)


def results(done: Played) -> dict[str, str]:
    assert done.outcome
    return {name: result_of(host) for name, host in done.outcome.hosts.items()}


def test_hosts_whose_turn_did_not_come_wait(capsys):
    done = stopped(a=BACK, b=SAME, plone=SAME)
    assert results(done) == {"a": "reverted", "b": "waiting", "plone": "unchanged"}
    assert closed(RUN, ["a", "b", "plone"], done, None) == 1
    assert "Reverted: each host that was touched serves its previous release again." in capsys.readouterr().out


def test_a_host_whose_edge_alone_was_deployed_needs_a_person(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    done = stopped(a=BACK, b=SAME, c=EDGE)
    assert results(done) == {"a": "reverted", "b": "waiting", "c": "waiting"}
    assert closed(RUN, ["a", "b", "c"], done, None) == 3
    assert capsys.readouterr().out.endswith(
        "The deployment did not come to the release of b, c (directories, Plone or edge were changed on c).\n"
        "Next: ./invoke deploy --inventory campus\n"
        "      ./invoke status --inventory campus\n"
    )


def test_front_hosts_wait_for_the_bridge_hosts_before_them():
    assert results(stopped(("f", "g"), a=BACK, f=LOOKED, g=LOOKED)) == {
        "a": "reverted", "f": "waiting", "g": "waiting",
    }  # fmt: skip
    failed = Host(phases=FIRST, failed="edge", changed_in=["edge"])
    assert results(stopped(("f", "g"), a=DONE, f=failed, g=LOOKED)) == {
        "a": "changed", "f": "failed", "g": "waiting",
    }  # fmt: skip


@pytest.mark.parametrize("hosts", [
    {"a": DONE, "b": DONE},  # it did not stop
    {"a": Host(phases=("preflight",), failed="preflight", exits={"preflight": 2}), "b": LOOKED},  # nor begin
])  # fmt: skip
def test_no_other_deployment_has_hosts_that_wait(hosts):
    assert "waiting" not in results(stopped(**hosts)).values()
