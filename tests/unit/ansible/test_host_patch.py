"""Which hosts an update of packages drains, and brings back: what the playbook decides, as Ansible renders it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.templates.render import ANSIBLE, value

ALL = ["a", "here", "z"]
FREE = {"drained": False, "left_drained": False}

BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: docker_host, tasks_from: reboot}
      vars: {docker_host_alone: false, docker_host_before: {drained: false, left_drained: false}}
"""


def on_host(name: str, serving: list[str], **given: Any) -> Any:
    """Return a variable of the host `here`, the second of three in the play, while those of `serving` take traffic."""
    usual = {"hostvars": {}, "groups": {"bridge": ALL}}
    return value(name, eduhub_serving=serving, ansible_play_hosts_all=ALL, **{**usual, **given})


def left(*drained: str) -> dict[str, Any]:
    """Return what is known of the hosts of the play, with those that an update that died left drained."""
    return {name: {"inventory_hostname": name, "docker_host_left_drained": name in drained} for name in ALL}


@pytest.mark.parametrize(("serving", "drained", "alone"), [
    ([], [], True), (["here"], [], True), (["here", "z"], [], False), (["a"], [], False),
    (["here"], ["a"], False), (["here"], ["z"], True), ([], ["here"], True),
])  # fmt: skip
def test_a_host_is_alone_unless_another_takes_traffic_by_its_turn(serving, drained, alone):
    assert on_host("docker_host_alone", serving, hostvars=left(*drained)) is alone


@pytest.mark.parametrize(("serving", "alone"), [(["here", "b"], True), (["here", "z", "b"], False)])
def test_a_front_host_is_alone_without_another_front_host(serving, alone):
    groups = {"front": ALL, "bridge": ["b"]}
    assert on_host("docker_host_alone", serving, hostvars=left(), groups=groups) is alone


def test_a_front_host_is_drained_before_its_packages_are_updated_and_the_active_one_comes_last():
    (play,) = yaml.safe_load((ANSIBLE / "playbooks/patch_front.yml").read_text())
    assert (play["hosts"], play["serial"]) == ("front_standby:front_active", 1)
    steps = [task["ansible.builtin.import_role"]["tasks_from"] for task in play["tasks"][-1]["block"]]
    assert steps == ["drain", "patch", "reboot", "look", "undrain"]
    assert play["tasks"][-1]["rescue"][0]["when"] == "docker_host_undrains and not docker_host_is_patched"


@pytest.mark.parametrize(("given", "agreed"), [
    ({}, False), ({"eduhub_serving": ["here"]}, False), ({"eduhub_idle": ["here"]}, True), ({"eduhub_yes": True}, True),
])  # fmt: skip
def test_only_a_host_that_is_known_to_take_no_traffic_is_rebooted_without_consent(given, agreed):
    assert value("docker_host_agreed", **given) is agreed


@pytest.mark.parametrize(("serving", "before", "drains", "undrains"), [
    (ALL, FREE, True, True), (["here"], FREE, False, False), (ALL, {**FREE, "drained": True}, False, False),
    (["a"], {**FREE, "left_drained": True}, True, True), ([], {**FREE, "left_drained": True}, False, True),
])  # fmt: skip
def test_what_this_update_or_one_that_died_drained_is_undrained(serving, before, drains, undrains):
    given = {"docker_host_before": before, "hostvars": left()}
    assert on_host("docker_host_drains", serving, **given) is drains
    assert on_host("docker_host_undrains", serving, **given) is undrains


@pytest.mark.parametrize(("work", "unfinished", "begins"), [
    (False, False, False), (True, False, True), (False, True, True),
])  # fmt: skip
def test_a_host_that_an_update_left_locked_is_gone_through_without_work_too(work, unfinished, begins):
    play = yaml.safe_load((ANSIBLE / "playbooks/host.patch.yml").read_text())[1]
    given = {"docker_host_updates": {"work": work}, "docker_host_unfinished": unfinished, "ansible_check_mode": False}
    assert value(play["tasks"][-1]["when"], **given) is begins


def test_apt_has_a_quarter_of_an_hour_at_least():
    settings = yaml.safe_load((ANSIBLE / "settings/docker_host.yml").read_text())
    assert settings["entry_points"]["patch"]["settings"]["docker_host_patch_seconds"]["least"] >= 900


# What ansible.builtin.reboot returns: success, not back in time, a reboot that did not begin; nothing without one.
@pytest.mark.parametrize(("rebooted", "back"), [
    ({}, True), ({"rebooted": True, "changed": True}, True), ({"rebooted": True, "msg": "Timed out"}, False),
    ({"rebooted": False, "msg": "Reboot command failed."}, True),
])  # fmt: skip
def test_a_host_is_back_unless_it_went_down_and_did_not_answer(rebooted, back):
    assert value("docker_host_is_back", docker_host_rebooted=rebooted) is back


def test_a_reboot_that_did_not_begin_is_told_as_that(tmp_path):
    book = tmp_path / "book.yml"  # the action refuses to reboot this machine, over a local connection
    book.write_text(BOOK)
    words = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", "here,", "--connection", "local", book]
    settings = {"ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"), "ANSIBLE_LIBRARY": str(ANSIBLE / "library"),
                "ANSIBLE_MODULE_UTILS": str(ANSIBLE / "module_utils")}  # fmt: skip
    done = subprocess.run(words, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert "The packages of here are updated, but it could not be rebooted: Running " in done.stdout
    assert "It runs, and stays drained." in done.stdout


@pytest.mark.parametrize(("known", "undrains"), [
    ({}, True), ({"docker_host_patched": {"failed": True}}, True), ({"docker_host_patched": {"reboots": False}}, False),
])  # fmt: skip
def test_a_host_that_fails_is_undrained_while_its_packages_are_as_they_were(known, undrains):
    *_, block = yaml.safe_load((ANSIBLE / "playbooks/host.patch.yml").read_text())[1]["tasks"]
    task = next(each for each in block["rescue"] if each.get("vars", {}).get("pilot_command") == ["undrain"])
    given = {"docker_host_before": FREE, "docker_host_rebooted": {}, "hostvars": left(), **known}
    assert all(on_host(f"({when}) | bool", ALL, **given) for when in task["when"]) is undrains
