"""The ssh key of the inventory that signs the images that are built here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from front.arguments.refusal import RefusalError
from front.inventory.documented import is_template
from front.inventory.loader import Target

KEY = "docker_host_image_sign_key"
SIGN = "images.sign"


def key_of(hosts: Sequence[Target], defaults: Mapping[str, Any], inventory: Path) -> str:
    """Return the path of the key, "" without one; `inventory` is the path of the inventory.

    Raises RefusalError where hosts name several keys, or one that is known only once they are asked.
    """
    keys = dict.fromkeys(str({**defaults, **host.variables}.get(KEY) or "") for host in hosts)
    if len(keys) > 1:
        told = " and ".join(repr(key) for key in keys)
        raise RefusalError(f"Hosts differ in {KEY}, which is {told}: this machine signs with one, write it for all.")
    key = next(iter(keys), "")
    if is_template(key):
        raise RefusalError(f"{KEY} is a template, and images are signed before hosts are asked: write it out.")
    beside = inventory if inventory.is_dir() else inventory.parent
    return str(beside.absolute() / Path(key).expanduser()) if key else ""


def asked(names: str, key: str, known: str, needed: Sequence[str]) -> list[str]:
    """Return the options of the program that signs: the images called `names`, or those of the `needed` that are there.

    `key` was typed, `known` is that of the inventory. Raises RefusalError without either.
    """
    if not key and not known:
        raise RefusalError(f"No key signs images here: name one with --sign-key, or with {KEY} in the inventory.")
    chosen = names.replace(",", " ").split() or ["--tags", *needed]
    return ["--sign-key", str(Path(key).expanduser().absolute()) if key else known, *chosen]
