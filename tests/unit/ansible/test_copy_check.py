"""Copies that could not be made as the inventory says are refused, and no password of an address is shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: plone, tasks_from: copy_check}
"""
VAULT = "$ANSIBLE_VAULT;1.1;AES256\n" + "6" * 80 + "\n"
HAS_ONE = "plone_backup_copy_to has a password in it"
ADDRESSES = {
    "sftp:backup@nas.example.edu:/srv/eduhub": "",
    "s3:https://s3.example.edu:9000/bucket": "",
    "rest:https://backup.example.edu:8000/me@example.edu/": "",
    "rest:https://host:hunter2@backup.example.edu/": HAS_ONE,
    "s3:https://KEY:hunter2/more@s3.example.edu/bucket": HAS_ONE,
    "sftp:backup:hunter2@nas.example.edu:/srv": HAS_ONE,
    "ftp://host:hunter2@nas.example.edu/": "is no repository of restic",
}


def played(folder: Path, hosts: list[dict[str, Any]], password: str = "") -> tuple[list[str], str]:
    """Play the check for hosts with an inventory's settings; return why each is refused, if it is, and all output."""
    (folder / "play.yml").write_text(BOOK)
    (folder / "backup-copy").mkdir()
    for name in ("password", "known_hosts"):
        (folder / "backup-copy" / name).write_text(password if name == "password" else "")
    told = {
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "eduhub_stack": "eduhub",
        "plone_backup_directory": str(folder / "var/backups/plone"), "state": str(folder / "none.json"),
    }  # fmt: skip
    inventory = folder / "hosts.yml"
    named = {f"h{at}": settings for at, settings in enumerate(hosts)}
    inventory.write_text(json.dumps({"all": {"hosts": named, "vars": told}}))
    words = ["--inventory", inventory, "--extra-vars", json.dumps({"_plone_copy_state": "{{ state }}"})]
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), *words, folder / "play.yml"],
        env={
            **os.environ, "NO_COLOR": "1", "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        },
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    refused = dict(re.findall(r"^fatal: \[(h\d+)\]: FAILED! => (.*)$", done.stdout, re.MULTILINE))
    assert "PLAY RECAP" in done.stdout, done.stdout + done.stderr
    return [refused.get(name, "") for name in named], done.stdout + done.stderr


def test_an_address_with_a_password_is_refused_and_not_shown(tmp_path: Path) -> None:
    refused, output = played(tmp_path, [{"plone_backup_copy_to": each} for each in ADDRESSES])
    assert [(why in found, bool(found)) for why, found in zip(ADDRESSES.values(), refused, strict=True)] == [
        (True, bool(why)) for why in ADDRESSES.values()
    ]
    assert "hunter2" not in output


def test_a_directory_has_to_be_there_on_a_disk_of_its_own_until_the_host_has_copies_in_it(tmp_path: Path) -> None:
    link, away, state = tmp_path / "nas", tmp_path / "away", tmp_path / "plone-copy.json"
    link.symlink_to(tmp_path)
    state.write_text(json.dumps({"to": str(away), "repository": "7"}))
    unready = tmp_path / "unready.json"
    unready.write_text(json.dumps({"to": str(away)}))
    refused, output = played(tmp_path, [
        {"plone_backup_copy_to": str(link)},
        {"plone_backup_copy_to": str(link), "plone_backup_copy_same_disk": True},
        {"plone_backup_copy_to": "/dev/shm"},  # noqa: S108 - a file system of its own
        {"plone_backup_copy_to": str(away), "plone_backup_copy_same_disk": True},
        {"plone_backup_copy_to": str(away), "state": str(state)},
        {"plone_backup_copy_to": str(away), "state": str(unready)},
        {"plone_backup_copy_to": str(tmp_path / "other"), "state": str(state)},
    ])  # fmt: skip
    same, missing = "most likely nothing is mounted there", "or does not answer. Mount it, or make it there"
    assert [next((each for each in (same, missing) if each in found), found) for found in refused] == [
        same, "", "", missing, "", missing, missing,
    ]  # fmt: skip
    assert re.findall(r"is not on (h\d) now, or does not answer", output) == ["h4"]


def test_a_password_of_ansible_vault_that_cannot_be_read_here_is_refused_before_the_host_is_touched(
    tmp_path: Path,
) -> None:
    (refused,), _ = played(tmp_path, [{"plone_backup_copy_to": "sftp:b@nas.example.edu:/srv"}], VAULT)
    assert "/backup-copy/password cannot be read on this machine" in refused
    assert "add --ask-vault-pass" in refused
