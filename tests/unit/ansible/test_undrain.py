"""A site whose hosts are all drained comes back by one `undrain`: in the playbook itself, with roles that stand in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.templates.render import ANSIBLE

ROLES = ("docker_host", "edge", "bridge", "plone", "pilot", "release", "front")
INVENTORY = """\
all: {vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}}
bridge: {hosts: {b1: , b2: }}
front: {hosts: {f1: }}
"""
# A front host knows that a bridge host answers by the file that such a one leaves.
PILOT = """\
- {ansible.builtin.file: {path: "%s/answers", state: touch}, when: "pilot_command == ['undrain'] and not broken"}
- {ansible.builtin.fail: {msg: not serving}, when: broken}
"""
FRONT = """\
- {ansible.builtin.stat: {path: "%s/answers"}, register: bridges}
- {ansible.builtin.fail: {msg: front_not_serving}, when: not bridges.stat.exists and not addresses_are_no_hosts}
- {ansible.builtin.file: {path: "%s/back", state: touch}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("broken", "lacks", "code", "back"), [
    ("false", "false", 0, True),  # without virtual addresses a front host wants a bridge host first
    ("true", "false", 2, False),
    ("true", "true", 2, True),  # clients get an answer, though no bridge host can be brought back
])  # fmt: skip
def test_front_hosts_come_back_after_the_bridge_hosts_and_without_them(tmp_path, broken, lacks, code, back):
    for role in ROLES:
        (tmp_path / "roles" / role / "tasks").mkdir(parents=True)
    (tmp_path / "roles/pilot/tasks/run.yml").write_text(PILOT % tmp_path)
    (tmp_path / "roles/front/tasks/undrain.yml").write_text(FRONT % (tmp_path, tmp_path))
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    shutil.copy(ANSIBLE / "playbooks/undrain.yml", tmp_path)
    words = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", "hosts.yml", "undrain.yml"]
    words += ["--extra-vars", f'{{"broken": {broken}, "addresses_are_no_hosts": {lacks}}}']
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, (tmp_path / "back").exists()) == (code, back), done.stdout + done.stderr
