"""A private key that no setting names any more does not stay on the host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.templates.render import ANSIBLE

pytestmark = pytest.mark.slow

ONE = [{"certificate": "/a.pem", "key": "/a.key"}]
BEFORE = {"0.pem", "0.pem.key", "1.pem", "1.pem.key", "acme.pem", "acme.pem.key", "notes.txt"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"edge_tls_certificates": ONE}, {"0.pem", "0.pem.key", "notes.txt"}), ({}, {"notes.txt"}),
        ({"edge_acme_server": "https://acme.example"}, {"acme.pem", "acme.pem.key", "notes.txt"}),
        ({"edge_tls_certificates": ONE * 2, "check": True}, BEFORE),
    ],
)  # fmt: skip
def test_keys_are_removed_once_no_setting_names_them(given, kept, tmp_path: Path):
    tls = tmp_path / "edge/tls"
    tls.mkdir(parents=True)
    for name in BEFORE:
        (tls / name).touch()
    play = {"hosts": "all", "gather_facts": False, "tasks": [
        {"import_role": {"name": "edge", "tasks_from": "leftovers"}},
        {"ansible.builtin.find": {"paths": str(tls), "patterns": "*"}, "register": "before_the_reload"},
        {"ansible.builtin.assert": {"that": f"before_the_reload.matched == {len(BEFORE)}"}},
    ]}  # fmt: skip
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    check = ["--check"] if given.get("check") else []
    told = {**given, "ansible_python_interpreter": sys.executable, "edge_config_dir": str(tls.parent)}
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--inventory", "here,", "--connection", "local", *check,
         "--extra-vars", json.dumps(told), tmp_path / "play.yml"],
        env={**os.environ, "NO_COLOR": "1", "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"),
             "ANSIBLE_LIBRARY": str(ANSIBLE / "library"), "ANSIBLE_MODULE_UTILS": str(ANSIBLE / "module_utils")},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in tls.iterdir()} == kept
