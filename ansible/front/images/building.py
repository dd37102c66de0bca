"""The images that hosts need are built on this machine, from the checkout, and no others: a Debian suite that cannot be
built any more stops only the hosts that need it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from front.inventory.loader import Target
from front.run.exit_codes import REFUSED
from front.run.outcome import Outcome
from front.run.play import Signals, wait_or_stop

BRIDGE = "bridge_image"
BESIDE = ("pilot_image", "edge_image")
PLONE, COPY, COPY_TO = "plone_image", "plone_copy_image", "plone_backup_copy_to"
# Verbs about images that take an inventory, and the program of each.
PROGRAMS = {
    "plone.lock": "builder.lock", "images.build": "builder", "images.audit": "builder.audit",
    "images.sbom": "builder.sbom",
}  # fmt: skip
# Verbs on hosts that build what these need.
BUILDING = {"deploy", "engine", "plan", "plone.upgrade", "upgrade"}


def for_deploy(
    hosts: Sequence[Target], asked: str, live: Outcome | None, defaults: Mapping[str, Any]
) -> dict[str, None]:
    """Return the tags of all images that a deployment needs, each once: `asked` is the Python on the command line.

    Without one a host stays on the Python that it has live, and a first deployment gets that of the inventory.
    """
    return dict.fromkeys(tag for host in hosts for tag in _of_host(host, asked, live, defaults))


def for_upgrade(hosts: Sequence[Target], asked: str, defaults: Mapping[str, Any]) -> dict[str, None]:
    """Return the tags of the bridges that an upgrade to the Python `asked` needs; all else is what `deploy` left.

    Without a Python there are none: the images are what they are.
    """
    return dict.fromkeys(_bridge({**defaults, **host.variables}, asked) for host in hosts if asked)


def for_plone(hosts: Sequence[Target], python: str, version: str, defaults: Mapping[str, Any]) -> dict[str, None]:
    """Return the tags that an upgrade of Plone to a Python, or to a version, needs: Plone's, and the pilot's."""
    values = [{**defaults, **host.variables} for host in hosts]
    return dict.fromkeys(tag for each in values for tag in (str(each["pilot_image"]), _plone(each, python, version)))


def _of_host(host: Target, asked: str, live: Outcome | None, defaults: Mapping[str, Any]) -> Iterator[str]:
    values = {**defaults, **host.variables}
    seen = live.hosts.get(host.name) if live else None
    yield from (str(values[name]) for name in BESIDE if name in values)
    if not values.get("plone_url"):
        yield _plone(
            values, (seen.plone_python if seen else None) or str(values.get("plone_python", "")),
            (seen.plone_version if seen else None) or "",
        )  # fmt: skip
        if values.get(COPY_TO):
            yield str(values[COPY])
    yield _bridge(values, asked or (seen.python if seen else None) or str(values.get("bridge_python", "")))


def _bridge(values: Mapping[str, Any], python: str) -> str:
    return str(values.get(BRIDGE, "")).replace("{python}", python)


def _plone(values: Mapping[str, Any], python: str, version: str) -> str:
    """Return the tag of Plone; without a version that of the inventory."""
    version = version or str(values.get("plone_version", ""))
    return str(values.get(PLONE, "")).replace("{python}", python).replace("{version}", version)


def build(
    checkout: Path, tags: Sequence[str], addons: Sequence[Mapping[str, Any]], signals: Signals, key: str = "",
) -> bool:  # fmt: skip
    """Build those of `tags` that are ours, or ours with `addons`, and missing or changed; return whether all of them
    are there now. With a `key`, those that are built are signed.

    The builder says on stderr what it does, and in a sentence why it cannot. A signal ends it.
    """
    words = ["--missing", "--json", *(["--sign-key", key] if key else []), "--tags", *tags]
    return run(checkout, "builder", words, addons, signals, stdout=subprocess.DEVNULL) == 0


def run(
    checkout: Path, program: str, words: Sequence[str], addons: Sequence[Mapping[str, Any]], signals: Signals,
    stdout: int | None = None,
) -> int:  # fmt: skip
    """Run a program about images with `words` and `addons`, if there are any; return its exit code, or 2 where a
    signal ended it."""
    given = ["--addons", json.dumps(addons)] if addons else []
    child = subprocess.Popen(
        [sys.executable, "-m", program, *given, *words],
        cwd=checkout, env={**os.environ, "PYTHONPATH": f"{checkout / 'images'}{os.pathsep}{checkout / 'ansible'}"},
        text=True, start_new_session=True, stdin=subprocess.DEVNULL, stdout=stdout,
    )  # fmt: skip
    return REFUSED if wait_or_stop(child, signals) else child.returncode
