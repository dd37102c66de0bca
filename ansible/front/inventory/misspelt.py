"""Finds groups and files of variables that Ansible would leave alone, because of their names, without a word."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from front.arguments.refusal import RefusalError, shown
from front.inventory.documented import slips
from front.inventory.loader import NOT_VARIABLES

GROUPS = ("bridge", "plone", "front")  # which playbooks play on
EVERY = (*GROUPS, "all")
ENDINGS = (".yml", ".yaml", ".json")


def check_groups(inventory: Path, groups: Collection[str]) -> None:
    """Raise RefusalError where the inventory lacks a group of ours and has one that was surely meant to be it."""
    for wanted in GROUPS:
        near = [name for name in groups if name not in GROUPS and is_meant(name, wanted)]
        if wanted not in groups and near:
            raise RefusalError(
                f"The inventory {shown(inventory)} has no group {wanted}; did you mean it by {near[0]}?"
            )


def is_meant(typed: str, wanted: str) -> bool:
    """Whether a name is one slip of the finger from another, or two behind the same first letter."""
    return slips(typed, wanted, most=2) <= 1 + (typed[:1] == wanted[:1])


def check_files(inventory: Path, groups: Collection[str]) -> None:
    """Raise RefusalError for each file of variables that was surely meant for a group of ours.

    Other files without a group or a host are left alone: hosts leave an inventory, and inventories share folders.
    """
    if inventory.is_file() and len(list(sources(inventory.parent))) > 1:
        return  # the files beside it may be those of another inventory
    folder = inventory.parent if inventory.is_file() else inventory
    found = list(misspelt(folder / "group_vars", groups))
    if found:
        raise RefusalError(*found)


def sources(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that may be inventories."""
    return (path for path in folder.iterdir() if path.is_file() and not is_left_alone(path))


def misspelt(folder: Path, groups: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with each file, or folder of files, in `folder` whose name is nearly that of a group."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        stem = path.stem if path.suffix in ENDINGS and path.is_file() else path.name
        if stem in (*groups, *EVERY) or is_left_alone(path):
            continue
        for near in (each for each in EVERY if is_meant(stem, each)):
            yield f"{shown(path)} is for a group {stem!r}, which the inventory does not have; did you mean {near}?"


def is_left_alone(path: Path) -> bool:
    """Whether Ansible, or a person, means nothing by a file of such a name."""
    return path.name.startswith(".") or path.name.endswith("~") or path.suffix in NOT_VARIABLES
