"""An institution's add-ons of Plone: what its inventory asks for, and the lock that `./invoke plone.lock` makes."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from builder import Refusal


@dataclass(frozen=True)
class AddOns:
    """What hosts that name one image of Plone add to ours.

    `image` has {version} and {python} in its tag. `directory`, beside the inventory, holds the locks and the wheels
    that are on no index; `sdists` are published without a wheel. `hosts` are the pairs of version and Python that the
    inventory names.
    """

    image: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    sdists: tuple[str, ...]
    hosts: tuple[tuple[str, str], ...]
    inventory: str
    directory: Path

    @property
    def name(self) -> str:
        """The image without its tag, as "school/plone"."""
        return self.image.rpartition(":")[0]

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of Plone that the inventory names, each once."""
        return tuple(dict.fromkeys(version for version, _ in self.hosts))

    @property
    def option(self) -> str:
        """The option that names the inventory in a command, with a space before it."""
        return f" --inventory {shlex.quote(self.inventory)}"

    def tag(self, version: str, python: str) -> str:
        """Return the name of the image for a version of Plone and a Python."""
        return self.image.replace("{version}", version).replace("{python}", python)

    def lock(self, version: str) -> Path:
        """Return the path of the lock for a version of Plone."""
        return self.directory / f"{self.name.replace('/', '-').replace(':', '-')}-{version}.txt"

    def command(self, version: str) -> str:
        """Return the command that makes the lock for a version of Plone."""
        return f"./invoke plone.lock{self.option} --version {version}"


def told(text: str) -> tuple[AddOns, ...]:
    """Return the add-ons in the JSON list `text`, one for each image of Plone that an inventory names."""
    return tuple(_told(each) for each in json.loads(text))


def _told(each: Mapping[str, Any]) -> AddOns:
    return AddOns(
        image=each["image"],
        requirements=tuple(each["requirements"]),
        constraints=tuple(each["constraints"]),
        sdists=tuple(canonicalize_name(name) for name in each["sdists"]),
        hosts=tuple((version, python) for version, python in each["hosts"]),
        inventory=each["inventory"],
        directory=Path(each["directory"]),
    )


def header(addons: AddOns, pins: Path, python: str) -> str:
    """Return the first lines of a lock made for `addons` beside Plone's own lock `pins`, from `python` ("3.9") on."""
    lines = {
        "add-ons": ", ".join(addons.requirements),
        "constraints": ", ".join(addons.constraints) or "none",
        "packages of Plone": hashlib.sha256(pins.read_bytes()).hexdigest(),
        "Python from": python,
    }
    return "".join(f"# {name}: {value}\n" for name, value in lines.items())


def demand_lock(addons: AddOns, version: str, python: str, pins: Path) -> None:
    """Raise Refusal unless there is a lock of `version` for `python`, made for these add-ons beside these `pins`."""
    lock, command = addons.lock(version), addons.command(version)
    if not lock.exists():
        raise Refusal(f"Plone {version} with the add-ons of {addons.inventory} has no lock {lock}: type {command}.")
    lines = lock.read_text(encoding="utf-8").splitlines()
    is_for = dict(line.removeprefix("# ").split(": ", 1) for line in lines if line.startswith("# ") and ": " in line)
    for line in header(addons, pins, python).splitlines():
        name, value = line.removeprefix("# ").split(": ", 1)
        if name == "Python from":
            if _numbers(is_for.get(name, "0")) > _numbers(value):
                raise Refusal(f"{lock} is for Python {is_for[name]} on, not for {python}: type {command}.")
        elif is_for.get(name) != value:
            why = "beside other packages of Plone" if name.startswith("packages") else f"for other {name}"
            raise Refusal(f"{lock} was made {why} than there are now: type {command}.")


def _numbers(python: str) -> list[int]:
    return [int(part) for part in python.split(".")]
