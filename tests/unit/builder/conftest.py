"""A tree of images to try things on, and an engine that remembers what it was asked to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builder import HERE
from builder.addons import AddOns
from builder.catalogue import load


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the machine's cache out of every test; return the one used instead."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "eduhub"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with our own images.yml and, for its images, the fewest files; returns its images directory."""
    images = tmp_path / "checkout" / "images"
    for name in ("base/slim", "base/install.py", "base/tools.txt", "images.yml", ".dockerignore"):
        images.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / name, images / name)
    shutil.copy(HERE.parent / "pyproject.toml", images.parent / "pyproject.toml")
    (images / "plone").mkdir()
    shutil.copy(HERE / "plone/slim.py", images / "plone")
    (images / "plone-addons").mkdir()
    for name in ("Dockerfile", "named.py"):
        shutil.copy(HERE / "plone-addons" / name, images / "plone-addons")
    for name in ("bridge", "pilot", "plone", "edge"):
        (images / name / "src").mkdir(parents=True)
        (images / name / "Dockerfile").write_text("FROM scratch\n")
        (images / name / "src" / "program.py").write_text("print()\n")
    for image in (each for each in load(on_request=True) if each.base):
        (images / image.lock).parent.mkdir(parents=True, exist_ok=True)
        (images / image.lock).write_text("")
    return images


@pytest.fixture
def school(tmp_path: Path) -> AddOns:
    """The add-ons of an inventory that names Plone 6.0.13 on Python 3.11; there is no lock yet."""
    directory = tmp_path / "school" / "plone_addons"
    directory.mkdir(parents=True)
    return AddOns(
        image="school/plone:{version}-py{python}", requirements=("school.theme==1.0",), constraints=(), sdists=(),
        hosts=(("6.0.13", "3.11"),), inventory="school", directory=directory,
    )  # fmt: skip
