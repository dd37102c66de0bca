"""`plan --out FILE`, and `upgrade --plan FILE`: what is typed, what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from front import __main__ as main
from front.arguments.options import parsed
from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.plans import review
from front.verbs.plan import take_plan
from tests.unit.front.conftest import Front
from tests.unit.front.plans.planned import ANSWER, planned

HOSTS = """\
bridge:
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  hosts:
    b1:
    b2:
"""
# Each host answers what its file holds, as its pilot would; `rolled` is who was upgraded, and held to what.
NEWEST = "3.11"  # of the Pythons that the test's checkout builds
PLAYBOOKS = {
    "plan": """
- name: Look at every host
  hosts: bridge
  gather_facts: false
  tasks:
    - name: Say what would become of the bridge
      tell: {stdout: "{{ lookup('ansible.builtin.file', playbook_dir ~ '/../../' ~ inventory_hostname ~ '.json') }}"}
      vars: {phase: plan}
""",
    "upgrade_prepare": """
- name: Look at every host
  hosts: bridge
  gather_facts: false
  tasks:
    - name: Look
      tell: {stdout: ready}
      vars: {phase: preflight}
""",
    "rollout": """
- name: Roll
  hosts: bridge
  gather_facts: false
  tasks:
    - name: Begin
      tell: {stdout: '{"code":"told","exit":0,"message":"fine."}'}
      vars: {phase: begin}
    - name: Shift
      ansible.builtin.lineinfile:
        path: "{{ playbook_dir }}/../../rolled"
        line: "{{ inventory_hostname }} {{ eduhub_fingerprints[inventory_hostname] }}"
        create: true
        mode: "0600"
      vars: {phase: shift}
""",
    **dict.fromkeys(["status", "verify"], """
- name: Ask
  hosts: bridge
  gather_facts: false
  tasks:
    - name: Ask
      tell: {stdout: '{"code":"told","exit":0,"message":"fine."}'}
      vars: {phase: status}
"""),
}


def answer(code: int = 0, **fields: Any) -> str:
    return json.dumps({"code": "release_planned", "exit": code, "message": "Planned.", "plan": {**ANSWER, **fields}})


@pytest.fixture
def campus(front: Front) -> Front:
    """The front of a checkout whose inventory `campus` has two hosts that would be upgraded."""
    tree = front.checkout
    (tree / "inventories/campus").mkdir(parents=True)
    (tree / "inventories/campus/hosts.yml").write_text(HOSTS)
    for name, text in PLAYBOOKS.items():
        (tree / f"ansible/playbooks/{name}.yml").write_text(text)
    (tree / "ansible/playbooks/upgrade.yml").write_text("[]")  # several hosts go in waves
    for name in ("b1", "b2"):
        (tree / f"{name}.json").write_text(answer(fingerprint=f"of-{name}"))
    settings = tree / "inventories/campus/group_vars"
    settings.mkdir()
    (settings / "all.yml").write_text("rollout_soak_seconds: 0\n")
    return front


def rolled(front: Front) -> list[str]:
    file = front.checkout / "rolled"
    return sorted(file.read_text().splitlines()) if file.exists() else []


@pytest.mark.parametrize(
    ("values", "file", "typed"),
    [
        ({}, "", "plan --out plan.json --inventory campus"),
        ({"eduhub_python": "3.13"}, "", "upgrade --python 3.13 --inventory campus"),
        ({"eduhub_python": "3.13"}, "p.json", "upgrade --plan p.json --inventory campus"),
        ({}, "p.json", "upgrade --plan p.json --inventory campus"),
    ],
)
def test_what_follows_a_plan_is_an_upgrade_that_says_to_what(values, file, typed):
    assert review.upgrade_command(Request("plan", "campus", values=values), file) == f"./invoke {typed}"


@pytest.mark.slow
def test_an_upgrade_does_what_was_planned_and_holds_each_host_to_it(campus):
    code, printed, errors = campus.run("plan", "--inventory", "campus", "--out", "plan.json")
    assert code == 0, printed + errors
    assert printed.endswith("\nNext: ./invoke upgrade --plan plan.json --inventory campus\n")
    plan = json.loads((campus.checkout / "plan.json").read_text())
    assert (plan["waves"], list(plan["hosts"]), rolled(campus)) == ([["b1"], ["b2"]], ["b1", "b2"], [])
    code, printed, errors = campus.run("upgrade", "--inventory", "campus", "--plan", "plan.json")
    assert (code, rolled(campus)) == (0, ["b1 of-b1", "b2 of-b2"]), printed + errors


@pytest.mark.slow
def test_an_upgrade_is_refused_where_a_host_or_the_inventory_changed(campus):
    campus.run("plan", "--inventory", "campus", "--out", "plan.json")
    made = json.loads((campus.checkout / "plan.json").read_text())["made"]
    (campus.checkout / "b2.json").write_text(answer(**{"from": {"release": "r9", "python": "3.11.2"}}))
    hosts = campus.checkout / "inventories/campus/hosts.yml"
    hosts.write_text(HOSTS + "    b3:\n")
    (campus.checkout / "b3.json").write_text(answer())
    code, _, errors = campus.run("upgrade", "--inventory", "campus", "--plan", "plan.json")
    assert (code, rolled(campus)) == (2, [])
    before = "20260101T000000Z-py3.9-aaaaaaaa"
    assert errors.splitlines() == [
        f"invoke: The plan plan.json of {made} no longer fits b2: the live release is r9 now, and was {before}.",
        f"invoke: The plan plan.json of {made} no longer fits b3: among the hosts now, and not in the plan.",
        "Next: ./invoke plan --out plan.json --inventory campus",
    ]


@pytest.mark.slow
def test_a_plan_with_findings_is_written_with_exit_code_2_and_can_not_be_carried_out(campus):
    (campus.checkout / "b2.json").write_text(
        json.dumps({"code": "preflight_failed", "exit": 2, "message": "No disk is left.", "next": [["df", "-h"]]})
    )
    playbook = campus.checkout / "ansible/playbooks/plan.yml"
    refuse = "    - name: Refuse\n      ansible.builtin.fail: {msg: No}\n      vars: {phase: plan, reported: true}\n"
    playbook.write_text(f"{PLAYBOOKS['plan']}{refuse}      when: inventory_hostname == 'b2'\n")
    code, printed, _ = campus.run("plan", "--inventory", "campus", "--out", "plan.json", "--json")
    document = json.loads(printed)
    assert (code, document.pop("exit")) == (2, 2)
    assert document == json.loads((campus.checkout / "plan.json").read_text())
    assert [each["code"] for each in document["hosts"]["b2"]["findings"]] == ["preflight_failed"]
    code, _, errors = campus.run("upgrade", "--inventory", "campus", "--plan", "plan.json")
    assert (code, rolled(campus)) == (2, [])
    said = "invoke: The plan has findings on b2: preflight_failed.\n"
    assert errors == f"{said}Next: ./invoke plan --out plan.json --inventory campus\n"


@pytest.mark.slow
def test_a_plan_goes_on_without_a_host_out_of_reach_where_the_failure_budget_has_room(campus):
    hosts = campus.checkout / "inventories/campus/hosts.yml"
    ssh = campus.checkout / "ssh"
    ssh.write_text("#!/bin/sh\nexit 255\n")
    ssh.chmod(0o755)
    hosts.write_text(HOSTS + f"    b3: {{ansible_connection: ssh, ansible_ssh_executable: {ssh}}}\n")
    (campus.checkout / "b3.json").write_text(answer())
    ping = "    - {name: Reach, ansible.builtin.ping: , vars: {phase: preflight}}\n"
    for name in ("plan", "upgrade_prepare"):
        playbook = campus.checkout / f"ansible/playbooks/{name}.yml"
        playbook.write_text(playbook.read_text().replace("  tasks:\n", f"  tasks:\n{ping}"))
    planned = ("plan", "--inventory", "campus", "--out", "plan.json")
    assert campus.run(*planned)[0] == 2
    settings = campus.checkout / "inventories/campus/group_vars/all.yml"
    settings.write_text(settings.read_text() + "rollout_failure_budget: 1\nrollout_max_unavailable: 2\n")
    code, printed, _ = campus.run(*planned)
    assert (code, "Next: ./invoke upgrade --plan plan.json --inventory campus" in printed) == (0, True), printed
    code, printed, errors = campus.run("upgrade", "--inventory", "campus", "--plan", "plan.json")
    assert (code, rolled(campus)) == (3, ["b1 of-b1", "b2 of-b2"]), printed + errors


def made_anew(file: str) -> str:
    """Return the commands that make a plan that cannot be read."""
    return f"./invoke plan --python {NEWEST} --out {file}\n      ./invoke plan --out {file}"


TYPED = {
    "no such file": (
        "gone.json", [], "The plan gone.json cannot be read: No such file or directory.",
        made_anew("gone.json"),
    ),
    "a folder": ("images", [], "The plan images cannot be read: Is a directory.", made_anew("images.plan.json")),
    "a file that was cut": (
        "cut.json", [], "The plan cut.json is no JSON document, or was cut off.", made_anew("cut.json"),
    ),
    "no text": ("bytes.json", [], "The plan bytes.json is no text in UTF-8.", made_anew("bytes.plan.json")),
    "another inventory": (
        "plan.json", [], "The plan plan.json is of inventory 'campus', and this command of 'local'.",
        "./invoke upgrade --plan plan.json --inventory campus",
    ),
    "an option that the plan has": (
        "plan.json", ["--values", '{"eduhub_python": "3.11", "eduhub_take_over": true}'],
        "The plan plan.json says how to upgrade: leave out --python, --take-over, or --plan.", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "more", "why", "following"), TYPED.values(), ids=TYPED)
def test_what_is_no_plan_of_this_upgrade_is_refused_before_anything(
    file, more, why, following, checkout, monkeypatch, capsys
):
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    monkeypatch.chdir(checkout)
    text = json.dumps(planned())
    Path("plan.json").write_text(text)
    Path("cut.json").write_text(text[: len(text) // 2])
    Path("bytes.json").write_bytes(b"\xff\xfe")
    assert main.main(["upgrade", "--plan", file, *more]) == 2
    assert capsys.readouterr().err == f"invoke: {why}\n" + (f"Next: {following}\n" if following else "")


def test_a_plan_of_the_same_inventory_by_its_path_is_accepted(checkout, monkeypatch):
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    monkeypatch.chdir(checkout)
    Path("plan.json").write_text(json.dumps(planned() | {"inventory": "local"}))
    options = parsed(["upgrade", "--plan", "plan.json", "--inventory", "inventories/local"])
    assert take_plan(options)["inventory"] == "local"
    assert json.loads(options.values) == {"eduhub_python": "3.13"}


@pytest.mark.parametrize("out", ["images", "gone/plan.json"])
def test_a_file_that_cannot_be_written_is_refused_before_the_hosts_are_asked(out, checkout, monkeypatch, capsys):
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    monkeypatch.chdir(checkout)
    (checkout / "ansible/playbooks/plan.yml").touch()
    assert main.main(["plan", "--out", out]) == 2
    said = f"invoke: --out {out!r} cannot be written: name a file in a folder that you may write to.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("text", ["all:\n  hosts:\n", '{"all": {"hosts": {}}}', "\x00"])
def test_a_plan_is_not_written_over_another_file(tmp_path, text):
    (tmp_path / "hosts.yml").write_text(text)
    with pytest.raises(RefusalError, match="is there already and is no plan: name another file"):
        review.check_place(str(tmp_path / "hosts.yml"))
    with pytest.raises(RefusalError) as refused:
        review.taken(str(tmp_path / "hosts.yml"), Request("upgrade"), tmp_path, "3.13")
    assert refused.value.next_commands == [
        f"./invoke plan{python} --out {tmp_path}/hosts.plan.json" for python in (" --python 3.13", "")
    ]


@pytest.mark.parametrize(
    ("file", "out"),
    [("docs", "docs.plan.json"), ("plan.json", "plan.json"), ("gone/x.json", "plan.json"), ("/", "plan.json"),
     (".", "plan.json")],
)  # fmt: skip
def test_a_plan_that_cannot_be_read_is_made_where_it_can_be_written_and_for_the_python_that_was_meant(
    file, out, tmp_path, monkeypatch
):
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusalError) as refused:
        review.taken(file, Request("upgrade"), tmp_path, "3.13")
    assert refused.value.next_commands == [f"./invoke plan --python 3.13 --out {out}", f"./invoke plan --out {out}"]
    review.check_place(out)
    with pytest.raises(RefusalError) as refused:
        review.taken(file, Request("upgrade", values={"eduhub_python": "3.11"}), tmp_path, "3.13")
    assert refused.value.next_commands == [f"./invoke plan --python 3.11 --out {out}"]


@pytest.mark.parametrize("text", ["", '{\n "schema": 0, "cut', '{"schema": 1}'])
def test_a_plan_is_written_over_an_older_one(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    review.check_place(str(tmp_path / "plan.json"))
