"""One version: of the checkout, its bridge, its changelog, and the settings that say since when they are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

from eduhub_bridge import __version__
from settings.described import described, every

CHECKOUT = Path(__file__).resolve().parents[2]
VERSION = Version(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])
CHANGELOG = (CHECKOUT / "CHANGELOG.md").read_text()
RELEASED = [Version(number) for number in re.findall(r"^## \[(\d[^\]]*)\]", CHANGELOG, re.MULTILINE)]


def test_the_bridge_has_the_version_of_the_checkout():
    assert Version(__version__) == VERSION


def test_a_checkout_is_a_release_or_says_what_its_changes_become():
    unreleased = CHANGELOG.partition("## [Unreleased]\n")[2].partition("\n## [")[0].strip()
    if not VERSION.is_devrelease:
        assert (unreleased, RELEASED[0]) == ("", VERSION)
        return
    told = f"What becomes {VERSION.major}.{VERSION.minor}; a checkout of it says `{VERSION}`."
    assert (unreleased.startswith(told), RELEASED[0] < VERSION) == (True, True)


def test_each_setting_is_there_since_a_release_or_what_becomes_one():
    numbers = {f"{each.major}.{each.minor}" for each in (*RELEASED, VERSION)}
    assert {each.since for each in every(described(CHECKOUT / "ansible/settings")).values()} <= numbers


@pytest.mark.parametrize("page", sorted((CHECKOUT / "docs/runbooks").glob("*.md")), ids=lambda page: page.name)
def test_no_runbook_types_a_tag_of_git(page):
    assert re.findall(r"git (?:checkout|switch|clone --branch) (?:TAG|v?\d)", page.read_text()) == []
