"""Containers that have a name of the stack's and are not the stack's: the engine has each name once. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from .model import ForeignContainer
from .programs import run

# What the stack calls its containers, behind its own name. Roles and pilot make each with the stack's label.
PARTS = (
    "edge", "edge-next", "blue", "green", "shift", "selftest", "plone", "plone-standby", "plone-previous",
    "plone-await", "plone-endpoint", "plone-endpoint-stand-in",
)  # fmt: skip
FIELDS = ("{{.Names}}", "{{.Image}}", '{{.Label "org.eduhub.stack"}}', '{{.Label "com.docker.compose.project"}}')


def foreign(stack: str) -> Iterator[ForeignContainer]:
    """Yield the containers, running or not, that have the name of a container of `stack` and not its label."""
    words = ("--all", "--no-trunc", "--filter", f"name=^/?{stack}-", "--format", "\t".join(FIELDS))
    names = {f"{stack}-{part}" for part in PARTS}
    for line in (run("docker", "ps", *words) or "").splitlines():
        fields = line.split("\t")
        name, image, label, project = (*fields, "", "", "")[:4]
        if name in names and label.strip() != stack:
            yield ForeignContainer(name, image, project.strip())
