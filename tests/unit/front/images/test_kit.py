"""A kit brings what the hosts of an inventory need, on the Pythons that they may go to."""

from __future__ import annotations

import pytest

from front.arguments.options import parsed
from front.arguments.refusal import RefusalError
from front.images import kit
from front.inventory.documented import documented
from front.inventory.loader import Target
from front.verbs import checkout
from front.verbs.hosts import read_hosts

LADDER = ("3.9", "3.11", "3.13")
DEFAULTS = {
    "bridge_image": "eduhub/bridge:py{python}", "bridge_python": "3.13", "pilot_image": "eduhub/pilot:1",
    "edge_image": "eduhub/edge:1", "plone_image": "eduhub/plone:1", "plone_url": "",
    "docker_host_packages": ["docker.io"], "docker_host_split_packages": ["docker-cli"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("named", "asked", "wanted"),
    [
        ({}, "", ["3.13"]),
        ({"bridge_python": "3.11"}, "", ["3.11", "3.13"]),
        ({"bridge_python": "3.9"}, "3.9,3.13", ["3.9", "3.13"]),
        ({"bridge_python": "3.8", "bridge_image": "school/bridge:1"}, "", ["3.13"]),
    ],
)
def test_the_pythons_are_those_asked_for_or_the_inventorys_and_all_later_ones(named, asked, wanted):
    assert kit.pythons([Target("a", named)], asked, LADDER, DEFAULTS) == wanted


def test_a_python_that_there_is_not_is_refused():
    with pytest.raises(RefusalError) as refused:
        kit.pythons([], "3.12", LADDER, DEFAULTS)
    assert "There is no bridge for Python '3.12'" in refused.value.messages[0]


def test_a_host_that_asks_an_acme_server_is_refused_by_name():
    kit.check_acme([Target("a", {"edge_acme_server": ""}), Target("b", {})])
    with pytest.raises(RefusalError) as refused:
        kit.check_acme([Target("a", {}), Target("b", {"edge_acme_server": "https://acme.example.edu/directory"})])
    assert refused.value.messages[0].startswith("b sets edge_acme_server, and a kit does not bring certbot")


@pytest.mark.parametrize(("verb", "is_kit"), [("kit", False), ("deploy", True), ("preflight", True)])
def test_an_acme_server_is_refused_for_a_kit_and_in_one(tmp_path, monkeypatch, verb, is_kit):
    (tmp_path / "hosts.yml").write_text(
        "bridge:\n  hosts:\n    a:\n      edge_hosts: [cms.example.edu]\n"
        "      edge_acme_server: https://acme.example.edu/directory\n"
    )
    if is_kit:
        (tmp_path / "kit").mkdir()
    real = documented(checkout.PATH / "ansible")
    monkeypatch.setattr("front.verbs.hosts.documented", lambda _: real)
    monkeypatch.setattr(checkout, "PATH", tmp_path if is_kit else checkout.PATH)
    monkeypatch.setattr("front.inventory.loader.check", lambda *_: [])
    with pytest.raises(RefusalError, match="a sets edge_acme_server"):
        read_hosts(parsed([verb, "--inventory", str(tmp_path / "hosts.yml")]))


def test_each_image_and_each_package_is_named_once():
    hosts = [Target("a", {}), Target("b", {"docker_host_packages": ["docker.io", "x"]}),
             Target("c", {"plone_url": "https://cms.example.edu", "bridge_image": "school/bridge:1"})]  # fmt: skip
    tags = kit.tags(hosts, ["3.11", "3.13"], DEFAULTS)
    bridges = ["eduhub/bridge:py3.11", "school/bridge:1", "eduhub/bridge:py3.13"]
    assert tags == ["eduhub/pilot:1", "eduhub/edge:1", "eduhub/plone:1", *bridges]
    assert kit.words(hosts, tags, DEFAULTS) == [
        "--tags", *tags, "--packages", "docker.io", "x", "--optional", "docker-cli",
    ]  # fmt: skip
