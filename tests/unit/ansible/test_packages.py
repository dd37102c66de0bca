"""What is installed on hosts: never Debian's engine in place of another one, and nothing that removes a package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.templates.render import ANSIBLE, value

STOPPED = {"engine": None, "engine_lacking": False, "engine_installed": "docker-ce 5:27", "python_requests": True}


def tasks(within: Any) -> Iterator[dict[str, Any]]:
    """Yield the tasks of a file, those in blocks too."""
    for task in within or []:
        yield task
        for part in ("block", "rescue", "always", "tasks", "pre_tasks"):
            yield from tasks(task.get(part))


def all_tasks() -> Iterator[dict[str, Any]]:
    """Yield each task of roles and playbooks."""
    for path in [*Path(ANSIBLE).glob("roles/*/tasks/*.yml"), *Path(ANSIBLE).glob("playbooks/**/*.yml")]:
        read = yaml.safe_load(path.read_text())
        yield from tasks(read if isinstance(read, list) else [])


@pytest.mark.parametrize(
    ("told", "packages"),
    [
        ({}, []), ({"python_requests": False}, ["python3-requests"]),
        ({"engine_lacking": True}, ["docker.io", "iptables"]), ({"engine": "27.5.1"}, []),
    ],
)  # fmt: skip
def test_debians_engine_is_installed_only_where_none_is(told, packages):
    assert value("_docker_host_missing", docker_host_answer={**STOPPED, **told}) == packages


def test_an_engine_that_is_installed_is_started_without_a_package_to_install():
    steps = yaml.safe_load((ANSIBLE / "roles/docker_host/tasks/engine.yml").read_text())
    (start,) = [task for task in steps if task.get("ansible.builtin.include_tasks") == "start.yml"]
    assert value(f"({start['when']}) | bool", docker_host_answer=STOPPED, ansible_check_mode=False) is True
    (told,) = value("_docker_host_would", docker_host_answer=STOPPED)
    assert told == "The Docker Engine would be started: docker-ce 5:27."


def test_apt_may_remove_no_package():
    installs = [task["ansible.builtin.apt"] for task in all_tasks() if "name" in task.get("ansible.builtin.apt", {})]
    assert len(installs) == 3
    assert [each.get("fail_on_autoremove") for each in installs] == [True] * 3
    argvs = [task["ansible.builtin.command"].get("argv") or [] for task in all_tasks()
             if isinstance(task.get("ansible.builtin.command"), dict)]  # fmt: skip
    (upgrade,) = [argv for argv in argvs if "apt-get" in argv]
    assert "--no-remove" in upgrade


def test_dpkg_finds_the_programs_of_the_administrator_whatever_su_leaves_of_the_path():
    """Debian's su keeps the user's, without sbin: dpkg then says "2 expected programs not found in PATH"."""
    sbin = {"/usr/local/sbin", "/usr/sbin", "/sbin"}
    programs = re.compile(r"(^|\W)(apt-get|dpkg|start-stop-daemon)(\W|$)")
    own = [task for task in all_tasks() if "ansible.builtin.apt" in task]
    plain = [task for task in all_tasks() if programs.search(str(task.get("ansible.builtin.command")))]
    assert (len(own), len(plain)) == (6, 3)
    for task in own + plain:
        found = value(task["environment"].strip("{} "), eduhub_checkout="")
        assert sbin <= set(found["PATH"].split(":")), task["name"]


def test_an_update_of_apts_lists_that_fails_keeps_nothing_from_being_installed():
    """One source that cannot be read fails Ansible's task before it looks at packages, those that are there too."""
    both = [task["name"] for task in all_tasks()
            if task.get("ansible.builtin.apt", {}).keys() >= {"name", "update_cache"}]  # fmt: skip
    assert both == []


def acme_client(folder: Path, *programs: str) -> str:
    """Return what Ansible says of having an ACME client on this machine, in check mode, with `programs` in its path."""
    for name in (*programs, "sh"):
        (folder / name).symlink_to("/bin/sh")
    tasks_file = ANSIBLE / "roles/edge/tasks/acme_client.yml"
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.include_tasks": str(tasks_file)}]}
    (folder / "play.yml").write_text(json.dumps([play]))
    given = {"ansible_python_interpreter": sys.executable, "eduhub_as_administrator": {"PATH": str(folder)}}
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [program, "--check", "--inventory", "here,", "--connection", "local", "--extra-vars", json.dumps(given),
         folder / "play.yml"],
        env={**os.environ, "NO_COLOR": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("programs", "told"), [(["certbot"], True), (["certbot", "openssl"], False)])
def test_an_acme_client_that_is_there_is_used_and_a_check_says_what_would_be_installed(programs, told, tmp_path):
    said = acme_client(tmp_path, *programs)
    assert ("certbot and openssl would be installed." in said) is told
    assert said.count("skipping: [here]") == (3 if told else 4)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"rc": 127, "stderr_lines": []}, "there is no docker to ask it with"),
        ({"rc": 124, "stderr_lines": ["/usr/bin/docker"]}, "it hangs"),
        ({"rc": 124, "stderr_lines": ["/usr/bin/docker", "No socket.", "Cannot connect. Is it running?"]},
         "Cannot connect. Is it running?"),
    ],
)  # fmt: skip
def test_an_engine_that_does_not_start_is_told_by_its_clients_last_words(answer, told):
    assert value("_docker_host_start_trouble", docker_host_version=answer) == told
