"""What is refused of a command line and its hosts before anything is played."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext

import pytest

from front.arguments.refusal import RefusalError
from front.arguments.request import Request
from front.inventory.loader import Target
from front.verbs import checks


@pytest.fixture
def somebody(monkeypatch):
    """Not root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


OPTIONS = argparse.Namespace(
    verb="deploy", inventory="campus", limit="", values={"eduhub_python": "3.9"}, asked=[], vault_password_file="",
    check=False,
)  # fmt: skip


@pytest.mark.usefixtures("somebody")
def test_this_machine_needs_root_and_the_line_to_type_is_told():
    with pytest.raises(RefusalError) as refusal:
        checks.check_root(OPTIONS, [Target("localhost", {"ansible_connection": "local"})])
    line = "./invoke deploy --python 3.9 --inventory campus"
    assert refusal.value.next_commands == [f"sudo {line}"]


@pytest.mark.usefixtures("somebody")
@pytest.mark.parametrize("variables", [{}, {"ansible_connection": "local", "ansible_become": True}])
def test_other_machines_and_sudo_do_not_need_root_here(variables):
    checks.check_root(OPTIONS, [Target("host", variables)])


@pytest.mark.parametrize(
    ("given", "variables"),
    [
        ({}, {}),
        ({"eduhub_python": "3.9"}, {}),
        ({}, {"bridge_python": 3.9}),
        ({"eduhub_python": "2.7"}, {"bridge_image": "campus/bridge:py{python}"}),
    ],
)
def test_a_python_is_accepted_that_is_built_or_that_an_image_of_theirs_may_have(given, variables):
    checks.check_python(argparse.Namespace(values=given), [Target("host", variables)], ["3.9", "3.11"])


def test_what_was_typed_is_not_to_be_corrected_in_the_inventory():
    with pytest.raises(RefusalError) as refusal:
        checks.check_python(argparse.Namespace(values={"eduhub_python": "3,13"}), [Target("host", {})], ["3.9", "3.13"])
    said = "There is no bridge for Python '3,13'; it is built for 3.9, 3.13: type --python 3.13."
    assert refusal.value.messages == (said,)


def test_the_python_of_an_inventory_is_checked_like_the_one_that_is_typed():
    with pytest.raises(RefusalError, match=r"no bridge for Python '3\.13'; it is built for 3\.9, 3\.11:"):
        checks.check_python(
            argparse.Namespace(values={}), [Target("host", {"bridge_python": "3.13"})], ["3.9", "3.11"]
        )


VERSIONS = {"7": {"on_request": ["3.13", "3.11"]}, "6": {"pythons": ["3.11"], "on_request": ["3.9"]}}
PLONES = checks.plone_versions({"images": {"plone": {"versions": VERSIONS}}})
OWN = {"plone_image": "example.edu/plone:{version}-py{python}"}


@pytest.mark.parametrize(
    ("python", "version", "variables", "message", "chosen"),
    [
        ("", "", {}, "plone.upgrade asks for the Python or the version: type --python 3.11 or --version 7.", None),
        ("3.12", "", {}, "There is no Plone 6 for Python '3.12'; it is built for 3.9, 3.11: type --python 3.11.", None),
        ("3.13", "", {}, "There is no Plone 6 for Python '3.13'; it is built for 3.9, 3.11: type --python 3.11.", None),
        ("3.13", "", {"plone_version": "7"}, "", "3.13"),
        ("", "8", {}, "There is no Plone '8'; it is built in 6, 7: type --version 7.", None),
        ("3.9", "7", {}, "There is no Plone 7 for Python '3.9'; it is built for 3.11, 3.13: type --python 3.13.", None),
        ("", "7", {}, "", "3.13"),
        ("3.11", "7", {}, "", "3.11"),
        ("3.9", "", {"plone_image": "eduhub/plone:6-py3.9"}, "plone_image of host is eduhub/plone:6-py3.9", None),
        ("3.9", "7", {"plone_image": "a:6-py{python}"}, "plone_image of host is a:6-py{python}, which has no v", None),
        ("3.12", "8", OWN, "", "3.12"),
        ("3.12", "", {**OWN, "plone_addons": ["a"]}, "There is no Plone 6 for Python '3.12'; it is built for", None),
        ("3.9", "", {}, "", "3.9"),
        ("3.9", "", {"plone_image": "example.edu/plone:6", "plone_url": "https://cms.example.edu"}, "", "3.9"),
    ],
)
def test_an_upgrade_of_plone_needs_an_image_of_that(python, version, variables, message, chosen):
    defaults = {"plone_image": "eduhub/plone:{version}-py{python}", "plone_version": "6"}
    values = {"eduhub_python": python, "eduhub_version": version}
    options = argparse.Namespace(values=values, defaults=defaults)
    refused = ""
    try:
        checks.check_plone(options, [Target("host", variables)], PLONES)
    except RefusalError as refusal:
        refused = refusal.messages[0]
    assert (refused.startswith(message), bool(refused)) == (True, bool(message))
    assert refused or values["eduhub_python"] == chosen


def test_a_restore_in_place_is_for_one_site_at_a_time():
    def hosts(*names: str) -> list[Target]:
        return [Target(name, {"group_names": ["plone"]}) for name in names]

    request = Request("plone.restore", values={"eduhub_to": "live"})
    checks.check_one_site(request, [*hosts("a"), Target("b", {"group_names": ["bridge"]})])
    with pytest.raises(RefusalError, match="the content of a, b, each of which") as refused:
        checks.check_one_site(request, hosts("a", "b"))
    assert refused.value.next_commands[1] == "./invoke plone.restore --to live --limit b"


def test_only_another_version_is_rehearsed():
    options = argparse.Namespace(
        values={"eduhub_python": "3.11", "eduhub_rehearse": True}, defaults={"plone_version": "6"}
    )
    with pytest.raises(RefusalError) as refusal:
        checks.check_plone(options, [], PLONES)
    assert refusal.value.messages[0] == "--rehearse is for another version of Plone: type --version 7 too."


ONE = {"group_names": ["bridge"], "ansible_host": "192.0.2.1"}


@pytest.mark.parametrize(("other", "refused"), [
    ({}, True), ({"ansible_port": 22}, True), ({"ansible_host": "192.0.2.2"}, False), ({"ansible_port": 2222}, False),
    ({"eduhub_stack": "second"}, False), ({"group_names": ["plone"]}, False), ({"ansible_host": "{{ x }}"}, False),
    ({"ansible_ssh_common_args": "-J other"}, False), ({"ansible_connection": "local"}, False),
])  # fmt: skip
def test_two_names_of_one_stack_on_one_machine_are_no_two_hosts(other, refused):
    """A wave of one would be both, and the last one that serves would be drained beside itself."""
    hosts = [Target("a", ONE), Target("b", {**ONE, **other})]
    with pytest.raises(RefusalError, match="a and b of inventory campus are one machine") if refused else nullcontext():
        checks.check_apart(Request("deploy", "campus"), hosts)
