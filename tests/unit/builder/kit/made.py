"""Small kits, written by the program's own writer."""

from __future__ import annotations

import platform
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from builder.kit import __main__ as program
from builder.kit.unpacked import Manifest

PYTHON = ".".join(map(str, sys.version_info[:2]))
LAYER, CONFIG, WHEEL, PACKAGE = "kit/images/a.tar", "kit/images/c.json", "kit/wheels/w.whl", "kit/debian/bookworm/p.deb"
FILES = {
    ".gitignore": ".venv\n__pycache__/\n", "tasks.py": "print()", "inventories/local/hosts.yml": "all:",
    WHEEL: "wheel", PACKAGE: "package",
    "kit/debian/bookworm/Packages": "Package: p\nFilename: ./p.deb\n", LAYER: "layer", CONFIG: "config",
}  # fmt: skip
IMAGE = {"config": CONFIG, "layers": [LAYER], "diff_ids": ["sha256:a"], "inputs": "1", "base": {}}


def write(
    folder: Path, name: str = "kit-2", files: dict[str, str] | None = None, older: Manifest | None = None,
    key: Path | None = None, **told: Any,
) -> tuple[Path, Manifest]:  # fmt: skip
    """Write a kit of `files` (path -> text) below `folder`; return its path and its manifest."""
    draft = folder / f"draft-{name}"
    for path, text in (files or FILES).items():
        (draft / path).parent.mkdir(parents=True, exist_ok=True)
        (draft / path).write_text(text)
    part = program.Part("all", {path: draft / path for path in files or FILES})
    facts = program.facts_of([part])
    manifest = Manifest(**{
        "name": name, "version": "1", "commit": "c" * 40, "made": "2026-01-01T00:00:00Z", "machine": platform.machine(),
        "pythons": (PYTHON,), "suites": ("bookworm",), "images": {"eduhub/edge:bookworm": IMAGE},
        "files": program.left_out(facts, older) if older else facts, **told,
    })  # fmt: skip
    return program.written(manifest, [part], draft, key, folder / "kits"), manifest


def unpack(kit: Path, into: Path) -> Path:
    """Unpack a kit below `into`; return its directory."""
    with tarfile.open(kit) as archive:
        archive.extractall(into, filter="data")
        return into / archive.getnames()[0].partition("/")[0]


def new_key(path: Path) -> Path:
    """Make an ssh key; return its path."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=60)
    return path


def allowed(path: Path, key: Path) -> Path:
    """Write a file of allowed signers with `key`; return its path."""
    path.write_text(f"operator@example.edu {key.with_name(f'{key.name}.pub').read_text()}")
    return path
