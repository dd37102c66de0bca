"""The verbs images.*: build images, and say what is in them."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path

import yaml
from invoke.context import Context

from command_line import beside, run
from command_line.typed import task

CATALOGUE = Path(__file__).parents[1] / "images/images.yml"


def locks_of_versions(catalogue: Path = CATALOGUE) -> dict[str, str]:
    """Return of each version of an image its lock, and what `uv pip compile` makes it of for all its Pythons."""
    locks = {}
    for name, row in yaml.safe_load(catalogue.read_text(encoding="utf-8"))["images"].items():
        for version, own in row.get("versions", {}).items():
            home, pythons = f"images/{name}/{version}", (*own.get("pythons", ()), *own.get("on_request", ()))
            oldest = min(pythons, key=lambda python: [int(part) for part in python.split(".")])
            locks[f"{home}/requirements.txt"] = f"--python-version {oldest} {home}/requirements.in"
    return locks


def upgraded(packages: str) -> list[str]:
    """Return what `uv pip compile` is told of `packages`, as h11,urllib3: to take newer ones than its lock has."""
    return [word for name in packages.replace(",", " ").split() for word in ("--upgrade-package", name)]


def newest_python(catalogue: Path = CATALOGUE) -> str:
    """Return the newest Python that the bridge is built for."""
    pythons: list[str] = yaml.safe_load(catalogue.read_text(encoding="utf-8"))["images"]["bridge"]["pythons"]
    return max(pythons, key=lambda python: [int(part) for part in python.split(".")])


def builder(c: Context, *words: str, verb: str = "build", inventory: str = "") -> None:
    """Run the image builder, or its part for `verb`, with `words`; where there is one, with an inventory's add-ons."""
    if inventory:
        run(c, sys.executable, "-m", "front", f"images.{verb}", "--inventory", inventory, "--", *words,
            PYTHONPATH="ansible")  # fmt: skip
    else:
        part = {"build": "", "audit": ".audit", "sbom": ".sbom"}[verb]
        run(c, sys.executable, "-m", f"builder{part}", *words, PYTHONPATH="images:ansible")


def molecule(c: Context, scenario: str, **environment: str) -> None:
    """Run one molecule scenario of tests/molecule, from create to destroy."""
    with c.cd("tests"):
        run(c, *_words_of_molecule(scenario), **environment)


def molecule_beside(c: Context, scenario: str) -> AbstractContextManager[None]:
    """Start one molecule scenario; return what waits for it as a block ends."""
    with c.cd("tests"):
        return beside(c, *_words_of_molecule(scenario))


def _words_of_molecule(scenario: str) -> list[str]:
    return [sys.executable, "-m", "molecule", "test", "--scenario-name", scenario]


@task(help={
    "names": "images to build, as edge,bridge:py3.11; default: all", "python": "only the images of this Python",
    "version": "only the images of this version, as of plone",
    "base": "build on this image instead of our own root file system",
    "missing": "skip images that were built from the same inputs",
    "fresh": "as --missing, and build images again that lack security updates of Debian",
    "no-cache": "build every layer again", "json": "one JSON document instead of progress and table",
    "inventory": "build Plone with the add-ons of this inventory",
})  # fmt: skip
def build(
    c: Context, names: str = "", python: str = "", version: str = "", base: str = "", missing: bool = False,
    fresh: bool = False, no_cache: bool = False, json: bool = False, inventory: str = "",
) -> None:  # fmt: skip
    """Build the images: wheels and packages are fetched first, the build itself has no network."""
    flags = {"--missing": missing, "--fresh": fresh, "--no-cache": no_cache, "--json": json}
    options = {"--python": python, "--version": version, "--base": base}
    builder(
        c, *names.replace(",", " ").split(), *(word for pair in options.items() if pair[1] for word in pair),
        *(flag for flag, on in flags.items() if on), inventory=inventory,
    )  # fmt: skip


@task(name="verify")
def verify_images(c: Context) -> None:
    """Start every image and verify it from outside, with molecule."""
    molecule(c, "images")


@task(name="audit", help={
    "names": "images to look at, as edge,bridge:py3.11; default: all that are built",
    "advisories": "file of known holes of Python packages: osv.dev's all.zip of PyPI", "json": "one JSON document",
    "inventory": "also Plone with the add-ons of this inventory",
})  # fmt: skip
def audit_images(c: Context, names: str = "", advisories: str = "", json: bool = False, inventory: str = "") -> None:
    """List the security updates and fixes of known holes that built images lack; exit code 1 where there are some."""
    options = [*(["--advisories", advisories] if advisories else []), *(["--json"] if json else [])]
    builder(c, *names.replace(",", " ").split(), *options, verb="audit", inventory=inventory)


@task(name="sbom", help={
    "names": "images to write down, as edge,bridge:py3.11; default: all that are built",
    "to": "directory of the files; default: reports/sbom",
    "inventory": "also Plone with the add-ons of this inventory",
})  # fmt: skip
def sbom_images(c: Context, names: str = "", to: str = "", inventory: str = "") -> None:
    """Write a CycloneDX SBOM of each built image: its Debian packages and Python distributions."""
    words = [*names.replace(",", " ").split(), *(["--to", to] if to else [])]
    builder(c, *words, verb="sbom", inventory=inventory)


@task(name="sign", help={
    "names": "images to sign, as edge,bridge:py3.11, or a whole name; default: those that hosts of the inventory need",
    "sign-key": "ssh key that signs; default: docker_host_image_sign_key of the inventory",
    "inventory": "whose images and key: inventories/NAME, or the path of an inventory",
})  # fmt: skip
def sign_images(c: Context, names: str = "", sign_key: str = "", inventory: str = "local") -> None:
    """Sign a statement about each image as this machine has it, for hosts that ask who signed their images."""
    options = {"--names": names, "--sign-key": sign_key}
    builder(c, *(word for pair in options.items() if pair[1] for word in pair), verb="sign", inventory=inventory)
