"""A host with a migrated copy that is not confirmed is not removed: the copy would stay, and pass for the site's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
REFUSAL = "Refuse while an upgrade of Plone's version is not confirmed"
NOTE = {"code": "plone_upgrade_unconfirmed", "message": "It waits.", "next": [["./invoke", "plone.confirm"]]}
OTHER = {"code": "plone_endpoint_down", "message": "It is down.", "next": []}


def test_a_host_with_an_upgrade_that_is_not_confirmed_is_not_removed_unless_its_data_goes_too(tmp_path: Path) -> None:
    """Nor where the pilot does not answer: a host that is broken has to be removable."""
    book = yaml.safe_load((ANSIBLE / "playbooks/destroy.yml").read_text())
    (task,) = [each for each in book[0]["tasks"] if each["name"] == REFUSAL]
    given: dict[str, dict[str, Any]] = {
        "waits": {"pilot_answer": {"status": {"notes": [OTHER, NOTE]}}},
        "well": {"pilot_answer": {"status": {"notes": [OTHER]}}},
        "silent": {"pilot_answer": {}},
        "forced": {"pilot_answer": {"status": {"notes": [NOTE]}}, "release_take_over": True},
        "emptied": {"pilot_answer": {"status": {"notes": [NOTE]}}, "release_data": True},
    }
    told = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "release_take_over": False,
            "release_data": False}  # fmt: skip
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": given, "vars": told}}))
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [program, "--inventory", tmp_path / "hosts.yml", tmp_path / "play.yml"],
        env={
            **os.environ, "NO_COLOR": "1", "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        },
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    refused = [line for line in done.stdout.splitlines() if line.startswith("fatal: ")]
    assert [line.split("]")[0] for line in refused] == ["fatal: [waits"], done.stdout + done.stderr
    assert "It waits. Nothing was removed" in refused[0]
    assert task["vars"]["failure"]["code"] == NOTE["code"]


def test_what_is_another_programs_is_not_removed():
    """The refusal comes before everything else, whether data is to go too or not."""
    steps = yaml.safe_load((ANSIBLE / "roles/release/tasks/remove.yml").read_text())
    assert steps[0]["host_readiness"] == {"stack": "{{ release_stack }}"}
    assert (list(steps[1])[1], steps[1]["when"]) == (
        "ansible.builtin.fail", "release_looked.foreign_directories | length > 0",
    )  # fmt: skip
