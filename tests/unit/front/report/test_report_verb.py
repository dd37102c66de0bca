"""`report` as it is typed: what could be asked is written, what could not is named, and no traceback."""

from __future__ import annotations

import json
import re

import pytest

from tests.browser import told
from tests.unit.front.conftest import HOSTS

pytestmark = pytest.mark.slow

PLAYBOOK = """
- name: Report the last rollout of each host
  hosts: all
  gather_facts: false
  vars: {phase: report}
  tasks:
    - name: Reach it
      ansible.builtin.command: "true"
      changed_when: false

    - name: Ask
      tell: {stdout: "{{ lookup('ansible.builtin.file', inventory_hostname ~ '.json') }}"}
"""


@pytest.fixture
def asked(checkout, front):
    """A front whose host `right` had a rollout, `refused` had none, and `lost` cannot be reached."""
    deaf = checkout / "ssh"
    deaf.write_text("#!/bin/sh\necho no route >&2\nexit 255\n")
    deaf.chmod(0o755)
    (checkout / "inventories/local/hosts.yml").write_text(HOSTS % deaf)
    (checkout / "ansible/playbooks/report.yml").write_text(PLAYBOOK)
    found = told.report(told.upgrade(), told.lines(), told.STATUS)
    # As a gate's sentence may hold it: nothing of it is a template.
    found["rollout"]["verdicts"][0]["reason"] = told.HOSTILE
    none = {**found, "rollout": None, "notes": [told.NO_ROLLOUT]}
    for name, report in (("right", found), ("refused", none)):
        folder = checkout / "ansible/playbooks/files"
        folder.mkdir(exist_ok=True)
        answer = {"code": "report_made", "exit": 0, "message": "Reported.", "report": report}
        (folder / f"{name}.json").write_text(json.dumps(answer))
    return front


def test_the_hosts_that_answer_are_written_and_the_others_named(asked, checkout):
    code, printed, errors = asked.run("report", "--limit", "lost,right,refused")
    assert (code, errors) == (2, "")
    assert re.search(r"✗ lost +report +Reach it: .*no route", printed)
    assert printed.splitlines()[-2:] == [
        "Written: reports/rollout/RUN.html (any browser, no network) and the same as .json.",
        "Next: ./invoke status",
    ]
    data = json.loads((checkout / "reports/rollout/20260101T093000Z-201b.json").read_text())
    assert data["hosts"]["right"]["report"]["rollout"]["verdicts"][0]["reason"] == told.HOSTILE
    assert data["hosts"]["refused"]["report"]["notes"] == [told.NO_ROLLOUT]
    assert data["hosts"]["lost"]["messages"][0]["code"] == "host_unreachable"
    text = (checkout / "reports/rollout/20260101T093000Z-201b.html").read_text()
    assert ("no route" in text, "<script" in text) == (True, False)


def test_json_is_one_document_on_stdout(asked):
    code, printed, errors = asked.run("report", "--limit", "right", "--json")
    assert (code, errors, list(json.loads(printed)["hosts"])) == (0, "", ["right"])


def test_without_a_rollout_no_file_is_written(asked, checkout):
    code, _, errors = asked.run("report", "--limit", "refused")
    assert (code, (checkout / "reports").exists()) == (2, False)
    assert errors.startswith("invoke: ")
