"""A host is refused unless this machine's image and its own are both the signed one; each engine here is a stand-in."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from module_utils import ssh_signature
from module_utils.image_layers import described
from module_utils.image_signatures import NAMESPACE, STATEMENT, file_of, subject

pytestmark = pytest.mark.slow

ANSIBLE = Path(__file__).resolve().parents[3] / "ansible"
NAME = "hub/edge:1"
SIGNED: dict[str, Any] = {
    "Id": f"sha256:{'1' * 64}", "Created": "2026-11-29T19:37:22Z", "RootFS": {"Layers": [f"sha256:{'a' * 64}"]},
    "Config": {"User": "10001", "Healthcheck": {"Test": ["CMD", "/usr/lib/health"]}},
}  # fmt: skip
CHANGED = {**SIGNED, "Config": {"User": "10001", "Healthcheck": {"Test": ["CMD", "/bin/sh"]}}}
BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: docker_host, tasks_from: TASKS}
"""
# It describes images by the documents in its file, one a call: first this machine's engine, then the host's. It exports
# the archive beside it, and notes that it was to load one. A pilot in it names the signed image, and refuses the rest.
DOCKER = """#!{python}
import json, pathlib, shutil, sys
file = pathlib.Path({state!r})
if "--format" in sys.argv:
    print("{{}}" if "info" in sys.argv else "[]")
elif "inspect" in sys.argv:
    first, *rest = json.loads(file.read_text())
    file.write_text(json.dumps(rest))
    if first is None:
        sys.exit("Error: No such image")
    print(json.dumps([first]))
elif "save" in sys.argv:
    shutil.copy(file.with_name("saved.tar"), sys.argv[4])
elif "load" in sys.argv:
    file.with_name("loaded").touch()
elif "candidate" in sys.argv:
    print(json.dumps({{"code": "candidate_named", "exit": 0, "message": "", "next": [], "changed": False,
        "image": {{"name": {name!r}, "id": {id!r}}}}}))
elif "run" in sys.argv:
    with file.with_name("ran").open("a") as asked:
        asked.write(" ".join(sys.argv) + "\\n")
    print(json.dumps({{"code": "lock_held", "exit": 2, "message": "", "next": [], "changed": False}}))
    sys.exit(2)
"""
HERE, APART = "local", "ansible.builtin.local"


@pytest.fixture
def play(tmp_path):
    """Return a function that brings a signed image to a host; it returns exit code, output and unasked engines."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=60)
    file = tmp_path / "provenance" / file_of(NAME)
    file.parent.mkdir()
    file.write_text(json.dumps({"_type": STATEMENT, "subject": [subject(NAME, described(SIGNED))]}))
    ssh_signature.sign([file], key, NAMESPACE)
    (tmp_path / "signers").write_text(f"ci@example.edu {(tmp_path / 'key.pub').read_text()}")
    program, state = tmp_path / "bin/docker", tmp_path / "engines.json"
    program.parent.mkdir()
    program.write_text(DOCKER.format(python=sys.executable, state=str(state), name=NAME, id=SIGNED["Id"]))
    program.chmod(0o755)

    def run(
        connection: str, *engines: dict[str, Any] | None, tasks: str = "images", **variables: Any
    ) -> tuple[int, str, int]:
        book = tmp_path / "play.yml"
        book.write_text(BOOK.replace("TASKS", tasks))
        if tasks.endswith(".yml"):
            book = ANSIBLE / "playbooks" / tasks
        state.write_text(json.dumps(engines))
        told = {
            "ansible_python_interpreter": sys.executable, "docker_host_images": [NAME],
            "docker_host_checkout": str(tmp_path), "docker_host_image_signers": "signers", **variables,
        }  # fmt: skip
        inventory = tmp_path / "hosts.yml"
        groups = {"bridge": {"hosts": {"h": {"ansible_connection": connection}}}, "plone": {"hosts": {"h": {}}}}
        inventory.write_text(json.dumps({"all": {"children": groups, "vars": told}}))
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "--inventory", inventory, book],
            env={
                **os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "NO_COLOR": "1",
                "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
            },
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout, len(json.loads(state.read_text()))

    return run


@pytest.mark.parametrize(("connection", "engines"), [(HERE, [SIGNED]), (APART, [SIGNED, SIGNED])])
def test_the_signed_image_is_taken(play, connection, engines):
    code, told, unasked = play(connection, *engines)
    assert (code, unasked) == (0, 0), told


def test_a_changed_image_on_this_machine_is_refused_before_the_host_is_asked(play):
    code, told, unasked = play(APART, CHANGED, SIGNED)
    said = "hub/edge:1 (sha256:111111111111) is not the image that ci@example.edu signed"
    assert (code, unasked, said in told) == (2, 1, True)


def test_a_host_whose_own_engine_has_another_one_is_refused(play):
    """Its layers and configuration are the same: nothing was sent, and only its health check runs something else."""
    code, told, _ = play(APART, SIGNED, CHANGED)
    assert (code, "its health check is another one" in told) == (2, True)


def test_an_image_that_nobody_signed_is_refused_by_name(play):
    code, told, unasked = play(APART, SIGNED, SIGNED, docker_host_images=["hub/other:1"])
    assert (code, unasked, "There is no signature of hub/other:1 below provenance/" in told) == (2, 1, True)


def test_without_signers_nothing_is_asked_for(play):
    code, told, unasked = play(APART, CHANGED, CHANGED, docker_host_image_signers="")
    assert (code, unasked) == (0, 0), told


def save(path: Path, image: dict[str, Any]) -> None:
    """Write the archive that `docker save` makes of an image."""
    layers = image["RootFS"]["Layers"]
    known = {"created": image["Created"], "config": image["Config"], "rootfs": {"diff_ids": layers}}
    entry = {"Config": "c.json", "RepoTags": [NAME], "Layers": ["l.tar"]}
    files = {"c.json": json.dumps(known), "l.tar": "", "manifest.json": json.dumps([entry])}
    with tarfile.open(path, "w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))


@pytest.mark.parametrize(("exported", "code"), [(SIGNED, 0), (CHANGED, 2)])
def test_a_host_loads_an_image_only_where_it_is_the_signed_one(play, tmp_path, exported, code):
    """The name went to another image between the check and the export. Once loaded, it would keep the name."""
    save(tmp_path / "saved.tar", exported)
    found, told, _ = play(APART, SIGNED, None, SIGNED)
    assert (found, (tmp_path / "loaded").exists()) == (code, code == 0), told
    assert ("its health check is another one" in told) is (code == 2)


CANDIDATE: dict[str, Any] = {"docker_host_candidate": {"name": NAME, "id": SIGNED["Id"]}, "tasks": "candidate"}


def test_the_image_that_is_to_start_is_checked_by_its_id(play):
    assert play(APART, SIGNED, **CANDIDATE)[0] == 0
    code, told, _ = play(APART, CHANGED, **CANDIDATE)
    assert (code, "is not the image that ci@example.edu signed" in told) == (2, True)
    code, told, _ = play(APART, None, **CANDIDATE)
    assert (code, f"The image {NAME} ({SIGNED['Id'][:19]}) that is to start is no longer on the host" in told) == (
        2, True,
    )  # fmt: skip


ROLLOUT: dict[str, Any] = {
    "tasks": "rollout.yml", "eduhub_run": "20261130T000000Z-aaaaaa", "eduhub_owner": "ana@desk",
}  # fmt: skip


@pytest.mark.parametrize(("there", "begins"), [(SIGNED, [True]), (CHANGED, [])])
def test_a_release_begins_with_the_image_that_was_checked(play, tmp_path, there, begins):
    """Of a run that is resumed too: nothing that was brought before decides what it starts."""
    resumed = {"eduhub_verb": "upgrade", "eduhub_resume": True, "eduhub_checkout": str(tmp_path)}
    code, told, unasked = play(HERE, there, **resumed, **ROLLOUT)
    begun = [line for line in (tmp_path / "ran").read_text().splitlines() if " begin " in line]
    asked = [f"--resume --accepted {SIGNED['Id']}" in line for line in begun]
    assert (code, unasked, asked) == (2, 0, begins), told


def test_a_rollback_begins_without_a_signature(play, tmp_path):
    _, told, unasked = play(HERE, CHANGED, eduhub_verb="rollback", eduhub_checkout=str(tmp_path), **ROLLOUT)
    (begun, _) = (tmp_path / "ran").read_text().splitlines()
    assert (unasked, " begin " in begun, "--accepted" in begun) == (1, True, False), told


@pytest.mark.parametrize(("variables", "code"), [({}, 0), ({"docker_host_brings": False}, 0), ({}, 2)])
def test_a_signed_pilot_is_brought_before_it_looks_unless_the_host_is_only_looked_at(play, tmp_path, variables, code):
    """The last case: what the host has by that name passes for the signed one, but for its health check."""
    save(tmp_path / "saved.tar", SIGNED)
    found, told, _ = play(APART, SIGNED, CHANGED if code else None, SIGNED, tasks="signed_pilot", **variables)
    assert (found, (tmp_path / "loaded").exists()) == (code, not variables and not code), told
