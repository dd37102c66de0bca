"""A kit brings what the hosts of an inventory need, on the Pythons that they may go to."""

from __future__ import annotations

import pytest

from front import kit
from front.inventory import Target
from front.refusal import RefusalError

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


def test_each_image_and_each_package_is_named_once():
    hosts = [Target("a", {}), Target("b", {"docker_host_packages": ["docker.io", "x"]}),
             Target("c", {"plone_url": "https://cms.example.edu", "bridge_image": "school/bridge:1"})]  # fmt: skip
    tags = kit.tags(hosts, ["3.11", "3.13"], DEFAULTS)
    bridges = ["eduhub/bridge:py3.11", "school/bridge:1", "eduhub/bridge:py3.13"]
    assert tags == ["eduhub/pilot:1", "eduhub/edge:1", "eduhub/plone:1", *bridges]
    assert kit.words(hosts, tags, DEFAULTS) == [
        "--tags", *tags, "--packages", "docker.io", "x", "--optional", "docker-cli",
    ]  # fmt: skip
