"""Folders of code as an image has them, examined by a Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from eduhub_pilot.gates.runtime.findings import Report, parse_report
from eduhub_pilot.gates.runtime.gate import program
from eduhub_pilot.model.facts import Container

# More interpreters to try: paths, separated by colons.
PYTHONS = [sys.executable, *filter(None, os.environ.get("EDUHUB_PYTHONS", "").split(":"))]


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def library(name: str, version: str, *files: str, **more: str) -> dict[str, str]:
    """The metadata of an installed distribution with `files`."""
    folder = f"{name}-{version}.dist-info"
    record = "".join(f"{file},,\n" for file in files)
    return {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this\n",
        f"{folder}/RECORD": record,
        **{f"{folder}/{file.replace('__', '.')}": text for file, text in more.items()},
    }


def examined(python: str, *roots: Path, seconds: float = 300, module_seconds: float = 300, command=(), mounts=(),
             cwd: Path | None = None) -> Report:  # fmt: skip
    words = program(Container("x", "running", "", command=tuple(command), mounts=tuple(map(str, mounts))), seconds)
    told = json.loads(words[-1])
    told["given"]["module_seconds"] = module_seconds
    done = subprocess.run(
        [python, "-S", *words[:-1], json.dumps(told)], env={"PYTHONPATH": ":".join(map(str, roots))}, cwd=cwd or "/",
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return parse_report(done.stdout)
