"""A mistyped command is refused with exit code 2 before Ansible is started."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from front import __main__ as main
from front.arguments.options import parsed
from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.verbs import checks
from front.verbs.ending import hostless
from front.verbs.hosts import read_hosts

ADVICE = "type --python 3.11."
ID_ADVICE = "type the X-Request-ID of an answer, 8 to 128 letters, digits and . _ = + / -."
MISTYPED = {
    "an unknown verb": (["dploy"], "There is no playbook 'dploy'; did you mean deploy?"),
    "an unknown option": (["deploy", "--limt"], "Unrecognized arguments: --limt.\nNext: ./invoke --list"),
    "an unknown inventory": (
        ["deploy", "--inventory", "locl"],
        "There is no inventory 'locl', neither in inventories/ nor as a path; did you mean local?",
    ),
    "an unknown host": (
        ["deploy", "--limit", "localhst"], "--limit 'localhst' fits no host of this inventory; did you mean localhost?",
    ),
    "an unknown Python": (
        ["deploy", "--values", '{"eduhub_python": "3.8"}'],
        f"There is no bridge for Python '3.8'; it is built for 3.9, 3.11: {ADVICE}",
    ),
    "a word that is no id of a request": (
        ["trace", "--values", json.dumps({"eduhub_request": "{{ lookup('env', 'HOME') }}"})],
        f""""{{{{ lookup('env', 'HOME') }}}}" is no id of a request: {ID_ADVICE}""",
    ),
    "no id of a request": (
        ["trace"],
        f"'' is no id of a request: {ID_ADVICE}",
    ),
    "values that are no JSON": (["deploy", "--values", "{x"], "--values is '{x', but must be a JSON object."),
    "values that are no object": (["deploy", "--values", "[1]"], "--values is '[1]', but must be a JSON object."),
}  # fmt: skip


@pytest.fixture
def refused(checkout, monkeypatch, capsys):
    """Call the front in a checkout where every playbook would fail; return what it prints when it refuses."""
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    monkeypatch.chdir(checkout)
    for verb in ("deploy", "trace"):
        (checkout / f"ansible/playbooks/{verb}.yml").touch()

    def call(*words: str) -> str:
        assert main.main(words) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err

    return call


@pytest.fixture
def refused_with(checkout, monkeypatch, capsys):
    """Call the front with --json; return its exit code and the document."""
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    (checkout / "ansible/playbooks/deploy.yml").touch()

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        code = main.main(words)
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize(("words", "text"), MISTYPED.values(), ids=MISTYPED)
def test_it_refuses(refused, words, text):
    assert f"invoke: {text}\n" == refused(*words)


def test_a_refusal_is_a_document_too(refused_with):
    code, document = refused_with("dploy", "--json")
    assert (code, document["hosts"]) == (2, {})
    assert document["messages"] == ["There is no playbook 'dploy'; did you mean deploy?"]


UNREADABLE = {
    "a template without quotes": ("edge_port: {{ foo }}", "all.yml, line 1 cannot be read: a mapping or a list is no"),
    "a number for a name": ("2024: x", "inventories/local gives localhost a variable with the name 2024, which is a"),
    "yes for a name": ("yes: 1", "with the name True, which is true or false and no text"),
    "null for a name": ("null: x", "with the name None, which is empty and no text"),
    "a number without an end": ("edge_port: .inf", "all.yml:1) is inf, but must be a whole number."),
    "a name with braces": ("'edge_{x}': 5", "There is no variable edge_{x} ("),
    "what holds itself": ("campus_x: &a [*a]", "Nothing was touched: what the inventory or the environment sets "),
}


@pytest.mark.parametrize(("line", "text"), UNREADABLE.values(), ids=UNREADABLE)
def test_whatever_an_inventory_says_is_refused_in_a_sentence_and_a_document(
    checkout, monkeypatch, capsys, line, text
):
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    monkeypatch.chdir(checkout)
    (checkout / "ansible/playbooks/deploy.yml").touch()
    (checkout / "inventories/local/group_vars").mkdir()
    (checkout / "inventories/local/group_vars/all.yml").write_text(f"{line}\n")
    assert main.main(["deploy", "--json"]) == 2
    printed = capsys.readouterr()
    (message,) = json.loads(printed.out)["messages"]
    assert text in message
    assert f"invoke: {message}\n" == printed.err


def test_an_environment_that_ansible_does_not_take_is_refused_in_a_sentence(front):
    (front.checkout / "ansible/playbooks/deploy.yml").touch()
    front.environment["ANSIBLE_FORKS"] = "abc"
    code, output, errors = front.run("deploy", "--json")
    assert (code, json.loads(output)["exit"]) == (2, 2)
    assert errors.startswith("invoke: Nothing was touched: ")
    assert "ANSIBLE_FORKS" in errors
    assert "Traceback" not in errors


def test_a_fault_of_ours_once_hosts_were_asked_needs_a_person_and_is_no_revert(checkout, monkeypatch, capsys):
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    monkeypatch.setattr(checks, "check_root", lambda *_: None)
    monkeypatch.setattr(main, "played", lambda *_: {"a": 0}["fault"])
    (checkout / "ansible/playbooks/status.yml").touch()
    assert main.main(["status", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["messages"] == [
        "The run ended by a fault of the toolkit (KeyError: 'fault'): look at what each host serves."
    ]
    assert document["next"] == [["./invoke", "status"]]


def test_a_run_without_a_host_says_why_apart_from_what_to_type(capsys):
    request = Request("plan", "campus", values={"eduhub_python": "3.11"})
    assert hostless(request, 2, ["No docker."], data=True) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["messages"] == ["No docker.", "Refused: nothing was touched. Fix the cause, then try again."]
    assert document["next"] == [["./invoke", "plan", "--python", "3.11", "--inventory", "campus"]]


def test_a_run_that_came_to_no_host_says_so_in_its_document(checkout, front):
    (checkout / "ansible/playbooks/verify.yml").write_text("- hosts: bridge\n  gather_facts: false\n  tasks: []\n")
    hosts = checkout / "inventories/local/hosts.yml"
    hosts.write_text(f"{hosts.read_text()}      ansible_become: true\n  children: {{bridge: {{hosts: {{other: }}}}}}\n")
    code, output, _ = front.run("verify", "--limit", "localhost", "--json")
    assert (code, json.loads(output)["exit"]) == (2, 2)
    assert json.loads(output)["messages"] == [
        "No host of the group bridge was asked for, and verify plays on no other: localhost."
    ]


def test_what_would_be_tried_again_changes_nothing_either(refused, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refused("deploy", "--check").endswith("Next: sudo ./invoke deploy --check\n")


def test_a_python_without_quotes_is_told_to_have_them(refused, checkout):
    hosts = checkout / "inventories/local/hosts.yml"
    hosts.write_text(f"{hosts.read_text()}  vars:\n    bridge_python: 3.10\n")
    assert "no bridge for Python '3.1'" in (said := refused("deploy"))
    assert "bridge_python in the inventory, in quotes if it has a zero at its end: bridge_python: '3.10'." in said


def test_a_group_that_the_inventory_lacks_is_refused_before_any_host_is_asked(refused, checkout, monkeypatch):
    monkeypatch.setattr(checks, "check_root", lambda *_: None)
    (checkout / "ansible/playbooks/inner.yml").write_text("- hosts: bridge:plone\n")
    (checkout / "ansible/playbooks/deploy.yml").write_text("- import_playbook: inner.yml\n- hosts: front_active\n")
    assert refused("deploy") == (
        "invoke: No host of the group bridge was asked for, and deploy plays on no other: localhost.\n"
    )


def test_it_refuses_an_inventory_with_every_mistake_in_it(refused, checkout):
    hosts = checkout / "inventories/local/hosts.yml"
    hosts.write_text(f"{hosts.read_text()}  vars:\n    egde_port: 1\n    edge_port: eighty\n")
    assert {
        "invoke: There is no variable egde_port (inventories/local/hosts.yml:7); did you mean edge_port?",
        "invoke: edge_port (inventories/local/hosts.yml:8) is 'eighty', but must be a whole number.",
    } == set(refused("deploy").splitlines())


@pytest.mark.parametrize(("verb", "told"), [("engine", 1), ("preflight", 1), ("deploy", 0), ("status", 0)])
def test_a_plain_secret_is_noted_once_by_what_would_deploy_it(verb, told, checkout, monkeypatch, capsys):
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    monkeypatch.chdir(checkout)
    hosts = checkout / "inventories/local/hosts.yml"
    hosts.write_text(f"{hosts.read_text()}  vars:\n    bridge_environment: {{DB_PASSWORD: hunter2}}\n")
    read_hosts(parsed([verb]))
    printed = capsys.readouterr()
    start = "Note: DB_PASSWORD of bridge_environment (inventories/local/hosts.yml:7) looks like a secret, "
    assert (printed.out, printed.err.count(start), "hunter2" in printed.err) == ("", told, False)


@pytest.mark.parametrize("verb", ["deploy", "engine", "images.build", "plan", "plone.lock", "plone.upgrade", "upgrade"])
def test_add_ons_of_which_no_image_can_be_made_stop_what_builds_one(with_dropped_version, verb):
    with pytest.raises(RefusalError) as refusal:
        read_hosts(with_dropped_version(verb))
    assert refusal.value.messages[0].startswith("localhost has Plone 5 on Python 3.11, and it is built as 6 for 3.11:")


@pytest.mark.parametrize("verb", ["maintenance", "plone.confirm", "plone.rollback", "rollback", "status", "undrain"])
def test_they_stop_nothing_that_brings_a_host_back(with_dropped_version, verb):
    hosts, _ = read_hosts(options := with_dropped_version(verb))
    assert ([host.name for host in hosts], options.addons) == (["localhost"], [])


@pytest.fixture
def with_dropped_version(checkout, monkeypatch):
    """Return how a verb is asked for where the host has add-ons on a Plone that the checkout builds no more."""
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    hosts = checkout / "inventories/local/hosts.yml"
    hosts.write_text(f"""{hosts.read_text()}\
  vars:
    plone_addons: [school.theme]
    plone_image: "school/plone:{{version}}-py{{python}}"
    plone_version: "5"
""")
    return lambda verb: parsed([verb])


@pytest.mark.slow
def test_a_run_that_ansible_did_not_play_on_every_host_is_no_success(front):
    """Its inventory may be a program, which answers otherwise a minute later."""
    folder = front.checkout / "ansible/playbooks"
    (folder / "rollback.yml").write_text(
        "- hosts: bridge:!two\n  gather_facts: false\n  vars: {phase: begin}\n  tasks: [{tell: {changed: true}}]\n"
    )
    hosts = front.checkout / "inventories/local/hosts.yml"
    hosts.write_text("bridge:\n  vars: {ansible_connection: local, ansible_become: true}\n  hosts: {one: , two: }\n")
    code, output, errors = front.run("rollback")
    assert (code, "Ansible played nothing on two: " in errors) == (3, True), output + errors
    assert "Next: ./invoke status" in output
    assert front.run("rollback", "--limit", "one")[0] == 0
