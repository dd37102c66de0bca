"""Which hosts an update of packages drains, and brings back: what the playbook decides, as Ansible renders it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.templates.render import ANSIBLE, value

ALL = ["a", "here", "z"]
FREE = {"drained": False, "left_drained": False}


def on_host(name: str, serving: list[str], **given: Any) -> Any:
    """Return a variable of the host `here`, the second of three in the play, while those of `serving` take traffic."""
    return value(name, eduhub_serving=serving, ansible_play_hosts_all=ALL, **{"hostvars": {}, **given})


def left(*drained: str) -> dict[str, Any]:
    """Return what is known of the hosts of the play, with those that an update that died left drained."""
    return {name: {"inventory_hostname": name, "docker_host_left_drained": name in drained} for name in ALL}


@pytest.mark.parametrize(("serving", "drained", "alone"), [
    ([], [], True), (["here"], [], True), (["here", "z"], [], False), (["a"], [], False),
    (["here"], ["a"], False), (["here"], ["z"], True), ([], ["here"], True),
])  # fmt: skip
def test_a_host_is_alone_unless_another_takes_traffic_by_its_turn(serving, drained, alone):
    assert on_host("docker_host_alone", serving, hostvars=left(*drained)) is alone


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
    assert value(play["tasks"][0]["when"], **given) is begins
