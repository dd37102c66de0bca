"""A run builds the images that its hosts need, and no others."""

from __future__ import annotations

import pytest

from front import __main__ as main
from front.images import building
from front.inventory.loader import Target
from front.run.outcome import Host, Outcome
from front.run.play import Signals

DEFAULTS = {
    "bridge_image": "eduhub/bridge:py{python}", "bridge_python": "3.11", "pilot_image": "eduhub/pilot:1",
    "edge_image": "eduhub/edge:1", "plone_image": "eduhub/plone:1", "plone_url": "",
}  # fmt: skip
BESIDE = ["eduhub/pilot:1", "eduhub/edge:1", "eduhub/plone:1"]


@pytest.mark.parametrize(
    ("asked", "live", "variables", "bridge"),
    [
        ("", None, {}, "eduhub/bridge:py3.11"),
        ("", None, {"bridge_python": "3.9"}, "eduhub/bridge:py3.9"),
        ("3.13", "3.9", {"bridge_python": "3.9"}, "eduhub/bridge:py3.13"),
        ("", "3.9", {}, "eduhub/bridge:py3.9"),
        ("", None, {"bridge_image": "example.edu/bridge:4.2"}, "example.edu/bridge:4.2"),
    ],
)
def test_a_deployment_needs_the_bridge_of_its_python_and_no_other(asked, live, variables, bridge):
    outcome = Outcome({"a": Host(python=live)}, ended=True)
    assert list(building.for_deploy([Target("a", variables)], asked, outcome, DEFAULTS)) == [*BESIDE, bridge]


def test_each_image_is_named_once_and_none_of_a_plone_that_is_the_institutions_own():
    hosts = [Target(name, {"plone_url": "https://cms.example.edu"}) for name in "ab"]
    outcome = Outcome({"a": Host(python="3.9"), "b": Host(python="3.11")}, ended=True)
    assert list(building.for_deploy(hosts, "", outcome, DEFAULTS)) == [
        "eduhub/pilot:1", "eduhub/edge:1", "eduhub/bridge:py3.9", "eduhub/bridge:py3.11",
    ]  # fmt: skip


@pytest.mark.parametrize(("asked", "tags"), [("3.13", ["eduhub/bridge:py3.13"]), ("", [])])
def test_an_upgrade_needs_the_bridge_of_the_next_python(asked, tags):
    assert list(building.for_upgrade([Target("a", {}), Target("b", {})], asked, DEFAULTS)) == tags


@pytest.mark.parametrize(
    ("runs", "variables", "plone"),
    [
        (None, {}, "eduhub/plone:6-py3.11"),
        (None, {"plone_python": "3.9"}, "eduhub/plone:6-py3.9"),
        ("3.11", {"plone_python": "3.9"}, "eduhub/plone:6-py3.11"),
        ("3.11", {"plone_image": "example.edu/plone:6"}, "example.edu/plone:6"),
    ],
)
def test_a_deployment_needs_the_plone_of_the_python_that_runs(runs, variables, plone):
    defaults = {**DEFAULTS, "plone_image": "eduhub/plone:6-py{python}", "plone_python": "3.11"}
    outcome = Outcome({"a": Host(plone_python=runs)}, ended=True)
    assert list(building.for_deploy([Target("a", variables)], "3.9", outcome, defaults))[2] == plone


def test_an_upgrade_of_plone_needs_its_image_and_the_pilot():
    defaults = {**DEFAULTS, "plone_image": "eduhub/plone:{version}-py{python}", "plone_version": "6"}
    hosts = [Target("a", {}), Target("b", {})]
    pilot = DEFAULTS["pilot_image"]
    assert list(building.for_plone(hosts, "3.9", "", defaults)) == [pilot, "eduhub/plone:6-py3.9"]
    assert list(building.for_plone(hosts, "3.13", "7", defaults)) == [pilot, "eduhub/plone:7-py3.13"]


@pytest.fixture
def builder(checkout, monkeypatch):
    """Put a program that says its words, and ends as `code` says, in the place of the image builder."""
    monkeypatch.setattr("front.verbs.checkout.PATH", checkout)
    (checkout / "images/builder").mkdir()

    def stand_in(code: int) -> None:
        (checkout / "images/builder/__main__.py").write_text(
            f"import sys\nopen('words', 'w').write(' '.join(sys.argv[1:]))\nsys.exit({code})\n"
        )

    return stand_in


@pytest.mark.parametrize(("code", "there"), [(0, True), (2, False)])
def test_the_builder_is_given_the_tags_and_may_refuse(builder, checkout, code, there):
    builder(code)
    with Signals() as signals:
        assert building.build(checkout, ["eduhub/bridge:py3.13"], [], signals) is there
    assert (checkout / "words").read_text() == "--missing --json --tags eduhub/bridge:py3.13"


def test_the_builder_is_given_the_key_that_signs(builder, checkout):
    builder(0)
    with Signals() as signals:
        assert building.build(checkout, ["eduhub/bridge:py3.13"], [], signals, "/srv/key")
    assert (checkout / "words").read_text() == "--missing --json --sign-key /srv/key --tags eduhub/bridge:py3.13"


def test_the_builder_is_given_the_add_ons_of_hosts(builder, checkout):
    builder(0)
    with Signals() as signals:
        assert building.build(checkout, ["school/plone:6-py3.11"], [{"image": "school/plone"}], signals)
    words = "--missing --json --tags school/plone:6-py3.11"
    assert (checkout / "words").read_text() == f'--addons [{{"image": "school/plone"}}] {words}'


def test_an_upgrade_whose_image_cannot_be_built_is_refused_beforehand(builder, checkout, capsys, monkeypatch):
    builder(2)
    monkeypatch.chdir(checkout)
    (checkout / "ansible/playbooks/upgrade.yml").write_text("- hosts: all\n  tasks: [{fail: {msg: it was played}}]\n")
    assert main.main(["upgrade", "--values", '{"eduhub_python": "3.11"}']) == 2
    assert "it was played" not in capsys.readouterr().out


def test_a_host_that_copies_its_backups_needs_the_image_for_that():
    defaults = {**DEFAULTS, "plone_copy_image": "eduhub/copy:1"}
    hosts = [Target("a", {}), Target("b", {"plone_url": "http://cms/Plone", "plone_backup_copy_to": "/mnt"})]
    assert "eduhub/copy:1" not in building.for_deploy(hosts, "3.9", None, defaults)
    copying = Target("a", {"plone_backup_copy_to": "/mnt"})
    assert "eduhub/copy:1" in building.for_deploy([copying], "3.9", None, defaults)
