"""Under what conditions something was measured: without them a number is none."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder import revision

CHECKOUT = Path(__file__).resolve().parents[2]


def gather(images: Mapping[str, Mapping[str, Any]], engine: str) -> dict[str, Any]:
    """Return commit, images (their id and the commit they were built from), machine and engine."""
    return {
        "commit": revision.commit(CHECKOUT),
        "images": {tag: {"id": facts["Id"], **_labels(facts)} for tag, facts in images.items()},
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "kernel": platform.release(),
        "engine": engine,
    }


def load() -> list[float]:
    """Return the load average over the last 1, 5 and 15 minutes."""
    return [round(each, 2) for each in os.getloadavg()]


def busy(before: float, cores: int) -> bool:
    """Whether a load average of `before` says that others used the machine: they are then in every number."""
    return before > cores / 4


def _labels(facts: Mapping[str, Any]) -> dict[str, str]:
    labels = facts["Config"].get("Labels") or {}
    known = {"commit": "org.opencontainers.image.revision", "python": "org.eduhub.python"}
    return {name: labels[label] for name, label in known.items() if label in labels}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part"))]
    return names[0] if names else platform.machine()
