"""A host that lost the pilot's image to `docker system prune --all`: the real roles, a stand-in for docker."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.unit.front.conftest import ROOT

# Stands for the engine of both machines: what was built here is there once it was looked for, as if it had been sent.
DOCKER = """\
#!/bin/sh
case "$*" in
run*) cat >/dev/null
  test -e {here}/sent || {{ echo "docker: Error response from daemon: No such image: eduhub/pilot" >&2; exit 125; }}
  echo '{{"code":"status_reported","exit":0,"message":"blue is live.","changed":false}}' ;;
"image inspect"*) test -e {here}/built || {{ echo "Error: No such image: eduhub/pilot:py3.11" >&2; exit 1; }}
  touch {here}/sent
  echo '[{{"Id":"sha256:1","RepoTags":["eduhub/pilot:py3.11"],"Created":"","RootFS":{{"Layers":[]}},"Config":{{}}}}]' ;;
esac
"""
PLAYBOOK = """
- name: Status
  hosts: all
  gather_facts: false
  roles: [pilot]
  vars: {{phase: status, pilot_state_dir: "{state}"}}
  tasks:
    - name: Ask
      ansible.builtin.import_role: {{name: pilot, tasks_from: run}}
      vars: {{pilot_command: [status], pilot_reads: true}}
"""


@pytest.mark.parametrize(
    ("there", "code", "said", "sent"),
    [
        (["state", "built"], 0, ["blue is live."], True),
        (["state"], 2, ["There is no image eduhub/pilot:py3.11", "Next: ./invoke images.build"], False),
        (["built"], 2, ["Nothing is deployed on localhost.", "Next: ./invoke deploy"], False),
    ],
    ids=["sent again", "not built here", "nothing deployed"],
)
def test_the_image_of_a_lost_pilot_is_sent_again_to_a_host_with_a_stack(there, code, said, sent, checkout, front):
    for role in ("pilot", "docker_host"):
        shutil.copytree(ROOT / "ansible/roles" / role, checkout / "ansible/roles" / role)
    described = "images/pilot/src/eduhub_pilot/model/settings.json"
    (checkout / described).parent.mkdir(parents=True)
    shutil.copy(ROOT / described, checkout / described)
    (checkout / "ansible/ansible.cfg").write_text(f"[defaults]\nroles_path = roles\nlibrary = {ROOT}/ansible/library\n"
        f"module_utils = {ROOT}/ansible/module_utils\n[connection]\npipelining = true\n")
    (checkout / "ansible/playbooks/status.yml").write_text(PLAYBOOK.format(state=checkout / "state"))
    (checkout / "bin").mkdir()
    (checkout / "bin/docker").write_text(DOCKER.format(here=checkout))
    (checkout / "bin/docker").chmod(0o755)
    front.environment["PATH"] = f"{checkout / 'bin'}{os.pathsep}{front.environment['PATH']}"
    for name in there:
        (checkout / name).mkdir()
    returned, printed, errors = front.run("status")
    assert (returned, (checkout / "sent").exists()) == (code, sent), printed + errors
    assert [each for each in said if each not in printed + errors] == [], printed + errors
