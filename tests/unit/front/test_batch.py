"""Hosts that are rolled side by side: none waits for another one, whose drain may outlast its deadline."""

from __future__ import annotations

import pytest
import yaml

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


@pytest.mark.slow
def test_a_host_of_a_batch_is_confirmed_while_another_one_still_drains(front, checkout, tmp_path):
    """Its own deadline runs: host b2 gets on only once b1 has come to the end."""
    (checkout / "inventories/local/hosts.yml").write_text(
        "bridge:\n  vars: {ansible_connection: local, ansible_python_interpreter: '{{ ansible_playbook_python }}'}\n"
        "  hosts: {b1: , b2: }\n"
    )
    (play,) = yaml.safe_load((ROOT / "ansible/playbooks/rollout.yml").read_text(encoding="utf-8"))
    there = tmp_path / "confirmed"
    (checkout / "ansible/playbooks/rollout.yml").write_text(BATCH % (play.get("strategy", "linear"), there, there))
    code, output, errors = front.run("rollout")
    assert code == 0, output + errors
