"""Showing how traffic shifts: the real role, and a stand-in for docker whose shift writes what the pilot's would."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from typing import Any

import pytest

from front.output.traffic import traffic_in
from tests.unit.front.conftest import ROOT

pytestmark = pytest.mark.slow

# Stands for docker: a shift is a process that writes its views, one after the other; `await` has an answer of its own.
DOCKER = """\
#!/bin/sh
echo "$@" >> {here}/called
case "$*" in
*" shift --run "*)
  ( for view in {here}/views/*; do sleep 0.7; cp "$view" {here}/new && mv {here}/new {here}/now.json; done ) \\
  >/dev/null 2>&1 & ;;
*" await --run "*) cat >/dev/null; echo '{{"code":"shifted","exit":0,"message":"Waited for.","changed":true}}' ;;
esac
"""

PLAYBOOK = """
- name: Shift
  hosts: all
  gather_facts: false
  vars: {{phase: shift}}
  tasks:
    - name: Shift the traffic
      ansible.builtin.import_role: {{name: pilot, tasks_from: shift}}
      vars: {{pilot_run: run-1, pilot_view: "{view}"}}
    - name: Show what the answer was
      ansible.builtin.debug: {{msg: "{{{{ pilot_answer.message }}}}"}}
      vars: {{phase: verify, show: true}}
"""


def view(percent: int) -> dict[str, Any]:
    slots = {
        "blue": {"weight": 100 - percent, "per_second": 120.44, "p95_seconds": [0.025, 0.05], "errors": 0},
        "green": {"weight": percent, "per_second": 40.0 if percent else 0.0, "p95_seconds": None, "errors": 0},
    }
    return {"schema": 1, "run": "run-1", "to": "green", "percent": percent, "seconds": 1.0, "slots": slots}


MOVED = {"schema": 1, "run": "run-1", "over": True, "code": "shifted", "exit": 0, "phase": "shift",
         "message": "Traffic is on green.", "next": [], "findings": [], "changed": True}  # fmt: skip
FAILED = {**MOVED, "code": "canary_failed", "exit": 1, "message": "green is slower. Reverted: blue is live."}


@pytest.fixture
def shifting(checkout, front):
    """Let a front play a shift that tells `views`, or none; called with the views."""
    shutil.copytree(ROOT / "ansible/roles/pilot", checkout / "ansible/roles/pilot")
    described = "images/pilot/src/eduhub_pilot/model/settings.json"
    (checkout / described).parent.mkdir(parents=True)
    shutil.copy(ROOT / described, checkout / described)
    (checkout / "ansible/ansible.cfg").write_text("[defaults]\nroles_path = roles\n[connection]\npipelining = true\n")
    (checkout / "bin").mkdir()
    (checkout / "bin/docker").write_text(DOCKER.format(here=checkout))
    (checkout / "bin/docker").chmod(0o755)
    front.environment["PATH"] = f"{checkout / 'bin'}{os.pathsep}{front.environment['PATH']}"

    def shifts(*views: dict[str, Any]) -> Any:
        (checkout / "ansible/playbooks/deploy.yml").write_text(PLAYBOOK.format(view=checkout / "now.json"))
        (checkout / "views").mkdir()
        for number, each in enumerate(views):
            (checkout / f"views/{number:02}").write_text(json.dumps(each, separators=(",", ":")) + "\n")
        return front

    return shifts


def waited(front: Any) -> bool:
    """Whether a pilot was started to wait for the end."""
    return " await --run run-1" in (front.checkout / "called").read_text()


def test_without_a_terminal_each_step_is_a_line_and_the_shifts_own_answer_ends_it(shifting):
    front = shifting(view(0), view(25), view(25), view(100), MOVED)
    code, printed, errors = front.run("deploy")
    assert printed.splitlines()[1:5] == [
        "  … localhost  shift      green 25% 40.0/s 0 errors · blue 75% 120.4/s p95 ≤ 50 ms 0 errors",
        "  … localhost  shift      green 100% 40.0/s 0 errors · blue 0% 120.4/s p95 ≤ 50 ms 0 errors",
        "  ● localhost  shift      Traffic is on green.  N s",
        "  ✓ localhost  verify     Traffic is on green.  N s",
    ]
    assert (code, errors, waited(front)) == (0, "", False)


def test_a_shift_that_fails_ends_the_run_with_its_message(shifting):
    front = shifting(view(25), FAILED)
    code, printed, _ = front.run("deploy")
    assert "  ✗ localhost  shift      green is slower. Reverted: blue is live.  N s\n" in printed
    assert (printed.count("green is slower"), code, waited(front)) == (1, 3, False)


def test_lines_that_a_login_script_prints_are_no_view(shifting):
    front = shifting(view(25), MOVED)
    role = front.checkout / "ansible/roles/pilot/tasks/shift.yml"
    role.write_text(role.read_text().replace("    find {{ pilot_view", "    echo Welcome to VM-7; find {{ pilot_view"))
    code, printed, _ = front.run("deploy")
    assert "  ● localhost  shift      Traffic is on green.  N s\n" in printed
    assert (code, waited(front)) == (0, False)


@pytest.mark.parametrize("views", [(), (view(25),)], ids=["an older pilot", "a pilot that is gone"])
def test_a_shift_without_a_view_is_awaited(shifting, views):
    front = shifting(*views)
    with (front.checkout / "ansible/roles/pilot/vars/main.yml").open("a") as variables:
        variables.write("\n_pilot_view_seconds: 0.1\n_pilot_view_max_age_seconds: 1\n")
    code, printed, _ = front.run("deploy")
    assert "  ● localhost  shift      Waited for.  N s\n" in printed
    assert (code, waited(front)) == (0, True)


def test_verbose_waits_without_a_view(shifting):
    front = shifting(view(25), MOVED)
    code, printed, _ = front.run("deploy", "--verbose")
    assert (code, waited(front), "RETRYING" in printed) == (0, True, False)


def test_a_terminal_shows_both_slots_in_lines_that_are_rewritten(shifting):
    seen = shifting(*[view(25)] * 5, MOVED).on_a_terminal("deploy", TERM="xterm", NO_COLOR="1")
    frames = seen.split("\r\x1b[J")
    wanted = (
        r"  … localhost  shift      \d+ s  25% of the traffic to green for 1 s\r\n"
        r"               green  25%   40.0/s               0 errors\r\n"
        r"                blue  75%  120.4/s  p95 ≤ 50 ms  0 errors\x1b\[2A"
    )
    assert len([frame for frame in frames if re.fullmatch(wanted, frame)]) >= 2
    assert any(frame.startswith("  ● localhost  shift      Traffic is on green.") for frame in frames)
    assert "\x1b[3" not in seen  # no colour


def test_a_dumb_terminal_gets_plain_lines(shifting):
    seen = shifting(view(25), MOVED).on_a_terminal("deploy", TERM="dumb")
    assert "  … localhost  shift      green 25% 40.0/s 0 errors · blue 75% 120.4/s p95 ≤ 50 ms 0 errors\r\n" in seen
    assert "\x1b" not in seen


@pytest.fixture
def callback(monkeypatch):
    """The callback's module, and one of it whose terminal is 60 columns wide and four lines high."""
    spec = importlib.util.spec_from_file_location("eduhub_callback", ROOT / "ansible/plugins/callback/eduhub.py")
    assert spec
    assert spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    seen: list[str] = []
    monkeypatch.setattr(module, "terminal", lambda: (60, 4))
    monkeypatch.setattr(module.os, "write", lambda _, text: seen.append(text.decode()))
    monkeypatch.setattr(module.sys, "stdout", type("Stdout", (), {"fileno": lambda _: 1, "isatty": lambda _: True})())
    return module.CallbackModule(), seen


def test_of_several_hosts_each_is_a_line_cut_where_the_terminal_ends(callback):
    one, seen = callback
    one._terminal = True
    for number in range(5):
        run = one._hosts[f"host{number}"]
        run.phase, run.traffic = "shift", traffic_in({"stdout": json.dumps(view(25))})
    one._transient(*one._progress())
    lines = [f"  … host{number}      shift      0 s  green 25% 40.0/s 0 errors ·…" for number in range(3)]
    assert seen == ["\r\x1b[J" + "\n".join(lines) + "\x1b[2A"]
