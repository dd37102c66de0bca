"""Containers and files of a host are as closed as they can be."""

from __future__ import annotations

import json

import pytest


def asked(stack, container, name):
    """What the release in a slot's container asks of it; None for a container that is no slot."""
    release = container["Config"]["Labels"].get("org.eduhub.release")
    return stack.record(release)["spec"][name] if release else None


def test_a_container_has_a_read_only_root_unless_its_release_writes_there(stack, containers):
    read_only = {part: each["HostConfig"]["ReadonlyRootfs"] for part, each in containers.items()}
    assert read_only == {part: asked(stack, each, "read_only") is not False for part, each in containers.items()}


def test_a_container_has_no_privilege(containers):
    found = {part: each["HostConfig"] for part, each in containers.items()}
    closed = {part: (host["Privileged"], host["CapDrop"]) for part, host in found.items()}
    assert closed == dict.fromkeys(containers, (False, ["ALL"]))
    assert [part for part, host in found.items() if "no-new-privileges" not in str(host["SecurityOpt"])] == []


def test_a_container_does_not_run_as_root(containers):
    users = {part: each["Config"]["User"].split(":")[0] for part, each in containers.items()}
    assert [part for part, user in users.items() if user in {"", "0", "root"}] == []


def test_a_container_comes_back_by_itself_and_cannot_fill_the_disk_with_its_log(containers):
    found = {part: each["HostConfig"] for part, each in containers.items()}
    assert {host["RestartPolicy"]["Name"] for host in found.values()} <= {"always", "unless-stopped"}
    assert [part for part, host in found.items() if not host["LogConfig"]["Config"].get("max-size")] == []


def test_only_the_edge_shares_the_hosts_network(containers):
    shared = {part for part, each in containers.items() if each["HostConfig"]["NetworkMode"] == "host"}
    assert shared == {"edge"}


def test_no_container_that_serves_can_reach_the_engine(containers):
    sources = {part: [mount["Source"] for mount in each["Mounts"]] for part, each in containers.items()}
    assert [part for part, mounts in sources.items() if "docker.sock" in str(mounts)] == []


def test_the_password_is_in_a_file_and_nowhere_else(stack, containers):
    folder = f"/etc/{stack.name}/secrets"
    room = stack.host.file(folder)
    for name in room.listdir() if room.exists else []:  # an institution's own Plone has its password elsewhere
        secret = stack.host.file(f"{folder}/{name}")
        assert (name, secret.user, secret.mode & 0o007) == (name, "root", 0)
        assert secret.content_string.strip() not in json.dumps(containers), f"{name} can be read by docker inspect"


@pytest.mark.parametrize("slot", ["blue", "green"])
def test_a_slots_socket_is_for_the_slot_and_the_edge_only(stack, slot):
    room = stack.host.file(f"/var/lib/{stack.name}/run/{slot}")
    assert (room.uid, room.gid, room.mode) == (10001, 10002, 0o2750)


def test_jobs_and_their_key_are_for_the_slots_only(stack):
    room = stack.host.file(f"/var/lib/{stack.name}/bridge")
    key = stack.host.file(f"/etc/{stack.name}/bridge/state_key")
    assert (room.uid, room.gid, room.mode) == (10001, 10001, 0o700)
    assert (key.uid, key.gid, key.mode) == (0, 10001, 0o440)


def test_the_records_are_written_by_root_only(stack):
    for name in ("release.json", "journal.jsonl"):
        file = stack.host.file(f"/var/lib/{stack.name}/{name}")
        assert (name, file.user, file.mode & 0o022) == (name, "root", 0)
