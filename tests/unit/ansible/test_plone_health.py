"""A deployment waits for a Plone that starts, and says of one that hangs that it hangs; the engine is a stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: plone, tasks_from: healthy, rolespec_validate: false}
      vars: {_plone_awaited: "{{ AWAITED }}", plone_name: hub-plone, plone_start_seconds: 6}
"""
# It says the next state of its file each time, and the last one for ever.
DOCKER = """#!{python}
import json, pathlib, sys
file = pathlib.Path({file!r})
if "inspect" in sys.argv:
    first, *rest = json.loads(file.read_text())
    file.write_text(json.dumps(rest or [first]))
    print(first)
"""


@pytest.fixture
def play(tmp_path):
    """Return a function that waits for a Plone of these states; it returns exit code and what was said."""

    def run(awaited: str, *states: str) -> tuple[int, str]:
        program, file, book = tmp_path / "bin/docker", tmp_path / "states.json", tmp_path / "play.yml"
        program.parent.mkdir()
        program.write_text(DOCKER.format(python=sys.executable, file=str(file)))
        program.chmod(0o755)
        file.write_text(json.dumps(states))
        book.write_text(BOOK.replace("AWAITED", awaited))
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "--connection", "local", "--inventory", "h,", book,
             "--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable})],
            env={
                **os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "NO_COLOR": "1",
                "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
            },
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


WAITS = {
    "one that starts": ("_plone_starts", ["running starting", "running healthy"], ""),
    "one that is slower than its health check": ("_plone_starts", ["running unhealthy", "running healthy"], ""),
    "one that is too slow": ("_plone_starts", ["running starting"], "did not become healthy within 6 s"),
    "one that ran before and hangs": (
        "_plone_may_start", ["running unhealthy", "running healthy"],
        "Where it hangs, type `docker restart hub-plone` on the host, then deploy again.",
    ),
    "one between two starts": ("_plone_may_start", ["restarting unhealthy", "running starting", "running healthy"], ""),
    "one that has ended": ("_plone_may_start", ["exited unhealthy"], "Plone does not run (exited unhealthy)."),
}  # fmt: skip


@pytest.mark.parametrize(("awaited", "states", "words"), WAITS.values(), ids=WAITS)
def test_a_plone_is_waited_for_while_that_may_help(play, awaited, states, words):
    code, told = play(awaited, *states)
    assert (code == 0, words in told, "within 6 s" in told) == (not words, True, "within 6 s" in words), told
