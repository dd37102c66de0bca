"""Add-ons of our Plone that hosts ask for, as the image builder takes them."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from front.arguments.refusal import RefusalError
from front.inventory.documented import is_template
from front.inventory.loader import Target

ADDONS, CONSTRAINTS, SDISTS = NAMES = ("plone_addons", "plone_addon_constraints", "plone_addon_sdists")
IMAGE = "plone_image"
FOLDER = "plone_addons"
"""What the directory beside an inventory is called that has the locks and the institution's own wheels."""

OURS = "eduhub/"
# A repository, which is the institution's, and a tag that tells versions and Pythons apart.
OWN = re.compile(r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)+:[A-Za-z0-9_{][A-Za-z0-9_.{}-]*")


def of(
    hosts: Sequence[Target], defaults: Mapping[str, Any], known: Mapping[str, Sequence[str]], inventory: str, path: Path
) -> list[dict[str, Any]]:
    """Return what `hosts` add to our Plone, a row for each image, in the names of the builder's AddOns.

    `known`: the versions that our Plone is built in, with their Pythons; `path` is that of the `inventory`.
    Raises RefusalError for add-ons of which no image can be made.
    """
    folder = (path if path.is_dir() else path.parent) / FOLDER
    rows: dict[str, dict[str, Any]] = {}
    asked: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for host in hosts:
        values = {**defaults, **host.variables}
        if values.get(ADDONS):
            _check(host.name, values, known)
        elif values.get("plone_url"):
            continue
        image = str(values.get(IMAGE, ""))
        repository, what = image.rpartition(":")[0], {name: values.get(name) or [] for name in (IMAGE, *NAMES)}
        first, others = asked.setdefault(repository, (host.name, what))
        if what != others and (what[ADDONS] or others[ADDONS]):
            name = next(name for name in what if what[name] != others[name])
            raise RefusalError(
                f"{first} and {host.name} have one image, {repository}, and differ in {name}: give them the same, or "
                f"each a {IMAGE} of its own."
            )
        if what[ADDONS]:
            row = rows.setdefault(repository, {
                "image": image, "requirements": list(what[ADDONS]), "constraints": list(what[CONSTRAINTS]),
                "sdists": list(what[SDISTS]), "hosts": [], "inventory": inventory,
                "directory": str(folder),
            })  # fmt: skip
            pair = [str(values["plone_version"]), str(values["plone_python"])]
            row["hosts"] += [pair] if pair not in row["hosts"] else []
    for name, told in asked.values():
        if not told[ADDONS]:
            _check_without(name, str(told[IMAGE]), folder)
    return list(rows.values())


def _check_without(host: str, image: str, folder: Path) -> None:
    """Raise RefusalError where a host without add-ons names an image that `folder` has a lock of add-ons for.

    It would be taken for one made elsewhere, and the old one would stay in service.
    """
    stem = image.rpartition(":")[0].replace("/", "-").replace(":", "-")
    lock = next(folder.glob(f"{glob.escape(stem)}-[0-9]*.txt"), None)
    if lock and not image.startswith(OURS):
        raise RefusalError(
            f"{host} has no {ADDONS}, and its {IMAGE} is {image}, which was built with those in {lock}: remove "
            f"{IMAGE} from the inventory to have our Plone, or the lock if you make that image yourself."
        )


def _check(host: str, values: Mapping[str, Any], known: Mapping[str, Sequence[str]]) -> None:
    """Raise RefusalError unless a host with add-ons has our Plone, in an image with a name of the institution's own."""
    if values.get("plone_url"):
        raise RefusalError(
            f"{host} has {ADDONS}, and with plone_url a Plone that is not ours: install them there, and remove "
            f"{ADDONS}."
        )
    names = (*NAMES, IMAGE, "plone_version", "plone_python")
    if written := next((name for name in names if is_template(values.get(name))), ""):
        raise RefusalError(
            f"{written} of {host} is a template, and images are made before hosts are asked: write it out."
        )
    image = str(values[IMAGE])
    if (
        image.startswith(OURS)
        or not OWN.fullmatch(image)
        or not all(part in image.rpartition(":")[2] for part in ("{version}", "{python}"))
    ):
        raise RefusalError(
            f"{host} has {ADDONS}, and its {IMAGE} is {image}: name an image of your own, with both placeholders in "
            "its tag, as in school/plone:{version}-py{python}."
        )
    version, python = str(values["plone_version"]), str(values["plone_python"])
    if python not in known.get(version, ()):
        built = "; ".join(f"{version} for {', '.join(pythons)}" for version, pythons in known.items())
        raise RefusalError(
            f"{host} has Plone {version} on Python {python}, and it is built as {built}: correct plone_version or "
            "plone_python."
        )
