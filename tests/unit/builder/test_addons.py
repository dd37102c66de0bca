"""Plone with add-ons: which images there are, and what its lock was made for."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder import HERE, Refusal
from builder.__main__ import main
from builder.addons import AddOns, demand_lock, header, told
from builder.catalogue import choose, load, with_addons
from builder.inputs import digest
from tests.images import wheel

JSON = """[{"image": "school/plone:{version}-py{python}", "requirements": ["school.theme==1.0"], "constraints": [],
"sdists": ["Products.Old_One"], "hosts": [["6.1.4", "3.13"]], "inventory": "school", "directory": "/school"}]"""


def test_names_of_sdists_are_those_of_a_lock() -> None:
    """However they are written in an inventory."""
    (each,) = told(JSON)
    assert (each.sdists, each.lock("6.1.4")) == (("products-old-one",), Path("/school/school-plone-6.1.4.txt"))


def test_the_version_and_python_of_hosts_are_built_and_others_on_request() -> None:
    """As with our own images."""
    images = (*load(on_request=True), *with_addons(load(on_request=True), told(JSON)))

    def tags(*of: str | None) -> list[str]:
        return [image.tag for image in choose(images, ["school/plone"], *of)]

    assert tags(None) == ["school/plone:6.1.4-py3.13"]
    assert tags("3.11") == ["school/plone:6.1.4-py3.11"]
    assert tags("3.9", "6.0.13") == ["school/plone:6.0.13-py3.9"]
    assert [image.tag for image in choose(images, ["plone"], None)] == ["eduhub/plone:6.0.13-py3.11"]


def test_where_an_inventory_stands_changes_nothing_in_its_image(tree: Path, school: AddOns, tmp_path: Path) -> None:
    """Two machines build the same."""
    school.lock("6.0.13").write_text("")
    shutil.copytree(school.directory, tmp_path / "other")
    elsewhere = replace(school, directory=tmp_path / "other", inventory="other")
    first, second = (choose(with_addons(load(tree), [each]), [], None)[0] for each in (school, elsewhere))
    assert digest(first, "base", tree) == digest(second, "base", tree)


def written(school: AddOns, pins: Path, python: str) -> None:
    """Write a lock of 6.0.13 for `school`."""
    school.lock("6.0.13").write_text(header(school, pins, python) + "plone==6.0.13\n")


def test_a_lock_is_for_the_add_ons_it_was_made_for(tmp_path: Path, school: AddOns) -> None:
    """The oldest Python is the least; anything else that changed is told with the command that makes another."""
    (pins := tmp_path / "pins.txt").write_text("plone==6.0.13")
    command = "type ./invoke plone.lock --inventory school --version 6.0.13."
    lock = school.lock("6.0.13")

    def refused(of: AddOns = school, python: str = "3.11") -> str:
        with pytest.raises(Refusal) as refusal:
            demand_lock(of, "6.0.13", python, pins)
        return str(refusal.value)

    assert refused() == f"Plone 6.0.13 with the add-ons of school has no lock {lock}: {command}"
    written(school, pins, "3.9")
    demand_lock(school, "6.0.13", "3.11", pins)
    demand_lock(school, "6.0.13", "3.9", pins)
    other = replace(school, requirements=("school.theme==1.1",))
    assert refused(other) == f"{lock} was made for other add-ons than there are now: {command}"
    bound = replace(school, constraints=("x<2",))
    assert refused(bound) == f"{lock} was made for other constraints than there are now: {command}"
    written(school, pins, "3.11")
    assert refused(python="3.9") == f"{lock} is for Python 3.11 on, not for 3.9: {command}"
    pins.write_text("plone==6.0.13.1")
    assert refused() == f"{lock} was made beside other packages of Plone than there are now: {command}"


def test_no_image_is_built_without_its_lock() -> None:
    """That is told before the engine is asked anything."""
    for words in (["--tags", "school/plone:6.1.4-py3.13"], []):
        with pytest.raises(Refusal, match=r"has no lock /school/school-plone-6\.1\.4\.txt: type ./invoke plone.lock"):
            main(["--addons", JSON, "--missing", *words])


def test_metadata_have_the_name_by_which_plone_includes_an_add_on(tmp_path: Path) -> None:
    """Those of other packages stay as they are."""
    with zipfile.ZipFile(wheel.make(tmp_path, "school.theme", "a")) as file:
        file.extractall(tmp_path / "lib")
    other = tmp_path / "lib/an_other-1.0.dist-info"
    other.mkdir()
    (other / "entry_points.txt").write_text("[console_scripts]\na = b:c\n")

    subprocess.run([sys.executable, HERE / "plone-addons/named.py", tmp_path / "lib"], check=True)

    found = tmp_path / "lib/school.theme-1.0.dist-info"
    assert sorted(tmp_path.glob("lib/*.dist-info")) == [other, found]
    recorded = [line.partition(",")[0] for line in (found / "RECORD").read_text().splitlines()]
    assert [name for name in recorded if not (tmp_path / "lib" / name).exists()] == []
