"""This checkout: where it is, and what it builds bridge and Plone for."""

from __future__ import annotations

from pathlib import Path

from front.images.ladder import Ladder
from front.inventory.documented import read
from front.verbs import checks

PATH = Path(__file__).resolve().parents[3]


def ladder() -> Ladder:
    """Return the Pythons that this checkout builds the bridge for."""
    return Ladder.of(read(PATH / "images/images.yml"))


def plone_versions() -> dict[str, list[str]]:
    """Return the versions of Plone that this checkout builds, with the Pythons of each, all oldest first."""
    return checks.plone_versions(read(PATH / "images/images.yml"))
