"""What is delegated to the operator's machine still asks how the *host* is reached."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"
# Ansible gives a delegated task the connection of the machine that it is delegated to, under this same name.
BARE = re.compile(r"(?<!hostvars\[inventory_hostname\]\.)\bansible_connection\b")


def test_no_role_or_playbook_takes_the_delegates_connection_for_the_hosts():
    files = [*ANSIBLE.glob("roles/**/*.yml"), *ANSIBLE.glob("playbooks/**/*.yml")]
    asking = [file for file in files if "ansible_connection" in file.read_text()]
    assert asking != []
    assert [str(file.relative_to(ANSIBLE)) for file in asking if BARE.search(file.read_text())] == []


def delegated(tasks: Any) -> Iterator[dict[str, Any]]:
    """Yield the tasks that are delegated, those in plays and blocks too."""
    for each in tasks or []:
        if "delegate_to" in each:
            yield each
        for inner in ("tasks", "pre_tasks", "block", "rescue", "always"):
            yield from delegated(each.get(inner))


def test_becoming_root_on_hosts_makes_nothing_root_on_the_operators_machine():
    """Variables of the inventory, such as `ansible_become: true` for all, win over the keyword `become`."""
    tasks = [
        (f"{file.relative_to(ANSIBLE)}: {task['name']}", task)
        for file in [*ANSIBLE.glob("roles/*/*/*.yml"), *ANSIBLE.glob("playbooks/**/*.yml")]
        if isinstance(found := yaml.safe_load(file.read_text()), list)
        for task in delegated(found)
    ]
    assert tasks != []
    assert [name for name, task in tasks if task.get("vars", {}).get("ansible_become") is not False] == []


def test_modules_write_none_of_their_arguments_to_the_log_of_the_host():
    """The environment of containers is one of them, and readable there by more than root."""
    written = configparser.ConfigParser()
    written.read(ANSIBLE / "ansible.cfg")
    assert written.getboolean("defaults", "no_target_syslog") is True
