"""What systemd runs on a host is what a verb would have run."""

from __future__ import annotations

import configparser
import json
import subprocess
from pathlib import Path

import pytest

from tests.templates.render import render, value

TIMED = {
    "pilot_timer": "plone-backup", "pilot_timer_at": "*-*-* 03:15", "groups": {"plone": ["here"]},
    "pilot_command": ["backup", "--owner", "timer@the host's"],
}  # fmt: skip


def unit(name: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(render("pilot", f"unit.{name}.j2", **TIMED))
    return {section: dict(parser[section]) for section in parser.sections()}


def test_the_command_runs_the_pilot_with_its_settings_and_a_run_of_its_own(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\necho --\ncat\n')
    docker.chmod(0o700)
    script = tmp_path / "script"
    script.write_text(render("pilot", "command.sh.j2", **TIMED))
    done = subprocess.run(
        ["sh", script], capture_output=True, text=True, check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    words, _, told = done.stdout.partition("--\n")
    argv = words.splitlines()
    assert argv[-5:-1] == ["backup", "--owner", "timer@the host's", "--run"]
    assert argv[-1].endswith("Z-timer")
    assert argv[:-2] == value("_pilot_argv", **TIMED)[5:]
    assert json.loads(told) == value("_pilot_told", **TIMED)


@pytest.mark.parametrize(("codes", "slept", "ends"), [("0", 0, 0), ("2 2 0", 2, 0), ("1", 0, 1), ("2 " * 7, 6, 2)])
def test_a_refused_command_is_tried_again_for_an_hour(tmp_path: Path, codes: str, slept: int, ends: int) -> None:
    assert tried(tmp_path, render("pilot", "command.sh.j2", **TIMED), codes) == (ends, ["600"] * slept)


def tried(tmp_path: Path, text: str, codes: str) -> tuple[int, list[str]]:
    """Run a command whose pilot ends with one of `codes` each time; return its own, and how long it slept."""
    (tmp_path / "codes").write_text(codes)
    # Each call takes the first of the codes that are left.
    docker = 'cat >/dev/null; read -r first rest < codes; echo "$rest" > codes; exit "$first"'
    for name, does in (("docker", docker), ("sleep", 'echo "$1" >> slept')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o700)
    (tmp_path / "slept").touch()
    script = tmp_path / "script"
    script.write_text(text)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    code = subprocess.run(["sh", script], cwd=tmp_path, check=False, env=environment).returncode
    return code, (tmp_path / "slept").read_text().split()


@pytest.mark.parametrize(("code", "units"), [("0", ["--unit=eduhub-plone-copy"]), ("1", [])])
def test_what_follows_a_success_begins_in_a_unit_of_its_own(tmp_path: Path, code: str, units: list[str]) -> None:
    follows = render("pilot", "command.sh.j2", **TIMED, pilot_timer_then="plone-copy")
    (tmp_path / "systemd-run").write_text('#!/bin/sh\nprintf "%s\\n" "$@" >> started; exit 1\n')  # it still runs
    (tmp_path / "systemd-run").chmod(0o700)
    (tmp_path / "started").touch()
    assert tried(tmp_path, follows, code) == (int(code), [])
    words = (tmp_path / "started").read_text().split()
    assert [each for each in words if "unit" in each] == units
    assert (words[-1:], "--no-block" in words) == ((["/etc/eduhub/timers/plone-copy"], True) if units else ([], False))


def test_the_timer_makes_up_for_a_missed_time_and_starts_the_command() -> None:
    assert unit("timer")["Timer"] == {"OnCalendar": "*-*-* 03:15", "Persistent": "true"}
    assert unit("service")["Service"] == {"ExecStart": "/etc/eduhub/timers/plone-backup"}


def test_only_a_host_with_our_plone_and_a_time_has_a_timer() -> None:
    here = {"plone_backup_at": "*-*-* 03:15", "groups": {"plone": ["here"], "bridge": ["here"]}}
    assert value("docker_host_calendars", **here) == [{"variable": "plone_backup_at", "event": "*-*-* 03:15"}]
    for other in ({"plone_backup_at": ""}, {"plone_url": "http://cms.example.edu"}, {"groups": {"plone": ["there"]}}):
        assert value("docker_host_calendars", **{**here, **other}) == []


@pytest.mark.parametrize(("codes", "slept", "ends"), [("0", "", 0), ("3 0", "5", 0), ("3 " * 5, "5 30 120 300", 3)])
def test_what_a_host_runs_once_is_tried_again(tmp_path: Path, codes: str, slept: str, ends: int) -> None:
    once = {"pilot_timer": "certificates", "groups": {"plone": ["here"]}, "pilot_command": ["certificates"]}
    assert tried(tmp_path, render("pilot", "command.sh.j2", **once), codes) == (ends, slept.split())
