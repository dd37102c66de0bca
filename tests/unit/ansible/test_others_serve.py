"""Right before an update drains a host, the others are asked once more whether they take traffic."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.templates.render import ANSIBLE, value

ROLES = ("docker_host", "edge", "bridge", "plone", "pilot", "release", "front")
# Stands for the pilot: notes what it is asked for.
PILOT = """\
- ansible.builtin.shell: echo {{ pilot_command | first }} {{ pilot_command[1] }} >> {{ asked }}
- ansible.builtin.set_fact: {pilot_answer: {code: "{{ 'drain_marked' if pilot_command[1] == '--mark' else '' }}"}}
- {ansible.builtin.fail: {msg: taken back}, when: "'--taken-back' in pilot_command"}
"""

BOOK = """\
- hosts: here
  gather_facts: false
  tasks:
    - ansible.builtin.import_tasks: tasks/others_serve.yml
    - {ansible.builtin.debug: {msg: drained}}
"""


@contextmanager
def edge(status: int) -> Iterator[tuple[int, list[str]]]:
    """Answer as an edge of a host that takes traffic (200) or is drained (503); yield its port, and what was asked."""
    asked: list[str] = []

    class Edge(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Edge) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()


def played(tree: Path, first: int, second: int, *, agreed: bool = False) -> tuple[int, str]:
    """Play the tasks on `here`, with a host that cannot be reached and two more; return Ansible's code and output."""
    ssh = tree / "ssh"
    ssh.write_text("#!/bin/sh\nexit 255\n")
    ssh.chmod(0o755)
    (tree / "hosts.yml").write_text(f"""\
all: {{vars: {{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}}}
bridge:
  hosts:
    here:
    lost: {{ansible_connection: ssh, ansible_ssh_executable: {ssh}}}
    one: {{edge_port: {first}}}
    two: {{edge_port: {second}, edge_address: 0.0.0.0}}
""")
    (tree / "playbooks").mkdir(parents=True)
    (tree / "playbooks/book.yml").write_text(BOOK)
    shutil.copytree(ANSIBLE / "playbooks/tasks", tree / "playbooks/tasks")
    shutil.copytree(ANSIBLE / "playbooks/group_vars", tree / "playbooks/group_vars")
    (tree / "roles/edge/defaults").mkdir(parents=True)
    shutil.copy(ANSIBLE / "roles/edge/defaults/main.yml", tree / "roles/edge/defaults")
    given = f'{{"eduhub_serving": ["here", "lost", "one", "two"], "docker_host_agreed": {str(agreed).lower()}}}'
    words = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", "hosts.yml", "playbooks/book.yml"]
    done = subprocess.run([*words, "--extra-vars", given], cwd=tree, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second", "agreed", "drains"), [
    (503, 200, False, True), (503, 503, False, False), (503, 503, True, True),
])  # fmt: skip
def test_a_host_is_drained_only_while_another_one_takes_traffic(tmp_path, first, second, agreed, drains):
    with edge(first) as (one, _), edge(second) as (two, _):
        code, output = played(tmp_path, one, two, agreed=agreed)
    assert (code == 0, '"msg": "drained"' in output) == (drains, drains), output
    assert ("lost, one, two took traffic when this run began, and none does now: here" in output) is not drains


@pytest.mark.slow
@pytest.mark.parametrize(("status", "steps"), [
    (200, ["drain --mark", "drain --quiet-seconds"]), (503, ["drain --mark", "undrain --taken-back"]),
])  # fmt: skip
def test_of_two_drains_at_once_of_the_last_two_hosts_one_at_least_is_taken_back(tmp_path, status, steps):
    """Each found the other host serving when it began, marked its own, and left none that takes traffic."""
    for role in ROLES:
        (tmp_path / "roles" / role / "tasks").mkdir(parents=True)
    (tmp_path / "roles/pilot/tasks/run.yml").write_text(PILOT)
    (tmp_path / "roles/front/tasks/drain.yml").write_text("[]")
    (tmp_path / "roles/edge/defaults").mkdir()
    shutil.copy(ANSIBLE / "roles/edge/defaults/main.yml", tmp_path / "roles/edge/defaults")
    shutil.copytree(ANSIBLE / "playbooks", tmp_path / "playbooks")
    with edge(status) as (port, _):
        (tmp_path / "hosts.yml").write_text(f"""\
all: {{vars: {{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}}}
bridge: {{hosts: {{here: , other: {{edge_port: {port}}}}}}}
""")
        given = {"eduhub_serving": ["other"], "asked": str(tmp_path / "asked"), "eduhub_idle": [], "eduhub_yes": False,
                 "eduhub_verb": "drain"}  # fmt: skip
        words = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", "hosts.yml", "--limit", "here"]
        words += ["--extra-vars", json.dumps(given), "playbooks/drain.yml"]
        done = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "ANSIBLE_ROLES_PATH": str(tmp_path / "roles")},
        )  # fmt: skip
    assert (tmp_path / "asked").read_text().splitlines() == steps, done.stdout + done.stderr
    assert (done.returncode == 0) is (status == 200)


@pytest.mark.slow
def test_none_is_asked_after_the_first_that_takes_traffic(tmp_path):
    with edge(200) as (one, first), edge(200) as (two, second):
        assert played(tmp_path, one, two)[0] == 0
    assert (first, second) == (["/health/host"], [])


def test_a_host_is_asked_where_its_own_edge_listens():
    """By its inventory and the role's defaults, for one host sees no defaults of another one."""
    hosts = {
        "a": {}, "b": {"edge_address": "0.0.0.0", "edge_port": 80},  # noqa: S104 # nothing listens
        "c": {"edge_address": "::, 192.0.2.1"},
        "d": {"edge_address": "[2001:db8::3], ::1"}, "e": {"edge_address": "192.0.2.3,2001:db8::1"},
    }  # fmt: skip
    given = {"hostvars": hosts, "groups": {"bridge": list(hosts)}, "ansible_play_hosts_all": ["here"]}
    assert value("_eduhub_asked_of", eduhub_serving=list(hosts), **{**given, "hostvars": {**hosts, "here": {}}}) == {
        "a": "127.0.0.1:8080", "b": "127.0.0.1:80", "c": "[::1]:8080", "d": "[2001:db8::3]:8080", "e": "192.0.2.3:8080",
    }  # fmt: skip
