"""A small checkout of its own for each test: our front and callback, and playbooks that need nothing."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]

FILES = {
    "ansible/ansible.cfg": "[defaults]\nretry_files_enabled = false\n[connection]\npipelining = true\n",
    # Returns its arguments as its result: what a program would have printed, without starting one.
    "ansible/playbooks/action_plugins/tell.py": """\
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        return super().run(tmp, task_vars) | self._task.args
""",
    "ansible/roles/edge/tasks/main.yml": "[]\n",
    "ansible/playbooks/group_vars/all.yml": "eduhub_stack: eduhub\n",
    "images/images.yml": """\
images: {bridge: {pythons: ['3.9', '3.11']}, plone: {versions: {'6': {pythons: ['3.11']}}}}
""",
    "inventories/local/hosts.yml": """\
all:
  hosts:
    localhost:
      ansible_connection: local
      ansible_python_interpreter: "{{ ansible_playbook_python }}"
""",
}

# An inventory of one host for each way a run can end; %s is a program that stands for ssh.
HOSTS = """\
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  hosts:
    lost: {ansible_connection: ssh, ansible_pipelining: false, ansible_ssh_executable: %s}
    refused:
    reverted:
    right:
"""


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch):
    """Lines are as wide as where nothing is known of a terminal, whichever one the tests are started on."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The tree, without playbooks; a test writes those it plays into ansible/playbooks."""
    tree = tmp_path / "checkout"
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("front", "module_utils", "plugins", "settings"):
        shutil.copytree(ROOT / "ansible" / name, tree / "ansible" / name, ignore=ignore)
    return tree


@pytest.fixture
def front(checkout: Path) -> Front:
    """The front of that checkout, to be run as its users run it."""
    return Front(checkout)


class Front:
    """`python -m front` in a checkout of its own. `python`: another interpreter than that of the tests."""

    def __init__(self, checkout: Path, python: str = sys.executable) -> None:
        self.checkout, self.python = checkout, python
        self.environment = {**os.environ, "PYTHONPATH": str(checkout / "ansible"), "COLUMNS": "100"}

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start it in a session of its own, so that only the test can interrupt it."""
        return subprocess.Popen(
            [self.python, "-m", "front", *words], cwd=self.checkout, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, start_new_session=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )  # fmt: skip

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run it to its end; return exit code, what it printed with times taken out, and its errors."""
        running = self.start(*words)
        output, errors = running.communicate(timeout=300)
        return running.returncode, timeless(output), errors

    def on_a_terminal(self, *words: str, **environment: str) -> str:
        """Run it on a terminal to its end, which has to be a good one; return all that the terminal got."""
        ours, theirs = pty.openpty()
        given = {name: value for name, value in self.environment.items() if name != "NO_COLOR"} | environment
        running = subprocess.Popen(
            [self.python, "-m", "front", *words], cwd=self.checkout, env=given, stdout=theirs, stderr=theirs,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        seen, deadline = b"", time.monotonic() + 300
        while time.monotonic() < deadline and select.select([ours], [], [], 300)[0]:
            try:
                seen += os.read(ours, 4096)
            except OSError:  # Linux says so at the end of a terminal
                break
        os.close(ours)
        assert running.wait(60) == 0
        return seen.decode()


def timeless(text: str) -> str:
    """Return `text` with every duration and run id replaced: they differ each time."""
    return re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "RUN", re.sub(r" *\d+\.\d s$", "  N s", text, flags=re.MULTILINE))
