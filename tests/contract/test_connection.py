"""What is delegated to the operator's machine still asks how the *host* is reached."""

from __future__ import annotations

import re
from pathlib import Path

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"
# Ansible gives a delegated task the connection of the machine that it is delegated to, under this same name.
BARE = re.compile(r"(?<!hostvars\[inventory_hostname\]\.)\bansible_connection\b")


def test_no_role_or_playbook_takes_the_delegates_connection_for_the_hosts():
    files = [*ANSIBLE.glob("roles/**/*.yml"), *ANSIBLE.glob("playbooks/**/*.yml")]
    asking = [file for file in files if "ansible_connection" in file.read_text()]
    assert asking != []
    assert [str(file.relative_to(ANSIBLE)) for file in asking if BARE.search(file.read_text())] == []
