"""Several hosts in one play: which waits for another one, and which is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from front.arguments.request import Request
from front.run.play import Run
from tests.unit.front.conftest import ROOT

BATCH = """\
- hosts: bridge
  gather_facts: false
  strategy: %s
  tasks:
    - block:
        - {ansible.builtin.wait_for: {path: "%s", timeout: 60, sleep: 0}, when: inventory_hostname == 'b2'}
        - ansible.builtin.file: {path: "%s", state: touch}
      vars: {phase: shift}
"""


TWO = """\
bridge:
  vars: {ansible_connection: local, ansible_python_interpreter: '{{ ansible_playbook_python }}'}
  hosts: {b1: , b2: }
"""
LOOK = """\
- hosts: bridge
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - ansible.builtin.fail: {msg: a finding}
      when: inventory_hostname == 'b1'
      vars: {phase: preflight}
    - tell: {changed: true}
      vars: {phase: prepare}
"""


@pytest.mark.slow
def test_a_host_of_a_batch_is_confirmed_while_another_one_still_drains(front, checkout, tmp_path):
    """Its own deadline runs: host b2 gets on only once b1 has come to the end."""
    (checkout / "inventories/local/hosts.yml").write_text(TWO)
    (play,) = yaml.safe_load((ROOT / "ansible/playbooks/rollout.yml").read_text(encoding="utf-8"))
    there = tmp_path / "confirmed"
    (checkout / "ansible/playbooks/rollout.yml").write_text(BATCH % (play.get("strategy", "linear"), there, there))
    code, output, errors = front.run("rollout")
    assert code == 0, output + errors


@pytest.mark.slow
def test_a_finding_on_one_host_keeps_the_others_untouched_whatever_the_operators_environment_says(front, checkout):
    """One with ANSIBLE_STRATEGY=free for playbooks of his own had every host but the first one changed."""
    (checkout / "inventories/local/hosts.yml").write_text(TWO)
    (checkout / "ansible/playbooks/engine.yml").write_text(LOOK)
    front.environment |= {"ANSIBLE_STRATEGY": "free", "ANSIBLE_SKIP_TAGS": "always", "ANSIBLE_ROLES_PATH": "/nowhere"}
    code, output, errors = front.run("engine", "--json")
    hosts = json.loads(output)["hosts"]
    assert (code, hosts["b1"]["result"], hosts["b2"]["changed"]) == (2, "refused", 0), output + errors


def test_the_environment_decides_how_hosts_are_reached_and_not_what_is_played(monkeypatch):
    ours = {"ANSIBLE_STRATEGY", "ANSIBLE_TASK_TIMEOUT", "ANSIBLE_LIBRARY"}
    for name in (*ours, "ANSIBLE_PRIVATE_KEY_FILE", "ANSIBLE_FORKS"):
        monkeypatch.setenv(name, "mine")
    given = Run(Request("deploy"), Path(), Path()).environment(Path("outcome.json"))
    mine = {name for name, value in given.items() if value == "mine"}
    assert mine == {"ANSIBLE_PRIVATE_KEY_FILE", "ANSIBLE_FORKS"}
