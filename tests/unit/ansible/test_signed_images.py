"""A host is refused unless this machine's image and its own are both the signed one; each engine here is a stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from module_utils import ssh_signature
from module_utils.image_layers import described
from module_utils.image_signatures import NAMESPACE, STATEMENT, file_of, subject

pytestmark = pytest.mark.slow

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
NAME = "hub/edge:1"
SIGNED = {
    "Id": f"sha256:{'1' * 64}", "Created": "2026-11-29T19:37:22Z", "RootFS": {"Layers": [f"sha256:{'a' * 64}"]},
    "Config": {"User": "10001", "Healthcheck": {"Test": ["CMD", "/usr/lib/health"]}},
}  # fmt: skip
CHANGED = {**SIGNED, "Config": {"User": "10001", "Healthcheck": {"Test": ["CMD", "/bin/sh"]}}}
BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: docker_host, tasks_from: images}
"""
# It answers with the documents in its file, one a call: first this machine's engine, then the host's.
DOCKER = """#!{python}
import json, pathlib
file = pathlib.Path({state!r})
first, *rest = json.loads(file.read_text())
file.write_text(json.dumps(rest))
print(json.dumps([first]))
"""
HERE, APART = "local", "ansible.builtin.local"


@pytest.fixture
def play(tmp_path):
    """Return a function that brings a signed image to a host; it returns exit code, output and unasked engines."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=60)
    file = tmp_path / "provenance" / file_of(NAME)
    file.parent.mkdir()
    file.write_text(json.dumps({"_type": STATEMENT, "subject": [subject(NAME, described(SIGNED))]}))
    ssh_signature.sign([file], key, NAMESPACE)
    (tmp_path / "signers").write_text(f"ci@example.edu {(tmp_path / 'key.pub').read_text()}")
    (tmp_path / "play.yml").write_text(BOOK)
    program, state = tmp_path / "bin/docker", tmp_path / "engines.json"
    program.parent.mkdir()
    program.write_text(DOCKER.format(python=sys.executable, state=str(state)))
    program.chmod(0o755)

    def run(connection: str, *engines: dict[str, Any], **variables: Any) -> tuple[int, str, int]:
        state.write_text(json.dumps(engines))
        told = {
            "ansible_python_interpreter": sys.executable, "docker_host_images": [NAME],
            "docker_host_checkout": str(tmp_path), "docker_host_image_signers": "signers", **variables,
        }  # fmt: skip
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(json.dumps({"all": {"hosts": {"h": {"ansible_connection": connection}}, "vars": told}}))
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "--inventory", inventory, tmp_path / "play.yml"],
            env={
                **os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "NO_COLOR": "1",
                "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
            },
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout, len(json.loads(state.read_text()))

    return run


@pytest.mark.parametrize(("connection", "engines"), [(HERE, [SIGNED]), (APART, [SIGNED, SIGNED])])
def test_the_signed_image_is_taken(play, connection, engines):
    code, told, unasked = play(connection, *engines)
    assert (code, unasked) == (0, 0), told


def test_a_changed_image_on_this_machine_is_refused_before_the_host_is_asked(play):
    code, told, unasked = play(APART, CHANGED, SIGNED)
    said = "hub/edge:1 (sha256:111111111111) is not the image that ci@example.edu signed"
    assert (code, unasked, said in told) == (2, 1, True)


def test_a_host_whose_own_engine_has_another_one_is_refused(play):
    """Its layers and configuration are the same: nothing was sent, and only its health check runs something else."""
    code, told, _ = play(APART, SIGNED, CHANGED)
    assert (code, "its health check is another one" in told) == (2, True)


def test_an_image_that_nobody_signed_is_refused_by_name(play):
    code, told, unasked = play(APART, SIGNED, SIGNED, docker_host_images=["hub/other:1"])
    assert (code, unasked, "There is no signature of hub/other:1 below provenance/" in told) == (2, 1, True)


def test_without_signers_nothing_is_asked_for(play):
    code, told, unasked = play(APART, CHANGED, CHANGED, docker_host_image_signers="")
    assert (code, unasked) == (0, 0), told
