"""Small wheels."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path


def wheel_of(name: str, shelf: Path) -> str:
    """Write a wheel of version 1.0 to `shelf`; return its hash."""
    wheel = shelf / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        about = f"{name}-1.0.dist-info"
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()
