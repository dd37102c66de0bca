"""Which images there are: images.yml as frozen values, and the choice an operator makes among them."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from builder import HERE, Refusal
from builder.addons import AddOns, demand_lock

REPOSITORY = "eduhub"


@dataclass(frozen=True)
class Root:
    """A Debian root file system: what is installed from `suite`, and what is left out or taken out again."""

    suite: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    keep: tuple[str, ...]
    remove: tuple[str, ...]


@dataclass(frozen=True)
class Image:
    """One image to build. `python` is None where none is inside; `base` is the tag it stands on, or None.

    `home` is its directory below images/, and `lock` the path there of its hashed requirements; one without wheels has
    no such file. With `addons` it is an institution's, on ours, and `lock` is beside the inventory.
    `end_of_life` is the last day of security fixes of its Debian suite, where it is known. One `on_request` is built
    only for who names it.
    """

    name: str
    tag: str
    title: str
    version: str
    limit_mb: int
    python: str | None
    root: Root | None
    base: str | None
    sdists: tuple[str, ...]
    lock: str
    home: str
    end_of_life: date | None = None
    on_request: bool = False
    addons: AddOns | None = None

    @property
    def short(self) -> str:
        """The tag without our repository, as people say it: "bridge:py3.11"."""
        return self.tag.removeprefix(f"{REPOSITORY}/")

    @property
    def asked(self) -> str:
        """What to do for a kit that has it."""
        if self.name == "bridge":
            return f"make one with it: ./invoke kit --python {self.python}"
        if self.name == "plone" or self.addons:
            given = self.addons.option if self.addons else ""
            said = f"plone_version: {self.version} and plone_python: '{self.python}'"
            return f"make one with it: set {said} in the inventory that the kit is for, and type ./invoke kit{given}"
        return "make one with it: ./invoke kit"

    def ended(self, day: date) -> date | None:
        """Return the last day of security fixes of its suite, if that was before `day`."""
        return self.end_of_life if self.end_of_life and self.end_of_life < day else None


def load(directory: Path = HERE, *, on_request: bool = False) -> tuple[Image, ...]:
    """Return the images of `directory`/images.yml, an image after the one it stands on; with those `on_request`."""
    document = yaml.safe_load((directory / "images.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((directory.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    images = [
        image
        for name, row in document["images"].items()
        for told in _versions(name, row, project["version"])
        for image in _images(name, told, document)
        if on_request or not image.on_request
    ]
    return tuple(sorted(images, key=lambda image: image.base is not None))


def with_addons(images: Sequence[Image], told: Sequence[AddOns]) -> tuple[Image, ...]:
    """Return Plone with add-ons, on each of ours, those first whose version the inventory names.

    Those that no host names are on request.
    """
    ours = [image for image in images if image.name == "plone"]
    return tuple(
        replace(
            image,
            name=each.name,
            tag=each.tag(image.version, image.python or ""),
            title=f"{image.title} with add-ons",
            base=image.tag,
            sdists=each.sdists,
            lock=str(each.lock(image.version)),
            home="plone-addons",
            on_request=(image.version, image.python) not in each.hosts,
            addons=each,
        )
        for each in told
        for is_named in (True, False)
        for image in ours
        if (image.version in each.versions) is is_named
    )


def demand_locks(images: Sequence[Image], chosen: Sequence[Image], directory: Path = HERE) -> None:
    """Raise Refusal unless each of `chosen` with add-ons has a lock made for them, beside that of what it stands on."""
    locks = {image.tag: image.lock for image in images}
    for image in chosen:
        if image.addons and image.python and image.base:
            demand_lock(image.addons, image.version, image.python, directory / locks[image.base])


def _versions(name: str, row: dict[str, Any], project: str) -> Iterable[dict[str, Any]]:
    """Yield the row of each version of an image, with its `version` and `lock`: that of the project, or its own."""
    if "versions" not in row:
        yield {"version": project, "lock": f"{name}/requirements.txt", **row}
    for version, own in row.get("versions", {}).items():
        yield {**row, "version": version, "lock": f"{name}/{version}/requirements.txt", **own}


def _images(name: str, row: dict[str, Any], document: dict[str, Any]) -> Iterable[Image]:
    """Yield the images of one version: one a Python, or the one of its suite."""
    suites = document["suites"]
    suite_of = {facts["python"]: suite for suite, facts in suites.items()}
    asked = row.get("on_request", [])
    pairs = [(suite_of[python], python) for python in (*row.get("pythons", []), *asked)] or [(row["suite"], None)]
    for suite, python in pairs:
        own = "include" in row
        extra = suites[suite].get("python_include", ()) if python else ()
        include = (*row.get("include", ()), *suites[suite].get("include", ()), *extra)
        common = document["rootfs"]
        remove = (*common["remove"], *row.get("remove", ()))
        tag = row["tag"].format(suite=suite, python=python, version=row["version"])
        yield Image(
            name=name,
            tag=f"{REPOSITORY}/{name}:{tag}",
            title=row["title"],
            version=row["version"],
            limit_mb=row["limit_mb"],
            python=python,
            root=Root(suite, include, tuple(common["exclude"]), tuple(common["keep"]), remove) if own else None,
            base=None if own else f"{REPOSITORY}/base:{suite}",
            sdists=tuple(row.get("sdists", ())),
            lock=row["lock"],
            home=name,
            end_of_life=suites[suite].get("end_of_life"),
            on_request=python in asked,
        )


def pythons(images: Sequence[Image], name: str) -> tuple[str, ...]:
    """Return the Pythons that the image `name` is built for, oldest first."""
    return tuple(_ordered(image.python for image in images if image.name == name and image.python))


def choose(
    images: Sequence[Image], names: Sequence[str], python: str | None, version: str | None = None
) -> tuple[Image, ...]:
    """Return the images called `names` (all, if none) that hold `python` (any, if None) in `version` (their first).

    A name is "bridge" or, for one of several, "bridge:py3.11". An image without a Python matches no Python, and one
    on request only its own name, or its image's beside its Python or version.
    Raise Refusal, naming the choices, for a name, Python or version that no image has.
    """
    known = {word for image in images for word in (image.name, image.short)}
    for name in names:
        if name not in known:
            every = listed(image.name for image in images)
            raise Refusal(
                f"There is no image {name!r}{_near(name, known)}; choose from {every}, "
                f"or one of several, as in {images[-1].short}."
            )
    built = {image.python for image in images if image.python}
    if python and python not in built:
        raise Refusal(f"No image is built for Python {python!r}; choose {listed(built)}.")
    named = [image for image in images if not names or {image.name, image.short} & set(names)]
    if version:
        _demand_version(named, names, version)
    first: dict[str, str] = {}
    for image in images:
        first.setdefault(image.name, image.version)
    meant = [image for image in named if image.version == (version or first[image.name]) or image.short in names]
    chosen = tuple(
        image
        for image in meant
        if not python or image.python == python
        if not image.on_request or image.short in names or (image.name in names and (python or version))
    )
    if not chosen:
        offered = {image.python for image in meant if image.python}
        only = f"only for {listed(offered)}" if offered else "it holds no Python"
        others = listed(image.version for image in named if image.python == python and image not in meant)
        told = version or (meant[0].version if others else "")
        what = " ".join([" and ".join(names), *([told] if told else [])])
        other = f"; add --version {others.replace(', ', ' or ')} for that" if others and not version else ""
        raise Refusal(f"{what} is not built for Python {python}, {only}{other}.")
    return chosen


def _demand_version(named: Sequence[Image], names: Sequence[str], version: str) -> None:
    """Raise Refusal unless one of the images that were `named` has this version."""
    if not names:
        raise Refusal(f"Whose version is {version!r}? Name the image too, as in --names plone --version {version}.")
    if version not in {image.version for image in named}:
        what = " and ".join(names)
        raise Refusal(f"There is no {what} of version {version!r}; choose {listed(each.version for each in named)}.")


def tagged(images: Sequence[Image], tags: Sequence[str]) -> tuple[Image, ...]:
    """Return those of `images` that hosts call one of `tags`; any other tag is an institution's own."""
    return tuple(image for image in images if image.tag in tags)


def _near(name: str, known: Iterable[str]) -> str:
    match = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {match[0]}?)" if match else ""


def listed(words: Iterable[str]) -> str:
    """Return `words` once each and in order, versions by number: "3.9, 3.11"."""
    return ", ".join(_ordered(words))


def _ordered(words: Iterable[str]) -> list[str]:
    return sorted(set(words), key=lambda word: [int(part) if part.isdigit() else part for part in word.split(".")])
