"""A checkout with the real `invoke`, whose Python and pip may be programs of a test."""

from __future__ import annotations

import hashlib
import os
import platform
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
        (self.root / "images/builder").mkdir(parents=True)
        for name in ("__init__.py", "pip_settings.py"):
            shutil.copy(CHECKOUT / "images/builder" / name, self.root / "images/builder")

    def fits(self) -> Checkout:
        """Let the .venv be of this Python and of these requirements; return the checkout."""
        packages = hashlib.sha256((self.root / "requirements.txt").read_bytes()).hexdigest()
        (self.elsewhere / "stamp").write_text(f"Python {platform.python_version()} {packages}  -\n")
        return self

    @staticmethod
    def program(path: Path, text: str) -> Path:
        """Write a shell script; return its path."""
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def python_with(self, pip: str = "exit 0") -> str:
        """Write a Python that makes an environment at once, whose pip is the shell script `pip`; return its path."""
        made = self.program(self.root.parent / "pip", pip)
        venv = (
            f"mkdir -p .venv.new/bin; cp {made} .venv.new/bin/pip; ln -s {sys.executable} .venv.new/bin/python; "
            f'printf "home = {sys.base_prefix}/bin\\ncommand = python -m venv $PWD/.venv.new\\n" >.venv.new/pyvenv.cfg'
            "; exit"
        )
        text = f'case "$*" in "-m venv"*) {venv} ;; esac; exec {sys.executable} "$@"'
        return str(self.program(self.root.parent / "python", text))

    def environment(self, python: str = sys.executable, **more: str) -> dict[str, str]:
        """Return an operator's environment, where no index can be asked."""
        return {**os.environ, "EDUHUB_PYTHON": python, "PIP_NO_INDEX": "1", **more}

    def types(self, python: str = sys.executable, *before: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Type `./invoke`, after the words `before`, with `more` in the environment."""
        return subprocess.run(
            [*before, self.root / "invoke"], env=self.environment(python, **more), cwd=self.root, capture_output=True,
            text=True, check=False, timeout=300,
        )  # fmt: skip

    def is_as_before(self) -> bool:
        """Return whether .venv is the earlier one, and nothing else is left."""
        left = {path.name for path in self.root.iterdir()} & {".venv.new", ".venv.old"}
        return (self.root / ".venv").readlink() == self.elsewhere and (self.elsewhere / "stamp").exists() and not left
