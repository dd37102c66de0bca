"""A checkout with the real `invoke`, whose Python and pip may be programs of a test."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]


class Checkout:
    """A checkout with `invoke`, and a .venv of an earlier version of it, which is a link to another place."""

    def __init__(self, root: Path, requirements: str = "", made_of: str = "") -> None:
        self.root, self.elsewhere = root / "checkout", root / "elsewhere"
        (self.elsewhere / "bin").mkdir(parents=True)
        (self.root / ".git").mkdir(parents=True)
        self.program(self.elsewhere / "bin/python", f'exec {sys.executable} "$@"')
        (self.root / ".venv").symlink_to(self.elsewhere)
        (self.root / "requirements.txt").write_text(requirements)
        (self.elsewhere / "stamp").write_text(f"Python 3.11.1 {hashlib.sha256(made_of.encode()).hexdigest()}  -\n")
        (self.root / "tasks.py").write_text("import sys; print(sys.executable)")
        shutil.copy(CHECKOUT / "invoke", self.root)

    @staticmethod
    def program(path: Path, text: str) -> Path:
        """Write a shell script; return its path."""
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def types(self, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
        """Type `./invoke` where no index can be asked."""
        environment = {**os.environ, "EDUHUB_PYTHON": python, "PIP_NO_INDEX": "1"}
        return subprocess.run(
            [self.root / "invoke"], env=environment, capture_output=True, text=True, check=False, timeout=300
        )

    def is_as_before(self) -> bool:
        """Return whether .venv is the earlier one, and nothing else is left."""
        left = {path.name for path in self.root.iterdir()} & {".venv.new", ".venv.old"}
        return (self.root / ".venv").readlink() == self.elsewhere and (self.elsewhere / "stamp").exists() and not left
