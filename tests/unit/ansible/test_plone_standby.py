"""A deployment removes a standby that is not needed, but not the container to which a rollback was begun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
REMOVAL = "Remove a standby that is not needed"
STANDBY = "5" * 64
DOCKER = f'#!/bin/sh\n[ "$HOME" = none ] && exit 1\necho {STANDBY}\n'
# Of each host the record of a rollback that has not ended, and whether the standby is removed.
HOSTS = {"left": (None, True), "rolls": (STANDBY, False), "older": ("6" * 64, True), "none": (STANDBY, True)}


def test_the_container_to_which_a_rollback_was_begun_is_left_to_the_pilot(tmp_path: Path) -> None:
    variables = yaml.safe_load((ANSIBLE / "roles/plone/vars/main.yml").read_text())
    looks = yaml.safe_load((ANSIBLE / "roles/plone/tasks/standby.yml").read_text())
    looks = [task for task in looks if "import_tasks" not in str(task) and "include_tasks" not in str(task)]
    assert looks[-1]["name"] == REMOVAL
    removal = {"name": REMOVAL, "ansible.builtin.debug": {"msg": "removed"}, "when": looks[-1]["when"]}
    hosts = {}
    for name, (container, _) in HOSTS.items():
        record = tmp_path / f"{name}.json"
        if container:
            record.write_text(json.dumps({"schema": 1, "container": container}))
        hosts[name] = {"_plone_rollback_state": str(record)}
    told = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "plone_name": "hub-plone",
            "_plone_up": True, "_plone_takes_over": False,
            "_plone_rolls_back": variables["_plone_rolls_back"]}  # fmt: skip
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": told}}))
    play = {"hosts": "all", "gather_facts": False, "tasks": [*looks[:-1], removal]}
    (tmp_path / "play.yml").write_text(json.dumps([{**play, "environment": {"HOME": "{{ inventory_hostname }}"}}]))
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--inventory", tmp_path / "hosts.yml",
         tmp_path / "play.yml"],
        env={
            **os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "NO_COLOR": "1",
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        },
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, after = done.stdout.partition(f"[{REMOVAL}]")
    removed = {line.split("[")[1].split("]")[0] for line in after.splitlines() if line.startswith("ok: ")}
    assert removed == {name for name, (_, removes) in HOSTS.items() if removes}, done.stdout
