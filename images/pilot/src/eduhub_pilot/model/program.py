"""A program of an image, run once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eduhub_pilot.model.slot_container import Mount


@dataclass(frozen=True)
class Program:
    """The container that the engine is to make of it: with the host's network, which its server may be on.

    `command` are the words after the image's entry point; `memory` is a size as Docker writes it ("512m").
    """

    name: str
    image: str
    command: Sequence[str]
    mounts: Sequence[Mount]
    hostname: str
    memory: str
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
