"""The hash of an image's inputs changes when something that goes in does, and not otherwise."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from builder import inputs
from builder.catalogue import Image, load


def named(tree: Path, tag: str) -> Image:
    """Return the image `tag` of the catalogue in `tree`."""
    return next(image for image in load(tree) if image.tag == tag)


def hashed(tree: Path, tag: str = "eduhub/pilot:py3.11", base: str = "base") -> str:
    """Return the hash of what goes into the image `tag`."""
    return inputs.digest(named(tree, tag), base, tree)


@pytest.mark.parametrize(
    "name",
    ["pilot/src/program.py", "pilot/Dockerfile", "pilot/requirements.txt", "base/install.py", "base/tools.txt"],
)
def test_a_changed_byte_changes_it(tree: Path, name: str) -> None:
    """Sources, recipe, lock and tools all count."""
    before = hashed(tree)
    with (tree / name).open("a") as file:
        file.write("\n")
    assert hashed(tree) != before


def test_an_image_that_stands_on_another_base_is_another(tree: Path) -> None:
    """A base carries its own inputs upwards."""
    assert hashed(tree, base="one") != hashed(tree, base="other")


def test_a_new_file_and_an_executable_bit_change_it(tree: Path) -> None:
    """What git keeps of a file is what counts of it."""
    first = hashed(tree)
    (tree / "pilot" / "src" / "new.py").write_text("")
    second = hashed(tree)
    (tree / "pilot" / "src" / "new.py").chmod(0o755)
    assert len({first, second, hashed(tree)}) == 3


def test_what_is_no_part_of_an_image_does_not_change_it(tree: Path) -> None:
    """Bytecode, editors' files, unlocked requirements, file times and umask come and go."""
    before = hashed(tree)
    for name in ("src/__pycache__/program.cpython-311.pyc", "src/.program.py.swp", "requirements.in"):
        path = tree / "pilot" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    os.utime(tree / "pilot" / "src" / "program.py", (1, 1))
    (tree / "pilot" / "src" / "program.py").chmod(0o600)
    assert hashed(tree) == before


def test_what_is_only_said_of_an_image_does_not_change_it(tree: Path) -> None:
    """A limit that only tests read would have every host begin a release."""
    before, catalogue = hashed(tree), tree / "images.yml"
    text = catalogue.read_text()
    catalogue.write_text(re.sub(r"limit_mb: \d+", "limit_mb: 9", text))
    assert catalogue.read_text() != text
    assert hashed(tree) == before


def test_a_root_file_system_depends_on_its_packages_and_on_slim(tree: Path) -> None:
    """Another package, or another way of slimming, is another root file system."""
    tag = "eduhub/base:bookworm"
    first = hashed(tree, tag, "")
    (tree / "base" / "slim").open("a").write("# more\n")
    second = hashed(tree, tag, "")
    path = tree / "images.yml"
    path.write_text(path.read_text().replace("libstdc++6,", "libstdc++6, tini,"))
    assert len({first, second, hashed(tree, tag, "")}) == 3


def test_other_images_files_do_not_matter(tree: Path) -> None:
    """A change of the pilot leaves the bridge alone."""
    before = hashed(tree, "eduhub/bridge:py3.11")
    (tree / "pilot" / "src" / "program.py").write_text("changed")
    assert hashed(tree, "eduhub/bridge:py3.11") == before
