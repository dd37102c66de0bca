"""A deployment of several hosts goes in waves as an upgrade does: what would take one host down takes no other one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from front.arguments.request import Request
from front.fleet.deploying import with_waiting
from front.fleet.rollout import fleet_of, policy_of
from front.fleet.waves import Policy
from front.inventory.documented import documented
from front.inventory.loader import Target
from front.run.exit_codes import fleet_exit, result_of
from front.run.outcome import Host, Outcome
from front.run.play import Played, Run, Signals
from front.verbs.play import in_waves
from tests.unit.front.conftest import ROOT

REQUEST = Request("deploy", "campus")
SERVES = {"live": "blue", "release": "20260101T000000Z-py3.11-abc", "confirmed": True, "since": "2026-01-01T00:00:00Z"}
LOOKED = Host(phase="compare", phases=["preflight", "stage", "compare"], exits={"preflight": 0})
REFUSED = Host(phase="preflight", phases=["preflight"], failed="preflight", exits={"preflight": 2})
GONE = Host(phase="preflight", phases=["preflight"], failed="preflight", unreachable=True)
SAME = Host(phase="verify", phases=["preflight", "prepare", "edge", "begin", "verify"], exits={"begin": 0})
EDGE = replace(SAME, changed=2, changed_in=["edge"])
BROKEN = replace(EDGE, failed="verify")
LOST = Host(phase="edge", phases=["preflight", "prepare", "edge"], failed="edge", unreachable=True, changed_in=["edge"])
BACK = Host(phase="revert", phases=["preflight", "prepare", "begin", "prove", "revert"], failed="prove",
            exits={"begin": 0, "prove": 1, "revert": 1})  # fmt: skip
PLONE = Host(phase="plone", phases=["preflight", "prepare", "plone"], changed=1, changed_in=["plone"],
             exits={"preflight": 0, "prepare": 0})  # fmt: skip
FRONT = Host(phase="verify", phases=["prepare", "edge", "verify"], changed=1, changed_in=["edge"])
VERIFIED = Host(phase="verify", phases=["status", "verify"], exits={"status": 0}, status=SERVES)


@dataclass
class Hosts:
    """Stands for Ansible: `turns` is what comes of a host in a playbook, where it is not as every host's is.

    `empty`: the hosts that serve nothing yet.
    """

    turns: dict[tuple[str, str], Host] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)
    played: list[tuple[str, ...]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def play(self, run: Run, playbook: str, _: Signals) -> Played:
        names = list(run.only or self.names)
        self.played.append((playbook, *names))
        found = {name: self._turn(name, playbook) for name in names}
        return Played(0, Outcome(found, ended=True), "", interrupted=False)

    def _turn(self, name: str, playbook: str) -> Host:
        status = None if name in self.empty or name[0] in "pf" else SERVES
        if playbook == "deploy_look":
            return self.turns.get((name, playbook), replace(LOOKED, status=status))
        usual = {"deploy_hosts": PLONE if name[0] == "p" else EDGE, "deploy_fronts": FRONT}.get(playbook, VERIFIED)
        return self.turns.get((name, playbook), replace(usual, status=SERVES if name[0] == "b" else None))


def target(name: str) -> Target:
    return Target(name, {"group_names": [{"b": "bridge", "p": "plone", "f": "front"}[name[0]]]})


def deployed(hosts: Hosts, *names: str, **policy: object) -> tuple[int, dict[str, str]]:
    """Deploy hosts named after their group; return the exit code, and the result of each."""
    hosts.names, targets = list(names), [target(name) for name in names]
    policy_given = Policy(**{"soak_seconds": 0.0, **policy})  # type: ignore[arg-type]
    waves = in_waves(Run(REQUEST, Path("campus"), Path()), fleet_of(REQUEST, targets), targets, policy_given)
    assert waves
    waves.play = hosts.play
    with Signals() as signals:
        done = waves.roll(signals)
    tiers = ([name for name in names if name[0] == kind] for kind in "bf")
    done = with_waiting(done, *tiers)
    assert done.outcome
    return fleet_exit(done.returned, done.outcome), {name: result_of(host) for name, host in done.outcome.hosts.items()}


def test_a_setting_that_breaks_the_canary_is_on_no_other_host():
    """All hosts changed their edge side by side before, and were verified one after the other."""
    hosts = Hosts({("b1", "deploy_hosts"): replace(BROKEN, status=SERVES)})
    code, results = deployed(hosts, "b1", "b2", "b3", "f1")
    assert hosts.played == [("deploy_look", "b1", "b2", "b3", "f1"), ("deploy_hosts", "b1")]
    assert (code, results) == (3, {"b1": "failed", "b2": "waiting", "b3": "waiting", "f1": "waiting"})


def test_waves_come_before_front_hosts_and_after_the_hosts_that_have_plone_alone():
    hosts = Hosts()
    code, results = deployed(hosts, "b1", "b2", "b3", "p1", "f1", "f2", max_unavailable="2")
    assert code == 0
    assert {*results.values()} == {"changed"}
    assert hosts.played[1:] == [
        ("deploy_hosts", "p1"), ("deploy_hosts", "b1"), ("deploy_hosts", "b2"), ("status", "b1"),
        ("deploy_hosts", "b3"), ("status", "b1", "b2"), ("deploy_fronts", "f1", "f2"),
    ]  # fmt: skip


def test_a_changed_canary_serves_its_soak_time_and_one_that_nothing_changed_on_does_not():
    hosts = Hosts()
    deployed(hosts, "b1", "b2", soak_seconds=0.01)
    assert hosts.played[1:3] == [("deploy_hosts", "b1"), ("verify", "b1")]
    same = Hosts({(name, "deploy_hosts"): SAME for name in ("b1", "b2")})
    assert deployed(same, "b1", "b2", soak_seconds=0.01) == (0, {"b1": "unchanged", "b2": "unchanged"})
    assert "verify" not in {playbook for playbook, *_ in same.played}


def test_hosts_that_serve_nothing_yet_get_their_first_release_side_by_side():
    hosts = Hosts(empty={"b1", "b2", "b3"})
    assert deployed(hosts, "b1", "b2", "b3", soak_seconds=60.0)[0] == 0
    assert hosts.played[1:] == [("deploy_hosts", "b1", "b2", "b3")]


def test_new_hosts_of_a_fleet_that_serves_come_after_those_that_serve():
    hosts = Hosts(empty={"b1"})
    assert deployed(hosts, "b1", "b2", "b3")[0] == 0
    assert [names for playbook, *names in hosts.played if playbook == "deploy_hosts"] == [["b2"], ["b3"], ["b1"]]


@pytest.mark.parametrize("name", ["b2", "p1", "f1"])
def test_a_finding_on_any_host_touches_none(name):
    hosts = Hosts({(name, "deploy_look"): REFUSED})
    code, results = deployed(hosts, "b1", "b2", "p1", "f1")
    assert (code, results[name], len(hosts.played)) == (2, "refused", 1)


@pytest.mark.parametrize(("name", "budget", "goes_on"), [("b2", 0, False), ("b2", 1, True), ("p1", 1, False)])
def test_a_host_that_cannot_be_reached_counts_and_one_with_plone_alone_stops_the_run(name, budget, goes_on):
    hosts = Hosts({(name, "deploy_look"): GONE})
    code, results = deployed(hosts, "b1", "b2", "b3", "p1", failure_budget=budget, max_unavailable="2")
    assert (code, results[name]) == (3 if goes_on else 2, "unreachable")
    assert (("deploy_hosts", "b3") in hosts.played) is goes_on


def test_no_bridge_is_deployed_where_the_plone_that_they_need_failed():
    hosts = Hosts({("p1", "deploy_hosts"): replace(PLONE, failed="plone")})
    code, results = deployed(hosts, "b1", "p1")
    assert (code, results) == (3, {"b1": "waiting", "p1": "failed"})
    assert hosts.played[-1] == ("deploy_hosts", "p1")


def test_hosts_with_plone_alone_are_deployed_one_after_the_other():
    hosts = Hosts()
    assert deployed(hosts, "p1", "p2") == (0, {"p1": "changed", "p2": "changed"})
    assert hosts.played[1:] == [("deploy_hosts", "p1"), ("deploy_hosts", "p2")]


def test_what_the_canary_has_that_changed_is_not_called_untouched():
    hosts = Hosts({("b2", "deploy_hosts"): REFUSED})
    assert deployed(hosts, "b1", "b2", "b3") == (3, {"b1": "changed", "b2": "refused", "b3": "waiting"})


def test_a_single_host_and_a_check_go_in_no_waves_and_what_has_no_rollback_halts():
    one, two = [target("b1"), target("f1")], [target("b1"), target("b2")]
    assert fleet_of(REQUEST, one) == []
    assert fleet_of(replace(REQUEST, check=True), two) == []
    back = [Target(each.name, {**each.variables, "rollout_on_breach": "revert-all"}) for each in two]
    known = documented(ROOT / "ansible")
    assert policy_of(back, known, hold=False, verb="deploy").on_breach == "halt"
    assert policy_of(back, known, hold=False).on_breach == "revert-all"


EVENTS = some.dictionaries(
    some.tuples(some.sampled_from(["b1", "b2", "b3", "b4", "b5", "p1", "f1"]),
                some.sampled_from(["deploy_look", "deploy_hosts", "deploy_fronts", "status", "verify"])),
    some.sampled_from([REFUSED, GONE, LOST, BROKEN, BACK]), max_size=3,
)  # fmt: skip


@settings(deadline=None)
@given(EVENTS, some.sets(some.sampled_from(["b1", "b2", "b3", "b4", "b5"])), some.integers(0, 2),
       some.sampled_from(["1", "50%", "3"]), some.sampled_from([0.0, 0.001]))  # fmt: skip
def test_whatever_happens_a_fleet_that_serves_is_never_changed_at_once(events, empty, budget, unavailable, soak):
    names = ["b1", "b2", "b3", "b4", "b5", "p1", "f1"]
    hosts = Hosts(dict(events), empty=empty)
    code, results = deployed(hosts, *names, failure_budget=budget, max_unavailable=unavailable, soak_seconds=soak)
    assert {*results} == {*names}
    turns = [(book, name) for book, *them in hosts.played if book in {"deploy_hosts", "deploy_fronts"} for name in them]
    batches = [[name for name in them if name[0] == "b"] for book, *them in hosts.played if book == "deploy_hosts"]
    sizes = [len(each) for each in batches if each]
    if empty != {"b1", "b2", "b3", "b4", "b5"} and GONE not in [events.get((name, "deploy_look")) for name in names]:
        assert sizes[:1] in ([], [1]), "the canary is alone"
        assert max(sizes, default=0) <= {"1": 1, "50%": 2, "3": 3}[unavailable]
    touched = [name for book, name in turns if events.get((name, book)) not in (REFUSED, GONE)]
    assert (code == 0) <= {"failed", "refused", "unreachable", "reverted", "waiting"}.isdisjoint(results.values())
    assert (code == 2) <= (not touched), "or it would not say that nothing was touched"
    assert any(name == "f1" for _, name in turns) <= ("waiting" not in results.values())


LOOK = """\
- hosts: bridge
  gather_facts: false
  tasks:
    - {tell: {stdout: '{"code":"told","exit":0,"message":"fine.","status":{"live":"blue"}}'}, vars: {phase: preflight}}
"""
TURN = """\
- hosts: bridge
  gather_facts: false
  serial: "{{ eduhub_batch }}"
  tasks:
    - {tell: {changed: true}, vars: {phase: edge}}
    - {tell: {stdout: '{"code":"begun","exit":0,"message":"fine."}'}, vars: {phase: begin}}
    - {tell: {stdout: '{"code":"gate_failed","exit":1,"message":"No."}', failed: true}, vars: {phase: prove}}
"""
INVENTORY = """\
bridge:
  vars: {ansible_connection: local, ansible_python_interpreter: '{{ ansible_playbook_python }}'}
  hosts: {a: , b: , c: }
"""


@pytest.mark.slow
def test_the_front_plays_a_deployment_in_waves_with_ansible(front, checkout):
    (checkout / "inventories/local/hosts.yml").write_text(INVENTORY)
    for name, text in {"deploy": "[]", "deploy_look": LOOK, "deploy_hosts": TURN}.items():
        (checkout / f"ansible/playbooks/{name}.yml").write_text(text)
    code, output, errors = front.run("deploy", "--json")
    hosts = json.loads(output)["hosts"]
    assert (code, hosts["a"]["failed"]) == (3, "prove"), output + errors
    assert {name: (hosts[name]["result"], hosts[name]["changed"]) for name in "bc"} == dict.fromkeys(
        "bc", ("waiting", 0)
    )
