"""The verbs kit, kit.verify and kit.engine: make a kit for a place without a network, and use one there."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from invoke.context import Context

from command_line import run
from command_line.typed import task

ENGINE = Path(__file__).parents[1] / "ansible/roles/docker_host/defaults/main.yml"


@task(name="make", iterable=["suite"], default=True, help={
    "inventory": "whose hosts the kit is for: inventories/NAME, or the path of an inventory",
    "python": "Pythons of the bridge, as 3.11,3.13; default: those of the inventory, and all later ones",
    "suite": "Debian of the hosts and of the operator's machine, as trixie; may be repeated; default: this machine's",
    "sign-key": "ssh key that signs the kit, in a file .sig beside it", "since": "an older kit; its files are left out",
})  # fmt: skip
def make_kit(
    c: Context, suite: list[str], inventory: str = "local", python: str = "", sign_key: str = "", since: str = "",
) -> None:  # fmt: skip
    """Write one file below kits/ that deploys, upgrades and rolls back where there is no network."""
    options = {"--python": python, "--sign-key": sign_key, "--since": since}
    words = [word for pair in options.items() if pair[1] for word in pair]
    suites = [word for name in suite for word in ("--suite", name)]
    run(c, sys.executable, "-m", "front", "kit", "--inventory", inventory, "--", *words, *suites, PYTHONPATH="ansible")


@task(name="verify", help={
    "kit": "file, or directory, of a kit; default: the one that this is",
    "allowed-signers": "of a file: who may sign it, by a file of ssh keys (man ssh-keygen, ALLOWED SIGNERS)",
})  # fmt: skip
def verify_kit(c: Context, kit: str = "", allowed_signers: str = "") -> None:
    """Compare every file of a kit with its manifest, and before that its signature with the keys that you allow."""
    options = {"--kit": kit, "--allowed-signers": allowed_signers}
    words = [word for pair in options.items() if pair[1] for word in pair]
    run(c, sys.executable, "-m", "builder.kit.verify", *words, PYTHONPATH="images:ansible")


@task(name="engine")
def kit_engine(c: Context) -> None:
    """Install a Docker Engine on this machine, for images on their way to hosts, from the kit that this is."""
    told = yaml.safe_load(ENGINE.read_text(encoding="utf-8"))
    names = [*told["docker_host_packages"], *told["docker_host_split_packages"]]
    run(c, sys.executable, "-m", "builder.kit.packages", "--install", *names, PYTHONPATH="images")
