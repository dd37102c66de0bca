"""A rollback of several hosts: which have their turn, what that comes to, and what the operator types next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from front.arguments.request import Request
from front.fleet.turns import Turns
from front.output.closing import closing, document
from front.output.fleet import ending
from front.run.exit_codes import result_of, run_exit
from front.run.outcome import Host, Outcome
from front.run.play import Played, Run, Signals

NAMES = ["b1", "b2", "b3", "b4"]


def serves(python: str) -> dict[str, object]:
    return {"release": f"20260101T000000Z-py{python}-abc", "python": python, "rollback": {"ready": True, "to": "old"}}


BACK = Host(phase="confirm", phases=["begin", "shift", "verify", "confirm"], changed=2,
            exits={"begin": 0, "shift": 0, "confirm": 0}, status=serves("3.9.2"))  # fmt: skip
BECOMES = {
    "lost": Host(phase="begin", phases=["begin"], failed="begin", unreachable=True),
    "cut off": Host(phase="shift", phases=["begin", "shift"], failed="shift", unreachable=True),
    "refused": Host(phase="begin", phases=["begin"], failed="begin", exits={"begin": 2}, status=serves("3.11.2")),
    "reverted": Host(phase="revert", phases=["begin", "shift", "revert"], failed="shift",
                     exits={"begin": 0, "shift": 1, "revert": 1}, status=serves("3.11.2")),
    "broken": Host(phase="revert", phases=["begin", "shift", "revert"], failed="shift", exits={"revert": 3}),
    "interrupted": Host(phase="shift", phases=["begin", "shift"]),
}  # fmt: skip


def rolled(fails: dict[str, str], limit: str = "") -> tuple[list[str], dict[str, str], int, Played, list[str]]:
    """Return the hosts that were played on, their results, the exit code, how it ended, and the lines at the end."""
    request, on, runs = Request("rollback", "campus", limit), [], []

    def play(run: Run, playbook: str, _: Signals) -> Played:
        assert playbook == "rollback"
        on.extend(run.only)
        runs.append(run)
        host = BECOMES[fails[run.only[0]]] if run.only[0] in fails else BACK
        died = fails.get(run.only[0]) == "interrupted"
        return Played(2 if host.failed else 0, Outcome({run.only[0]: host}, ended=not died), "", died)

    with Signals() as signals:
        done = Turns(Run(request, Path("campus"), Path(), id="RUN"), NAMES, play).roll(signals)
    assert done.outcome
    hosts = done.outcome.hosts
    assert {(run.id, run.canary) for run in runs} == {("RUN", "b1")}, "one run, whose first host rehearses"
    code = run_exit(done.returned, done.outcome)
    last = ending(request, hosts, code, "", 110, interrupted=done.interrupted) if done.outcome.ended else []
    lines = closing(request, NAMES, done.outcome, code, 110, fleet=last)
    return on, {name: result_of(host) for name, host in hosts.items()}, code, done, lines


def test_each_host_has_its_turn():
    on, results, code, _, lines = rolled({})
    assert (on, code) == (NAMES, 0)
    assert dict.fromkeys(NAMES, "changed") == results
    assert not any("Next:" in line for line in lines)


def test_dead_hosts_keep_no_other_from_its_rollback_and_each_has_a_command_of_its_own():
    on, results, code, _, lines = rolled({"b2": "lost", "b4": "cut off"})
    assert (on, code) == (NAMES, 3)
    assert results == {"b1": "changed", "b2": "unreachable", "b3": "changed", "b4": "unreachable"}
    commands = [line for line in lines if "./invoke rollback" in line]
    assert commands == ["Next: ./invoke rollback --take-over --inventory campus --limit b2"]
    assert lines[-1] == "Next: ./invoke status --inventory campus"


@pytest.mark.parametrize("how", ["refused", "reverted", "broken"])
def test_a_host_that_fails_ends_the_run_and_the_others_wait(how):
    on, results, code, done, lines = rolled({"b1": "lost", "b3": how})
    assert (on, code) == (["b1", "b2", "b3"], 3)
    assert (results["b1"], results["b2"], results["b4"]) == ("unreachable", "changed", "waiting")
    told = document("rollback", done.outcome, code, {})["hosts"]
    assert {name: host["result"] for name, host in told.items()} == results
    assert "Next: ./invoke rollback --inventory campus --limit 'all:!b1:!b2'" in lines


def test_the_printed_command_keeps_the_separator_of_the_limit():
    lines = rolled({"b2": "lost", "b3": "refused"}, ",".join(NAMES))[-1]
    assert "Next: ./invoke rollback --inventory campus --limit 'b1,b2,b3,b4,!b1,!b2'" in lines


def test_an_interrupted_turn_is_the_last_and_is_left_to_be_undone():
    on, results, _, done, _ = rolled({"b2": "interrupted"})
    assert (on, done.interrupted) == (["b1", "b2"], True)
    assert done.outcome
    assert (done.outcome.ended, done.outcome.begun) == (False, True)
    assert (results["b3"], results["b4"]) == ("waiting", "waiting")


def test_a_host_that_only_waited_is_as_it_was_once_the_run_is_undone():
    before = rolled({"b2": "interrupted"})[3].outcome
    assert before
    nothing = Host(phase="revert", phases=["revert"], exits={"revert": 2})
    hosts = {"b1": BACK, "b2": replace(nothing, exits={"revert": 1}), "b3": nothing, "b4": nothing}
    undone = Outcome(hosts, ended=True).after(before)
    assert [result_of(host) for host in undone.hosts.values()] == [
        "changed", "reverted", "waiting", "waiting",
    ]  # fmt: skip


def test_where_a_lost_host_is_not_all_the_run_ends_with_what_to_type():
    """Beside its own commands: other hosts failed, or wait."""
    outcome = Outcome({"b1": BECOMES["lost"], "b2": BECOMES["refused"]}, ended=True)
    lines = closing(Request("rollback", "campus"), ["b1", "b2"], outcome, 3, 110)
    assert lines[-1] == "Next: ./invoke status --inventory campus"


PLAYED = """\
- hosts: bridge
  gather_facts: false
  tasks:
    - {ansible.builtin.ping: , vars: {phase: begin}}
    - {tell: {stdout: '{"code":"confirmed","exit":0,"message":"fine."}', changed: true}, vars: {phase: shift}}
"""
INVENTORY = """\
bridge:
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  hosts:
    b1: {ansible_connection: local}
    b2: {ansible_connection: ssh, ansible_pipelining: false, ansible_ssh_executable: %s}
    b3: {ansible_connection: local}
"""


@pytest.mark.slow
def test_ansible_rolls_back_what_comes_after_a_dead_host(front, checkout, tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nexit 255\n")
    ssh.chmod(0o755)
    (checkout / "inventories/local/hosts.yml").write_text(INVENTORY % ssh)
    (checkout / "ansible/playbooks/rollback.yml").write_text(PLAYED)
    code, output, errors = front.run("rollback")
    assert code == 3, output + errors
    assert [line.split()[1] for line in output.splitlines() if " shift " in line] == ["b1", "b3"]
    assert "Next: ./invoke rollback --take-over --limit b2" in output
    assert output.endswith("Next: ./invoke status\n")
