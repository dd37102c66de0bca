"""The catalogue says which images there are, and helps an operator who mistypes one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from builder import Refusal
from builder.catalogue import choose, load, pythons, tagged
from builder.inputs import digest


def test_our_images_are_the_ones_that_roles_deploy() -> None:
    """Tags are a contract with roles, inventories and the pilot."""
    assert [image.tag for image in load()] == [
        "eduhub/base:bullseye",
        "eduhub/base:bookworm",
        "eduhub/base:trixie",
        "eduhub/edge:bookworm",
        "eduhub/copy:trixie",
        "eduhub/bridge:py3.9",
        "eduhub/bridge:py3.11",
        "eduhub/bridge:py3.13",
        "eduhub/pilot:py3.11",
        "eduhub/plone:6.0.13-py3.11",
    ]


def test_a_python_is_a_row(tree: Path) -> None:
    """The next Python of the ladder is data: two rows, and no line of code."""
    path = tree / "images.yml"
    text = path.read_text().replace("suites:\n", 'suites:\n  forky: {python: "3.14"}\n')
    path.write_text(re.sub(r'(pythons: \["3.9", .*)\]', r'\1, "3.14"]', text))
    images = load(tree)

    (image,) = choose(images, ["bridge"], "3.14")

    assert (image.tag, image.base) == ("eduhub/bridge:py3.14", "eduhub/base:forky")
    assert pythons(images, "bridge") == (*pythons(load(), "bridge"), "3.14")


def test_a_version_is_a_row(tree: Path) -> None:
    """The next Plone is data: a row, and the files of its lock."""
    path = tree / "images.yml"
    path.write_text(path.read_text().replace("    versions:\n", '    versions:\n      "7.0": {pythons: ["3.13"]}\n'))
    (tree / "plone/7.0").mkdir()
    (tree / "plone/7.0/requirements.txt").write_text("")
    images = load(tree, on_request=True)

    (newest,) = choose(images, ["plone"], None)
    (older,) = choose(images, ["plone"], "3.11", "6.0.13")

    assert (newest.tag, newest.base, newest.version) == ("eduhub/plone:7.0-py3.13", "eduhub/base:trixie", "7.0")
    assert older.tag == "eduhub/plone:6.0.13-py3.11"
    before = [digest(image, "base", tree) for image in (newest, older)]
    (tree / newest.lock).write_text("changed")
    assert digest(newest, "base", tree) != before[0]
    assert digest(older, "base", tree) == before[1]


def test_hosts_name_images_by_their_tags() -> None:
    """What an institution has of its own is nothing for the builder."""
    found = tagged(load(), ["eduhub/pilot:py3.11", "example.edu/bridge:4.2", "eduhub/bridge:py3.13"])
    assert [image.short for image in found] == ["bridge:py3.13", "pilot:py3.11"]


def test_the_end_of_a_suite_is_no_input_of_an_image(tree: Path) -> None:
    """A date that becomes known must not make every image anew."""
    (image,) = choose(load(tree), ["bridge"], "3.9")
    later = replace(image, end_of_life=date(2031, 1, 1))
    assert digest(later, "base", tree) == digest(image, "base", tree)
    assert (image.ended(date(2026, 8, 31)), image.ended(date(2026, 9, 1))) == (None, date(2026, 8, 31))


def test_every_image_stands_on_one_that_comes_before_it() -> None:
    """Building in the catalogue's order never misses a base."""
    images = load()
    for position, image in enumerate(images):
        if image.base:
            assert image.base in {other.tag for other in images[:position]}


def test_without_names_everything_is_chosen() -> None:
    """No name means all, which is what a deployment asks for."""
    assert choose(load(), [], None) == load()


@pytest.mark.parametrize(
    ("names", "python", "tags"),
    [
        (["bridge"], None, ["eduhub/bridge:py3.9", "eduhub/bridge:py3.11", "eduhub/bridge:py3.13"]),
        (["bridge:py3.9"], None, ["eduhub/bridge:py3.9"]),
        (["bridge", "pilot"], "3.11", ["eduhub/bridge:py3.11", "eduhub/pilot:py3.11"]),
        ([], "3.9", ["eduhub/base:bullseye", "eduhub/bridge:py3.9"]),
    ],
)
def test_names_and_a_python_narrow_the_choice(names: list[str], python: str | None, tags: list[str]) -> None:
    """Both filters hold at once."""
    assert [image.tag for image in choose(load(), names, python)] == tags


@pytest.mark.parametrize(
    ("names", "python", "tags"),
    [
        (["plone"], None, ["eduhub/plone:6.0.13-py3.11"]),
        (["plone"], "3.9", ["eduhub/plone:6.0.13-py3.9"]),
        (["plone:6.0.13-py3.9"], None, ["eduhub/plone:6.0.13-py3.9"]),
        (["plone"], "3.11", ["eduhub/plone:6.0.13-py3.11"]),
        (["plone:6.1.4-py3.13"], None, ["eduhub/plone:6.1.4-py3.13"]),
        (["plone:6.1.4-py3.13"], "3.13", ["eduhub/plone:6.1.4-py3.13"]),
        ([], "3.9", ["eduhub/base:bullseye", "eduhub/bridge:py3.9"]),
    ],
)
def test_an_image_on_request_is_built_for_who_names_it(names: list[str], python: str | None, tags: list[str]) -> None:
    """What few need makes no build of everything longer."""
    images = load(on_request=True)
    assert [image.tag for image in choose(images, names, python)] == tags
    assert choose(images, [], None) == load()


@pytest.mark.parametrize(
    ("python", "version", "tags"),
    [
        (None, "6.1.4", ["eduhub/plone:6.1.4-py3.11", "eduhub/plone:6.1.4-py3.13"]),
        ("3.13", "6.1.4", ["eduhub/plone:6.1.4-py3.13"]),
        ("3.9", "6.0.13", ["eduhub/plone:6.0.13-py3.9"]),
    ],
)
def test_a_version_that_is_named_is_built(python: str | None, version: str, tags: list[str]) -> None:
    """Naming it requests it."""
    images = load(on_request=True)
    assert [image.tag for image in choose(images, ["plone"], python, version)] == tags


def test_hosts_may_name_an_image_on_request() -> None:
    """An inventory that names it needs it."""
    found = tagged(load(on_request=True), ["eduhub/plone:6.0.13-py3.9", "eduhub/plone:6.1.4-py3.13"])
    assert [image.python for image in found] == ["3.9", "3.13"]


@pytest.mark.parametrize(
    ("names", "python", "sentence"),
    [
        (
            ["brige"],
            None,
            (
                "There is no image 'brige' (did you mean bridge?); choose from base, bridge, copy, edge, pilot, plone, "
                "or one of several, as in plone:6.0.13-py3.11."
            ),
        ),
        ([], "3.10", "No image is built for Python '3.10'; choose 3.9, 3.11, 3.13."),
        (["plone"], "3.9", "plone is not built for Python 3.9, only for 3.11."),
        (["edge"], "3.11", "edge is not built for Python 3.11, it holds no Python."),
    ],
)
def test_a_choice_that_cannot_be_is_refused_with_what_can(names: list[str], python: str | None, sentence: str) -> None:
    """One sentence: what is wrong, with which value, and what to type instead."""
    with pytest.raises(Refusal) as refusal:
        choose(load(), names, python)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("names", "python", "version", "sentence"),
    [
        (["plone"], None, "6.1", "There is no plone of version '6.1'; choose 6.0.13, 6.1.4."),
        (["plone"], "3.9", "6.1.4", "plone 6.1.4 is not built for Python 3.9, only for 3.11, 3.13."),
        (
            ["plone"], "3.13", None,
            "plone 6.0.13 is not built for Python 3.13, only for 3.9, 3.11; add --version 6.1.4 for that.",
        ),
        ([], None, "6.1.4", "Whose version is '6.1.4'? Name the image too, as in --names plone --version 6.1.4."),
    ],
)  # fmt: skip
def test_a_version_that_cannot_be_is_refused_with_what_can(
    names: list[str], python: str | None, version: str | None, sentence: str
) -> None:
    """The operator learns which versions there are, and which one has the Python."""
    with pytest.raises(Refusal) as refusal:
        choose(load(on_request=True), names, python, version)
    assert str(refusal.value) == sentence
